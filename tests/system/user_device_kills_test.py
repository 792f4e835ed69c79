#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Driver and model in two processes, and one of them is killed with -9 under load, again and again.

  user_device_kills_test.py BUILD_DIR [CYCLES [models|drivers]]

Half of the cycles kill the driver (crema-testpmd with a program): the model unmaps its memory, says so, and serves the
next one. The other half kill the model under Debian's dpdk-testpmd: the link is down, nothing arrives, the
program lives; a new model at the same place is found by 'port stop' and 'port start', and frames come again.
Whoever survives holds as many descriptors and maps after each cycle as after the first, and no more memory at the
end. 20 cycles unless CYCLES, or CREMA_KILL_CYCLES, says otherwise; the last word: only one half.
"""
import os
import pathlib
import re
import signal
import sys
import tempfile
import time

from support.processes import NetaModel, Testpmd, check, run_test
from support.stock import StockTestpmd

GROWTH_MAX_KB = 4096  # over all cycles: allocators round, and threads get stacks


class Survivor:
    """What a process holds, compared with what it held before."""

    def __init__(self, pid, name):
        self.pid, self.name, self.first, self.kilobytes = pid, name, None, 0

    def _now(self):
        maps = pathlib.Path(f"/proc/{self.pid}/maps").read_text(encoding="utf-8").splitlines()
        return {"descriptors": len(os.listdir(f"/proc/{self.pid}/fd")),
                "mapped files": sum("memfd" in line or "/dev/shm" in line for line in maps),
                "threads": len(os.listdir(f"/proc/{self.pid}/task"))}

    def _memory(self):
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        return int(re.search(r"^RssAnon:\s+(\d+)", text, re.MULTILINE).group(1))

    def check(self, cycle):
        if self.first is None:
            time.sleep(0.5)
            self.first, self.kilobytes = self._now(), self._memory()
        # It says that the other one is gone before it has let go of the last thing; a leak stays.
        deadline = time.monotonic() + 10
        while (now := self._now()) != self.first:
            check(time.monotonic() < deadline, f"{self.name} holds {now} after cycle {cycle}, {self.first} after the first")
            time.sleep(0.02)
        if cycle % 100 == 0:
            print(f"{cycle} cycles, {self.name}: {self.report()}", flush=True)

    def report(self):
        grown = self._memory() - self.kilobytes
        check(grown <= GROWTH_MAX_KB, f"{self.name} has grown by {grown} kB from {self.kilobytes}")
        return f"{self.first}, {self.kilobytes} kB and {grown:+} kB since the first"


def kill_drivers(build, cycles):
    with NetaModel(build, "gen") as model:
        survivor = Survivor(model.process.pid, "crema-neta-model")
        for cycle in range(1, cycles + 1):
            with Testpmd(build, [f"device=user:{model.socket}"], xdp="drop") as testpmd:
                deadline = time.monotonic() + 60
                while testpmd.verdicts()[0]["drop"] < 5000:
                    check(time.monotonic() < deadline, f"no frames in cycle {cycle}")
                testpmd.kill(signal.SIGKILL)
            model.wait_for(f"client {cycle} gone", seconds=60)
            survivor.check(cycle)
        check("driver faults" in model.said() and re.search(r"[1-9]\d* driver faults", model.said()) is None,
              f"driver faults: {model.said()[-2000:]}")
        print(f"driver killed under load {cycles} times; the model: {survivor.report()}")


def wait_for_link(testpmd, state):
    """The driver looks ten times a second."""
    deadline = time.monotonic() + 20
    while not re.search(f"Link status: {state}", testpmd.tell("show port info 0")):
        check(time.monotonic() < deadline, f"the link is not {state}")
        time.sleep(0.05)


def kill_models(build, cycles):
    folder = tempfile.TemporaryDirectory(prefix="crema-kills-")
    socket = str(pathlib.Path(folder.name, "socket"))
    model = NetaModel(build, "gen", socket=socket)
    try:
        with StockTestpmd(build, [f"device=user:{socket}"], ("--total-num-mbufs=2048", "--forward-mode=rxonly")) as testpmd:
            survivor = Survivor(testpmd.pid(), "dpdk-testpmd")
            testpmd.tell("set promisc all on", "start")
            for cycle in range(1, cycles + 1):
                testpmd.wait_for_statistics(0, lambda now: now["RX-packets"] > 1000, 60)
                said = len(testpmd.output())
                model.kill()
                testpmd.wait_for("the device is gone", 60, said)
                before = testpmd.statistics(0)["RX-packets"]
                wait_for_link(testpmd, "down")
                check(testpmd.statistics(0)["RX-packets"] == before, "frames from a device that is gone")
                model.__exit__()
                model = NetaModel(build, "gen", socket=socket)
                testpmd.tell("stop", "port stop 0", "port start 0", "set promisc all on", "clear port stats all", "start")
                testpmd.wait_for_statistics(0, lambda now: now["RX-packets"] > 1000, 60)
                wait_for_link(testpmd, "up")
                survivor.check(cycle)
            said = testpmd.tell("stop", "show port xstats 0")
            check(re.search("^device_count_errors: 0$", said, re.MULTILINE), f"lies of the model: {said[-1500:]}")
            print(f"model killed under load {cycles} times; the driver: {survivor.report()}")
            testpmd.quit(("the device is gone",))
    finally:
        model.__exit__()
        folder.cleanup()


def main():
    build = sys.argv[1]
    cycles = int(sys.argv[2] if len(sys.argv) > 2 else os.environ.get("CREMA_KILL_CYCLES", "20"))
    half = sys.argv[3] if len(sys.argv) > 3 else ""
    if half != "drivers":
        kill_models(build, cycles // 2)
    if half != "models":
        kill_drivers(build, cycles - cycles // 2)


if __name__ == "__main__":
    run_test(main)
