#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""scripts/objects over the objects built here, and over answers that no object here gives.

usage: objects_script_test.py SCRIPT BUILD_DIR
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPT = ""
BUILD = pathlib.Path()
NO_KERNEL = 77

# Stands where compare_objects would: says what the name of the object asks for.
STAND_IN = """#!/usr/bin/env python3
import json, os, pathlib, signal, sys, time
path = sys.argv[-1]
name = pathlib.Path(path).stem
if name == "crash":
    os.kill(os.getpid(), signal.SIGSEGV)
if name == "hang":
    time.sleep(60)
if name == "nobody":
    sys.exit(77)
loads, refuses = {"loads": True, "walked_instructions": 1}, {"loads": False, "errno": 22, "error": "Invalid argument",
                                                             "reason": path + ": why | not"}
print(json.dumps({"object": path, "program": "p", "section": "xdp", "older_form": False, "meeting": name,
                  "kernel": refuses if name == "both refuse" else loads,
                  "crema": refuses if name in ("both refuse", "refused here") else loads,
                  "packets": 5, "verdicts": {"2": 5}, "undetermined_packets": 0, "undetermined_entries": 0,
                  "difference": "bytes" if name == "differs" else ""}))
"""


def run(*words, timeout=280):
    return subprocess.run([SCRIPT, *map(str, words)], capture_output=True, text=True, timeout=timeout, check=False)


class Folder(unittest.TestCase):
    """Over real objects, with the real tool."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        for project, source, names in (("shipped", "bpf", ("drop", "ssh_mirror", "l2fwd", "cpumap_5tuple", "proto_counters", "vlan_pop")),
                                       ("oracles", "tests/support/bpf", ("oracle_redirect", "oracle_bad_oob_read", "oracle_globals"))):
            (self.path / project).mkdir()
            for name in names:
                shutil.copy(BUILD / source / f"{name}.bpf.o", self.path / project / f"{name}.o")
        (self.path / "shipped/no_object.o").write_bytes(b"\x7fELF and no more")

    def tearDown(self):
        self.folder.cleanup()

    def test_what_loads_in_the_kernel_loads_here_and_does_the_same(self):
        done = run("--build", BUILD, "--packets", 20, "--json", self.path)
        if done.returncode == NO_KERNEL:
            self.skipTest(done.stderr.strip())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        projects = json.loads(done.stdout)["projects"]
        self.assertEqual(sorted(projects), ["oracles", "shipped"])
        lines = {(pathlib.Path(line["object"]).stem, line["program"]): line for each in projects.values() for line in each}
        self.assertEqual(lines["drop", "drop"]["meeting"], "same")
        self.assertEqual(list(lines["drop", "drop"]["verdicts"]), ["1"])
        self.assertGreater(lines["l2fwd", "l2fwd"]["packets"], 100)
        self.assertIn(("cpumap_5tuple", "on_cpu"), lines)
        self.assertEqual(lines["oracle_bad_oob_read", "bad"]["meeting"], "both refuse")
        self.assertIn("outside of the packet", lines["oracle_bad_oob_read", "bad"]["kernel"]["reason"])
        self.assertEqual(lines["no_object", ""]["meeting"], "both refuse")
        redirects = lines["oracle_redirect", "oracle_redirect"]
        self.assertIn("4", redirects["verdicts"])

    def test_the_tables_name_projects_and_causes(self):
        done = run("--build", BUILD, "--packets", 5, self.path)
        if done.returncode == NO_KERNEL:
            self.skipTest(done.stderr.strip())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"\| oracles \| 3 \| 0 \| 2 \| 0 \| 1 \|")
        self.assertRegex(done.stdout, r"\| together \| 10 \|")
        self.assertIn("| oracle_bad_oob_read.o | bad | refuses (Permission denied) |", done.stdout)
        self.assertNotIn("| drop.o |", done.stdout)
        self.assertIn("| drop.o | drop | loads | loads | same |", run("--build", BUILD, "--packets", 5, "--all", self.path).stdout)


class Answers(unittest.TestCase):
    """With a stand-in for the tool."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        tool = self.path / "build/tests/selftests/compare_objects"
        tool.parent.mkdir(parents=True)
        tool.write_text(STAND_IN, encoding="utf-8")
        tool.chmod(0o755)

    def tearDown(self):
        self.folder.cleanup()

    def answer(self, *names, options=()):
        objects = self.path / "o"
        shutil.rmtree(objects, ignore_errors=True)
        objects.mkdir()
        for name in names:
            (objects / f"{name}.o").touch()
        return run("--build", self.path / "build", *options, objects)

    def test_exit_codes(self):
        self.assertEqual(self.answer("same", "both refuse", "undetermined").returncode, 0)
        for bad in ("refused here", "accepted here", "differs"):
            self.assertEqual(self.answer("same", bad).returncode, 1, bad)
        self.assertEqual(self.answer("nobody").returncode, NO_KERNEL)
        self.assertEqual(self.answer().returncode, 2)
        self.assertEqual(run().returncode, 2)
        self.assertEqual(run("--build", self.path / "nowhere", self.path).returncode, 1)

    def test_what_an_object_does_to_the_tool_is_told_and_ends_nothing(self):
        done = self.answer("crash", "hang", "same", options=("--timeout", "2"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("the comparison ended with -11", done.stdout)
        self.assertIn("not done after 2 s", done.stdout)
        self.assertRegex(done.stdout, r"\| o \| 3 \| 0 \| 1 \| 0 \| 0 \| 0 \| 0 \| 0 \| 2 \| 5 \|")

    def test_a_cause_is_one_cell_without_the_path(self):
        self.assertIn("| refused here | 5 | why / not |", self.answer("refused here").stdout)


if __name__ == "__main__":
    SCRIPT = os.path.abspath(sys.argv[1])
    BUILD = pathlib.Path(sys.argv[2])
    unittest.main(argv=sys.argv[:1], verbosity=2)
