#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The same programs under the kernel and under `crema bpf --`: their output must be equal byte for byte.

usage: crema_bpf_test.py CREMA FACE_TOOL ERRORS_TOOL TIMERS_TOOL QUERIES_TOOL LIVE_TOOL BUILD_DIR

face_tool runs the XDP programs of an object over packets and shows verdicts, packets and maps; errors_tool shows what bpf(2)
refuses, and how; queries_tool counts runs, and asks for what XDP programs have not; live_tool makes test runs with live frames,
and shows what they answer and what programs see in them. Skipped by name where the kernel's bpf(2) is not allowed; what
live_tool shows is then compared with what kernel 6.18 answered (recorded/live_frames.txt).
"""
import difflib
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

CREMA = FACE = ERRORS = TIMERS = QUERIES = LIVE = ""
BUILD = pathlib.Path()
RECORDED = pathlib.Path(__file__).resolve().parent / "recorded" / "live_frames.txt"
BPFFS = pathlib.Path("/sys/fs/bpf")
# Of other tests: what they read from the clock or count between runs is not in their answers.
OTHERS = ["drop", "pass", "ssh_mirror", "l2fwd", "l2fwd_drop_icmp", "cpumap_5tuple", "proto_counters", "vlan_pop", "blocklist"]
ORACLES = ["verdict", "adjust_head", "redirect", "arithmetic", "loop", "globals", "context", "packet"]
PROGRAMS_MIN = 60


def run(*words, under_crema, **kwargs):
    command = [CREMA, "bpf", "--"] if under_crema else []
    return subprocess.run([*command, *map(str, words)], capture_output=True, text=True, timeout=120, check=False, **kwargs)


def kernel_serves_bpf():
    return run(FACE, BUILD / "bpf/pass.bpf.o", under_crema=False).returncode == 0


def objects():
    shown = [BUILD / f"tests/conformance/{name}.bpf.o" for name in ("arrays", "events", "hashes", "packets", "samples", "tables", "targets")]
    shown += [BUILD / f"bpf/{name}{isa}.bpf.o" for name in OTHERS for isa in ("", ".v1", ".v2")]
    shown += [BUILD / f"tests/support/bpf/oracle_{name}.bpf.o" for name in ORACLES]
    return shown


def difference(kernel, crema):
    lines = difflib.unified_diff(kernel.splitlines(), crema.splitlines(), "kernel", "crema", lineterm="", n=0)
    return "\n".join(line[:160] for line in list(lines)[:40])


class UnderBoth(unittest.TestCase):
    def setUp(self):
        if not kernel_serves_bpf():
            self.skipTest("the kernel's bpf(2) is not allowed here")

    def equal(self, kernel, crema):
        self.assertEqual(kernel.returncode, crema.returncode, crema.stderr)
        if kernel.stdout != crema.stdout:
            self.fail(difference(kernel.stdout, crema.stdout) + crema.stderr)

    def test_programs_give_the_same_answers(self):
        programs = 0
        for path in objects():
            with self.subTest(path.name):
                kernel = run(FACE, path, under_crema=False)
                self.assertEqual(kernel.returncode, 0, kernel.stdout + kernel.stderr)
                self.equal(kernel, run(FACE, path, under_crema=True))
                programs += kernel.stdout.count("\nprogram ")
        self.assertGreaterEqual(programs, PROGRAMS_MIN)

    def test_refusals_are_the_same(self):
        if not os.access(BPFFS, os.W_OK):
            self.skipTest("no BPF file system to pin in")
        folder = BPFFS / f"crema_test_{os.getpid()}"
        folder.mkdir()
        with tempfile.TemporaryDirectory() as elsewhere:
            try:
                kernel = run(ERRORS, folder, under_crema=False, cwd=elsewhere)
            finally:
                folder.rmdir()
            crema = run("sh", "-c", f"mkdir {folder} && {ERRORS} {folder}", under_crema=True, cwd=elsewhere)
        self.assertGreater(kernel.stdout.count("\n"), 130, kernel.stderr)
        self.equal(kernel, crema)
        self.assertFalse(folder.exists(), "the command's BPF file system is its own")

    def test_timers_are_the_same(self):
        path = BUILD / "tests/conformance/timers.bpf.o"
        kernel = run(TIMERS, path, under_crema=False)
        self.assertGreater(kernel.stdout.count("expired: fired 1 "), 20, kernel.stdout + kernel.stderr)
        self.equal(kernel, run(TIMERS, path, under_crema=True))

    def test_counts_and_queries_are_the_same(self):
        kernel = run(QUERIES, under_crema=False)
        if "enabled: errno 1" in kernel.stdout:
            self.skipTest("the kernel does not let us count runs")
        self.assertIn("after 210: 0, 210 runs, some time", kernel.stdout)
        self.equal(kernel, run(QUERIES, under_crema=True))

    def test_live_frames_are_the_same(self):
        self.equal(run(LIVE, under_crema=False), run(LIVE, under_crema=True))

    def test_a_difference_is_seen(self):
        kernel = run(FACE, BUILD / "bpf/pass.bpf.o", under_crema=False)
        crema = run(FACE, BUILD / "bpf/drop.bpf.o", under_crema=True)
        with self.assertRaises(AssertionError):
            self.equal(kernel, crema)


class AsRecorded(unittest.TestCase):
    def test_live_frames(self):
        done = run(LIVE, under_crema=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        kernel = RECORDED.read_text(encoding="utf-8").split("\n", 2)[2]
        if done.stdout != kernel:
            self.fail(difference(kernel, done.stdout) + done.stderr)


if __name__ == "__main__":
    CREMA, FACE, ERRORS, TIMERS, QUERIES, LIVE = sys.argv[1:7]
    BUILD = pathlib.Path(sys.argv[7])
    unittest.main(argv=sys.argv[:1], verbosity=2)
