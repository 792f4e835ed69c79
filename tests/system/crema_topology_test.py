#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""crema topology as its user meets it, on machines of hwloc's making.

usage: crema_topology_test.py CREMA

Needs no root and no device.
"""
import json
import os
import subprocess
import sys
import unittest

CREMA = ""
TWO_NODES = "numa:2 core:4 pu:2"  # CPUs 2i and 2i + 1 are threads of core i


def run(*words, machine=TWO_NODES):
    environment = dict(os.environ)
    if machine:
        environment.update(HWLOC_SYNTHETIC=machine, HWLOC_THISSYSTEM="0")
    return subprocess.run([CREMA, "topology", *words], capture_output=True, text=True, timeout=60, check=False,
                          env=environment)


class Topology(unittest.TestCase):
    def plan(self, *words, **more):
        result = run("--json", *words, **more)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def test_workers_on_the_ports_node(self):
        plan = self.plan("--port", "eth7,node=1,queues=3")
        self.assertEqual(plan["main"]["cpu"], 8)
        self.assertEqual([w["cpu"] for w in plan["workers"]], [10, 12, 14])
        self.assertEqual([q["memory_node"] for q in plan["queues"]], [1, 1, 1])
        self.assertEqual([q["cpu"] for q in plan["queues"]], [10, 12, 14])
        self.assertEqual(plan["lcores"], "0@8,1@10,2@12,3@14")
        self.assertEqual(len(plan["cpus"]), 16)

    def test_isolated_and_overridden(self):
        plan = self.plan("--port", "a,node=0,queues=2", "--isolated", "2,4")
        self.assertEqual([w["cpu"] for w in plan["workers"]], [2, 4])
        self.assertIn("isolated", plan["workers"][0]["why"])
        plan = self.plan("--port", "a,node=0,queues=2", "--cpus", "9,11", "--main", "3", "--pin", "a:0=11")
        self.assertEqual([w["cpu"] for w in plan["workers"]], [9, 11])
        self.assertEqual(plan["main"], {"lcore": 0, "cpu": 3, "why": "asked for"})
        self.assertEqual(plan["queues"][0]["cpu"], 11)
        self.assertEqual(plan["queues"][0]["why"], "asked for")

    def test_tree(self):
        result = run("--port", "a,node=1")
        self.assertEqual(result.returncode, 0, result.stderr)
        for words in ("node 0\n", "node 1\n", "CPU 8  main: ", "a queue 0, memory on node 1", "EAL: --lcores 0@8,1@10"):
            self.assertIn(words, result.stdout)

    def test_this_machine(self):
        plan = self.plan(machine=None)
        self.assertEqual({c["cpu"] for c in plan["cpus"]}, os.sched_getaffinity(0))
        self.assertGreaterEqual(len(plan["workers"]), 1)

    def test_wrong_usage_is_one_line_and_2(self):
        for words in (["--port", "a,nodes=1"], ["--port", "a,queues=0"], ["--port", ",node=1"], ["--pin", "a:0=1"],
                      ["--port", "a", "--pin", "a=1"], ["--cpus", "one"], ["--isolated", "x"], ["--main", "-1"]):
            result = run(*words)
            self.assertEqual(result.returncode, 2, words)
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)

    def test_what_cannot_be_is_1(self):
        for words, said in ((["--cpus", "99"], "no CPU 99"), (["--workers", "16"], "16 workers asked for"),
                            (["--port", "a", "--pin", "a:0=15"], "CPU 15 is no worker")):
            result = run(*words)
            self.assertEqual(result.returncode, 1, words)
            self.assertIn(said, result.stderr)


if __name__ == "__main__":
    CREMA = sys.argv.pop(1)
    unittest.main()
