#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Several programs on one port of a running crema-testpmd: libxdp's way, by its tools unchanged, and crema's own, side by side.

usage: several_programs_test.py CREMA CREMA_TESTPMD BUILD_DIR
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from support.data_path import DataPath

CREMA = TESTPMD = ""
BUILD = pathlib.Path()
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
# Port 0 is libxdp's, port 1 is crema's; the same frames come to both.
LIBXDP, OWN = "net_neta0", "net_neta1"
TRAFFIC = "gen:rate=20000;proto=udp;dport=9"


def tool(name):
    return shutil.which(name, path=PATH)


def shipped(name):
    return str(BUILD / f"bpf/{name}.bpf.o")


def made(name):
    return str(BUILD / f"tests/support/bpf/{name}.o")


@unittest.skipIf(os.geteuid() != 0, "no right to cover /sys/fs/bpf")
class Several(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = DataPath(CREMA, TESTPMD, self.folder.name, "--forward-mode", "rxonly", wire=TRAFFIC, other_wire=TRAFFIC)
        for step in (self.path.process.wait, self.path.process.kill, self.path.process.stdout.close, self.path.process.stderr.close):
            self.addCleanup(step)

    def end(self):
        code, last, error = self.path.close()
        self.assertEqual(code, 0, error)
        self.assertEqual(last["buffers_missing"], 0)

    def by_tool(self, name, *words, fails=False):
        done = self.path.run(tool(name), *words)
        self.assertEqual(done.returncode != 0, fails, f"{name} {words}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def crema(self, *words, code=0):
        done = subprocess.run([CREMA, *map(str, words), "--to", self.path.socket], capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout if code == 0 else done.stderr

    def rows(self, text, port):
        """(prio, name, id, tag, actions) of the programs of a port, in either tool's table."""
        lines = text.splitlines()
        at = next(i for i, line in enumerate(lines) if re.match(rf"(\d+: )?{port}\b", line))
        found = []
        for line in lines[at + 1:]:
            if not line.startswith(" =>"):
                break
            _, prio, name, number, tag, *actions = line.split()
            found.append((int(prio), name, int(number), tag, *actions))
        return found

    def libxdp(self):
        return self.rows(self.by_tool("xdp-loader", "status", LIBXDP), LIBXDP)

    def own(self):
        return self.rows(self.crema("xdp", "status"), OWN)

    def verdicts(self):
        """Of both ports: the verdicts that frames get at the moment."""
        def counters(statistics):
            return [{name: value for name, value in port["xdp"].items() if name.startswith("rx_xdp_")} for port in statistics["ports"][:2]]
        before = counters(self.path.statistics_from_now_on())
        for _ in range(6):
            after = counters(self.path.statistics())
        return [{name for name in old if new[name] > old[name]} for old, new in zip(before, after)]

    def test_alike_but_for_their_numbers(self):
        if tool("xdp-loader") is None:
            self.skipTest("xdp-loader is not installed")
        def both(path, program=None, prio=None, actions=None):
            loader = ["xdp-loader", "load", "-m", "native"]
            loader += ["-n", program] if program else []
            loader += ["-P", prio] if prio is not None else []
            loader += ["-A", ",".join("XDP_" + action.upper() for action in actions.split(","))] if actions else []
            self.by_tool(*loader, LIBXDP, path)
            attach = ["xdp", "attach", OWN, path, "--mode", "native"]
            attach += ["--program", program] if program else []
            attach += ["--prio", prio] if prio is not None else []
            attach += ["--chain-call", actions] if actions else []
            self.crema(*attach)
            self.same()

        both(shipped("pass"))
        both(made("chained"), "same")
        both(made("chained_other"), "same")
        both(made("chained"), "same")  # by its tag it now goes where it wants
        both(made("chained"), "drops_on")
        both(made("chained"), "sends_but_goes_on_to_the_next")
        self.assertEqual({row[1] for row in self.own()},
                         {"pass", "same", "drops_on", "sends_but_goes_on_to_the_next"}, "names in full")
        both(shipped("drop"), prio=60, actions="drop,pass")
        both(shipped("drop"), prio=5, actions="redirect")
        self.assertEqual(self.verdicts(), [{"rx_xdp_drop"}] * 2)
        # One after the other they leave.
        while len(self.own()) > 1:
            at = len(self.own()) // 2 if len(self.own()) < 8 else 0
            self.by_tool("xdp-loader", "unload", LIBXDP, "--id", self.libxdp()[at][2])
            self.crema("xdp", "detach", OWN, "--id", self.own()[at][2])
            self.same()
        self.by_tool("xdp-loader", "unload", LIBXDP, "--all")
        self.crema("xdp", "detach", OWN, "--all")
        self.assertEqual(self.own(), [])
        self.assertIn("No XDP program loaded", self.by_tool("xdp-loader", "status", LIBXDP))
        self.end()

    def same(self):
        def seen(rows):
            return [(prio, name, tag, *actions) for prio, name, _, tag, *actions in rows]
        theirs, ours = self.libxdp(), self.own()
        self.assertEqual(seen(theirs), seen(ours))
        by_libxdp, by_us = self.verdicts()
        self.assertEqual(by_libxdp, by_us, ours)
        self.assertEqual(len(by_us), 1, by_us)

    def test_what_has_no_meaning_is_refused(self):
        said = self.crema("xdp", "attach", OWN, f"{made('chained')}:says_nothing_known", code=1)
        self.assertIn("prio is neither priority nor a verdict", said)
        if tool("xdp-loader") is not None:
            self.by_tool("xdp-loader", "load", "-m", "native", "-n", "says_nothing_known", LIBXDP, made("chained"), fails=True)
        self.assertEqual(self.own(), [])
        self.end()

    def test_xdp_filter_and_another(self):
        if tool("xdp-filter") is None or tool("xdp-loader") is None:
            self.skipTest("xdp-tools are not installed")
        self.by_tool("xdp-filter", "load", "-m", "native", "-f", "udp", "-p", "allow", LIBXDP)
        self.by_tool("xdp-loader", "load", "-m", "native", "-P", "90", LIBXDP, shipped("drop"))
        rows = self.libxdp()
        self.assertEqual([(prio, name) for prio, name, *_ in rows], [(10, "xdpfilt_alw_udp"), (90, "drop")])
        self.assertEqual(self.verdicts()[0], {"rx_xdp_drop"}, "the filter passes, the other one drops")
        self.by_tool("xdp-loader", "unload", LIBXDP, "--id", rows[1][2])
        self.assertEqual(self.verdicts()[0], {"rx_xdp_pass"})
        self.by_tool("xdp-loader", "load", "-m", "native", "-P", "1", "-A", "XDP_TX", "-n", "sends_but_goes_on_to_the_next", LIBXDP,
                     made("chained"))
        self.by_tool("xdp-filter", "port", "9", "-p", "udp", "-m", "dst")
        self.assertEqual(self.verdicts()[0], {"rx_xdp_drop"}, "now the filter, behind one whose TX goes on")
        self.assertEqual([name for _, name, *_ in self.libxdp()], ["sends_but_goes_on_to_the_next", "xdpfilt_alw_udp"])
        self.by_tool("xdp-filter", "port", "9", "-p", "udp", "-m", "dst", "-r")
        self.by_tool("xdp-filter", "unload", LIBXDP)
        self.assertEqual([name for _, name, *_ in self.libxdp()], ["sends_but_goes_on_to_the_next"])
        self.assertEqual(self.verdicts()[0], {"rx_xdp_tx"}, "alone its verdict stands")
        self.end()

    def test_each_keeps_out_of_the_others_way(self):
        if tool("xdp-loader") is None:
            self.skipTest("xdp-loader is not installed")
        self.by_tool("xdp-loader", "load", "-m", "native", LIBXDP, shipped("pass"))
        self.assertIn("libxdp's", self.crema("xdp", "attach", LIBXDP, shipped("drop"), code=1))
        self.crema("xdp", "attach", LIBXDP, shipped("drop"), "--replace")
        self.assertEqual(self.verdicts()[0], {"rx_xdp_drop"})
        self.crema("xdp", "attach", OWN, shipped("pass"), shipped("drop"))
        self.assertIn("not using a dispatcher", self.by_tool("xdp-loader", "load", "-m", "native", OWN, shipped("pass"), fails=True))
        self.assertEqual([name for _, name, *_ in self.own()], ["drop", "pass"])
        # All of ours are to libxdp the one that it shows, and it may take them off.
        self.by_tool("xdp-loader", "unload", OWN, "--all")
        self.assertEqual(self.own(), [])
        self.end()

    def test_runs_are_counted_by_program(self):
        if tool("bpftool") is None:
            self.skipTest("bpftool is not installed")
        self.crema("xdp", "attach", OWN, f"{shipped('drop')},prio=30", f"{shipped('pass')},prio=20", f"{made('chained')}:same,prio=10",
                   f"{shipped('pass')},prio=40")
        asks = """
import ctypes, json, os, struct, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from extensions import BPF, SILENT, bpf
BPF.libbpf_set_print(SILENT)
stats = bpf(32, struct.pack("=I", 0))[0]
time.sleep(0.5)
os.close(stats)
time.sleep(2.5)
print(subprocess.run([sys.argv[2], "-j", "prog", "show"], capture_output=True, text=True).stdout)
"""
        done = self.path.run(sys.executable, "-c", asks, pathlib.Path(__file__).resolve().parent / "support", tool("bpftool"))
        told = {one["id"]: one.get("run_cnt", 0) for one in json.loads(done.stdout)}
        first, second, third, fourth = [told[number] for _, _, number, *_ in self.own()]
        self.assertGreater(first, 100)
        self.assertEqual((second, third, fourth), (first, first, 0), "the last one is behind one that drops")
        self.end()


if __name__ == "__main__":
    CREMA, TESTPMD = sys.argv[1:3]
    BUILD = pathlib.Path(sys.argv[3])
    unittest.main(argv=sys.argv[:1], verbosity=2)
