#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Each request that cannot be served ends with exit code 1, one clear line, and nothing left behind.

  errors_test.py CASE BUILD_DIR         CASE: a key of CASES below
"""
import os
import pathlib
import subprocess
import sys
import tempfile

from support.processes import application, check, eal_words, run_test, skip

TEST_OBJECTS = "tests/support/bpf"
MISSING_INTERFACE = f"crx{os.getpid()}"
TAP = f"cre{os.getpid()}"
NULL = ("null",)

# name: (wires, options after --, words the error line must have)
CASES = {
    "missing_object": (NULL, ["--xdp", "{tmp}/nothing.bpf.o"], ["nothing.bpf.o", "No such file"]),
    "not_an_elf": (NULL, ["--xdp", "{tmp}/text.bpf.o"], ["text.bpf.o", "ELF"]),
    "no_xdp_program": (NULL, ["--xdp", "{build}/" + TEST_OBJECTS + "/not_xdp.o"], ["not_xdp.o", "XDP"]),
    "out_of_bounds_read": (NULL, ["--xdp", "{build}/" + TEST_OBJECTS + "/out_of_bounds.o"],
                           ["invalid access to packet"]),
    "unknown_helper": (NULL, ["--xdp", "{build}/" + TEST_OBJECTS + "/unknown_helper.o"],
                       ["func"]),
    "mtu_with_program": (NULL, ["--mtu", "3000", "--xdp", "{build}/bpf/pass.bpf.o"], ["MTU", "3000"]),
    "unknown_wire": (("carrier-pigeon:x",), [], ["carrier-pigeon", "unknown wire"]),
    "missing_interface": ((f"packet:{MISSING_INTERFACE}",), [], [MISSING_INTERFACE]),
    "pool_too_small": (("null,pool=64",), [], ["pool=64", "needs at least"]),
    "pool_too_small_for_ring": (("null,pool=600",), [], ["pool=600", "need at least"]),
    "missing_device": (("device=platform:d0030000.ethernet",), [], ["d0030000.ethernet"]),
    "second_port_fails": ((f"tap:{TAP}", "carrier-pigeon:x"), [], ["carrier-pigeon"]),
}
NEEDS_ROOT = {"second_port_fails"}


def leftovers(prefix):
    """What a run could leave on this machine: interfaces, run-time folders, hugepage files."""
    found = set(os.listdir("/sys/class/net"))
    for place in ("/var/run/dpdk", f"/run/user/{os.getuid()}/dpdk", "/tmp/dpdk", "/dev/shm", "/dev/hugepages"):
        if os.access(place, os.R_OK | os.X_OK):
            found |= {f"{place}/{name}" for name in os.listdir(place) if prefix in name}
    return found


def main():
    case, build = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    wires, options, wanted = CASES[case]
    if case in NEEDS_ROOT and os.geteuid() != 0:
        skip("needs root (TAP)")
    with tempfile.TemporaryDirectory() as tmp:
        pathlib.Path(tmp, "text.bpf.o").write_text("This is no object file.\n", encoding="utf-8")
        options = [word.format(tmp=tmp, build=build) for word in options]
        command = [application(build), *eal_words(wires), "--", "--duration", "5",
                   *options]
        before = leftovers(f"crema{os.getpid()}")
        done = subprocess.run(command, text=True, capture_output=True, timeout=60, check=False)
    said = done.stdout + done.stderr
    check(done.returncode == 1, f"exit code {done.returncode} instead of 1; it said:\n{said}")
    # The program's verdict is one line. What a driver refuses is said by the driver, also one line;
    # EAL adds its own around it.
    errors = [line for line in said.splitlines() if line.startswith("crema-testpmd: ")]
    reasons = [line for line in said.splitlines() if line.startswith("crema: ")]
    check(len(errors) == 1 and len(reasons) <= 1, f"more than one error line, or none; it said:\n{said}")
    telling = (reasons + errors)[0]
    for word in wanted:
        check(word.lower() in telling.lower(), f"the error line does not say '{word}': {telling}")
    left = leftovers(f"crema{os.getpid()}") - before
    check(not left, f"left behind: {sorted(left)}")
    print(telling)


if __name__ == "__main__":
    run_test(main)
