#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Extensions (freplace) under `crema bpf --`, compiled and interpreted, and beside the kernel where that loads them.

usage: crema_extensions_test.py CREMA FOLDER_WITH_TEST_OBJECTS
"""
import ctypes.util
import os
import pathlib
import subprocess
import sys
import unittest

CREMA = OBJECTS = ""
STEPS = str(pathlib.Path(__file__).resolve().parent / "support" / "extensions.py")

# The kernel's rules as documented; where a kernel loads extensions its answers are compared, too.
EXPECTED = """
good for first: ok, target 1, without 3, by LINK_CREATE ok 1
good for target: ok, target 1, without 3, by LINK_CREATE ok 1
good_number for number: ok, target 1007, without 3, by LINK_CREATE ok 1007
reads for first: ok, target 105, without 3, by LINK_CREATE ok 105
reads for target: ok, target 105, without 3, by LINK_CREATE ok 105
mover for moves: ok, target 1, without 3, by LINK_CREATE ok 1
mover for target: ok, target 7, without 3, by LINK_CREATE ok 7
good for uncalled: EINVAL Subprog uncalled doesn't exist
good for local: EINVAL local() is not a global function
good for number: EINVAL good() has 1 args while number() has 2 args
good for memory: EINVAL arg0 good(struct xdp_md *) doesn't match memory(struct pair *)
good_memory for memory: ok, target 1, without 3, by LINK_CREATE ok 1
mover for first: EINVAL Extension program changes packet data, while original does not
more_arguments for first: EINVAL more_arguments() has 2 args while first() has 1 args
other_context for first: EINVAL arg0 other_context(struct __sk_buff *) doesn't match first(struct xdp_md *)
other_result for first: EINVAL Return type PTR of other_result() doesn't match type INT of first()
other_number for number: EINVAL arg1 in other_number() has size 4 while number() has 8
number_for_pointer for first: EINVAL arg0 in number_for_pointer() is INT while first() has PTR
reads_too_far for first: EACCES R1 offset is outside of the packet
good for nothere: ENOENT (libbpf)
target: 3
told: True b'good' True
link: 2 True True True
two at once: EBUSY EBUSY
once more without a target: EINVAL EINVAL
update: EINVAL
detach: ENOTSUP 1
another target: ok 1
other function: EINVAL
half a target: EINVAL EINVAL
no such type: EINVAL no such program: EBADF
attach type: EBUSY
XDP as an extension: EINVAL EINVAL
by name: EINVAL
extension of an extension: EINVAL Cannot recursively attach
test run: -524 at an interface: EINVAL
extended, into an array: EBUSY
then: ok extend: EBUSY
again there: ok extend: EBUSY
taken out: ok extend: ok 105
an extension in a devmap: EINVAL
"""


UNSAFE = """
reads_too_much: EINVAL arg#0 of the extension is declared as another size or kind of memory than that of the function
takes_for_granted: EINVAL arg#0 of the extension is declared as another size or kind of memory than that of the function
"""


def steps(*prefix, unsafe=False, **environment):
    return subprocess.run([*prefix, sys.executable, STEPS, OBJECTS, *(["unsafe"] if unsafe else [])], capture_output=True, text=True,
                          timeout=60, check=False, env={**os.environ, **environment})


@unittest.skipIf(ctypes.util.find_library("bpf") is None, "libbpf is not installed")
class Extensions(unittest.TestCase):
    maxDiff = None

    def test_compiled(self):
        done = steps(CREMA, "bpf", "--", unsafe=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.strip().splitlines(), (EXPECTED.strip() + UNSAFE.rstrip()).splitlines())

    def test_interpreted(self):
        done = steps(CREMA, "bpf", "--", CREMA_JIT="off")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.strip().splitlines(), EXPECTED.strip().splitlines())

    def test_kernel(self):
        if os.geteuid() != 0:
            self.skipTest("the kernel beside it needs root")
        done = steps()
        if done.returncode == 77:
            self.skipTest(done.stdout.strip())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.strip().splitlines(), EXPECTED.strip().splitlines())


if __name__ == "__main__":
    CREMA, OBJECTS = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1], verbosity=2)
