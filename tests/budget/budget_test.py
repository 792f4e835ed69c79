#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a packet costs the driver on arm64, in instructions, lines and accesses, counted by a plug-in of QEMU.

  budget_test.py QEMU COUNTER PROGRAM [--table]

Runs N and 2N bursts of each case and takes the difference, so that nothing of the start is in it. Fails when a
packet costs more instructions than LIMITS says, or a burst more accesses to registers than it must; --table prints
all counts in the form of docs/neta-budget.md. The counts are of the architecture and say nothing of time.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

BURSTS = 64
REGISTER_BYTES = 0x4000
PROCESSOR = "cortex-a53"  # without the atomic instructions of later ones
CYCLES = 672  # at 1.0 GHz and 1.488 million packets a second
# Reads and writes of registers per burst of 32: to receive, one of each; to send, a doorbell, and the chip is asked
# what it has sent, of an application's queues every fourth time.
ACCESSES = {"drop": (1, 1), "tx": (2, 2), "redirect": (2, 2), "receive": (1, 1), "forward": (1.25, 2)}
# Instructions per packet at bursts of 32. The first three are the goals; what is maintained by hand has as much
# more as cleaning a buffer costs.
LIMITS = {
    "coherent": {"drop": 250, "tx": 400, "redirect": 400, "receive": 250, "forward": 400},
    "maintained": {"drop": 500, "tx": 700, "redirect": 700, "receive": 500, "forward": 600},
}


class Counter:
    def __init__(self, qemu, counter, program):
        self._qemu, self._counter, self._program = qemu, counter, program

    def _run(self, case, memory, burst, bursts):
        """Counts of so many bursts, and how many packets those were."""
        with tempfile.NamedTemporaryFile() as out:
            plugin = f"{self._counter},registers={REGISTER_BYTES},out={out.name}"
            command = [self._qemu, "-cpu", PROCESSOR, "-plugin", plugin, self._program, case, str(burst), str(bursts), memory]
            done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
            if done.returncode != 0:
                sys.exit(f"FAILED: {case}, {memory}: {done.stderr.strip()}")
            counts = json.loads(pathlib.Path(out.name).read_text(encoding="utf-8"))
        if counts["regions"] != bursts:
            sys.exit(f"FAILED: {case}, {memory}: {counts['regions']} bursts counted, not {bursts}")
        return counts, int(done.stdout)

    def per_packet(self, case, memory, burst=32):
        once, packets = self._run(case, memory, burst, BURSTS)
        twice, more = self._run(case, memory, burst, 2 * BURSTS)
        return {name: (twice[name] - once[name]) / (more - packets) for name in once}


def row(case, memory, burst, n):
    """Register accesses are per burst, everything else per packet."""
    left = CYCLES - n["instructions"]
    return (f"| {case} | {memory} | {burst} | {n['instructions']:.0f} | {n['loads']:.0f} + {n['stores']:.0f} | "
            f"{n['data_lines']:.1f} | {n['code_lines'] * burst:.0f} | {n['cleaned'] + n['dropped']:.1f} | {n['barriers']:.2f} | "
            f"{n['register_reads'] * burst:.1f} + {n['register_writes'] * burst:.1f} | {left:.0f} |")


def print_table(counter):
    print("| case | memory | burst | instructions | loads + stores | data lines | code lines per burst | lines maintained | "
          "barriers | registers per burst, read + written | cycles left of 672 at one instruction a cycle |")
    print("| --- | --- " + "| ---: " * 9 + "|")
    for memory in LIMITS:
        for case in ACCESSES:
            print(row(case, memory, 32, counter.per_packet(case, memory)), flush=True)
    for burst in (8, 64):
        for case in ("drop", "tx", "redirect"):
            print(row(case, "coherent", burst, counter.per_packet(case, "coherent", burst)), flush=True)


def check(counter):
    failed = False
    for memory, limits in LIMITS.items():
        for case, limit in limits.items():
            n = counter.per_packet(case, memory)
            reads, writes = n["register_reads"] * 32, n["register_writes"] * 32
            right = n["instructions"] <= limit and (reads, writes) == ACCESSES[case]
            print(f"{'ok' if right else 'FAILED'}: {case}, {memory}: {n['instructions']:.0f} instructions a packet (at most "
                  f"{limit}), {reads:g} register reads and {writes:g} writes a burst ({ACCESSES[case]})", flush=True)
            failed = failed or not right
    sys.exit(1 if failed else 0)


def main():
    counter = Counter(*sys.argv[1:4])
    if sys.argv[4:] == ["--table"]:
        print_table(counter)
    else:
        check(counter)


main()
