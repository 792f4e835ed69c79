#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What bpftool makes of objects: two of them linked into one, and a skeleton of that in a C program, which prints the same
under the kernel and under `crema bpf --`.

usage: skeleton_test.py CREMA SKELETON_TOOL.c MAIN.o OTHER.o

Skipped by name where bpftool is missing; comparisons, where the kernel's bpf(2) is not allowed.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

CREMA = TOOL = MAIN = OTHER = ""
BPFTOOL = shutil.which("bpftool", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def run(*words, **kwargs):
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120, check=False, **kwargs)


@unittest.skipIf(BPFTOOL is None, "bpftool is not installed")
class Linked(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.folder.name)
        cls.linked = cls.path / "linked.o"
        cls.made = run(BPFTOOL, "gen", "object", cls.linked, MAIN, OTHER)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def setUp(self):
        self.assertEqual(self.made.returncode, 0, self.made.stderr)

    def skeleton_tool(self):
        skeleton = run(BPFTOOL, "gen", "skeleton", self.linked, "name", "linked")
        self.assertEqual(skeleton.returncode, 0, skeleton.stderr)
        (self.path / "linked.skel.h").write_text(skeleton.stdout, encoding="utf-8")
        built = run("cc", "-Wall", "-Werror", "-I", self.path, "-o", self.path / "tool", TOOL, "-lbpf")
        self.assertEqual(built.returncode, 0, built.stderr)
        return self.path / "tool"

    def test_a_half_alone_is_refused_and_says_what_is_missing(self):
        alone = run(CREMA, "xdp", "verify", MAIN)
        self.assertEqual(alone.returncode, 1)
        self.assertEqual(alone.stderr.count("\n"), 1, alone.stderr)

    def test_the_linked_object_is_verified_and_runs(self):
        judged = run(CREMA, "xdp", "verify", self.linked, "--json")
        self.assertEqual(judged.returncode, 0, judged.stderr)
        programs = json.loads(judged.stdout)["programs"]
        self.assertEqual([each["name"] for each in programs], ["counts", "drops"])
        self.assertEqual({each["verdict"] for each in programs}, {"accepted"})

    def test_linking_and_making_a_skeleton_are_the_same_under_crema(self):
        again = self.path / "again.o"
        linked = run(CREMA, "bpf", "--", BPFTOOL, "gen", "object", again, MAIN, OTHER)
        self.assertEqual(linked.returncode, 0, linked.stderr)
        self.assertEqual(again.read_bytes(), self.linked.read_bytes())
        wanted = run(BPFTOOL, "gen", "skeleton", self.linked, "name", "linked")
        got = run(CREMA, "bpf", "--", BPFTOOL, "gen", "skeleton", self.linked, "name", "linked")
        self.assertEqual(got.stdout, wanted.stdout)
        self.assertIn("linked__open_and_load", got.stdout)

    def test_a_program_with_the_skeleton_prints_the_same(self):
        tool = self.skeleton_tool()
        crema = run(CREMA, "bpf", "--", tool)
        self.assertEqual(crema.returncode, 0, crema.stdout + crema.stderr)
        self.assertIn("seen 56, others 1001, last 64, note Dain\n", crema.stdout)
        self.assertIn("counts 100 on 1: 0 3\n", crema.stdout)
        self.assertIn("again loaded\n", crema.stdout)
        kernel = run(tool)
        if "load -1\n" in kernel.stdout:
            self.skipTest("the kernel's bpf(2) is not allowed here")
        self.assertEqual(kernel.stdout, crema.stdout)


if __name__ == "__main__":
    CREMA, TOOL, MAIN, OTHER = sys.argv[1:5]
    unittest.main(argv=sys.argv[:1], verbosity=2)
