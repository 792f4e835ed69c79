#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The device in another process: crema-testpmd drives crema-neta-model over a socket.

  user_device_test.py BUILD_DIR

Frames cross from process to process and every one is accounted for; the model killed under load is a link
that is down and a program that lives; a driver killed under load leaves a model that serves the next one and
keeps nothing of the last. CREMA_TEST_ROUNDS multiplies the kills.
"""
import os
import pathlib
import signal
import sys
import tempfile
import time

from support.processes import NetaModel, Testpmd, check, run_test

FRAMES = 1_000_000
KILLS = 10 * int(os.environ.get("CREMA_TEST_ROUNDS", "1"))


def held_by(pid):
    """Descriptors and mapped files of memory of a process."""
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    return len(os.listdir(f"/proc/{pid}/fd")), sum("memfd" in line for line in maps.splitlines())


def received(testpmd, at_least, seconds=200):
    deadline = time.monotonic() + seconds
    while (frames := testpmd.verdicts()[0]["drop"]) < at_least:
        check(time.monotonic() < deadline, f"{frames} of {at_least} frames after {seconds} s")
        time.sleep(0.1)
    return frames


def check_all_arrive(build):
    # The generator numbers nothing, but counts: what it was asked for must have got a verdict.
    with NetaModel(build, f"gen:count={FRAMES}") as model:
        with Testpmd(build, [f"device=user:{model.socket}"], xdp="drop") as testpmd:
            started = time.monotonic()
            received(testpmd, FRAMES)
            seconds = time.monotonic() - started
            port = testpmd.stop()["ports"][0]
        check(port.xdp["rx_xdp_drop"] == FRAMES, f"{FRAMES} frames sent, verdicts: {port.xdp}")
        check(port.ethdev["imissed"] == 0 and port.ethdev["ierrors"] == 0, f"losses: {port.ethdev}")
        model.wait_for("0 driver faults")
        print(f"{FRAMES} frames from process to process in {seconds:.1f} s, none lost: "
              f"{model.said().strip().splitlines()[-1]}")


def check_model_dies(build):
    with NetaModel(build, "gen") as model:
        with Testpmd(build, [f"device=user:{model.socket}"], xdp="drop") as testpmd:
            received(testpmd, 10_000)
            model.kill()
            testpmd.wait_for("the device is gone")
            before = testpmd.verdicts()[0]["drop"]
            testpmd.tell("show port stats all")
            testpmd.wait_for("link down")
            check(testpmd.verdicts()[0]["drop"] == before, "frames from a device that is gone")
            port = testpmd.stop()["ports"][0]
            check(not port.document["link"]["up"], "the link is up without a device")
    print("model killed under load: link down, program alive, every buffer home")


def check_model_returns(build):
    """Nobody tells crema-testpmd anything: it notices, and goes on with the program that is attached."""
    with tempfile.TemporaryDirectory(prefix="crema-returns-") as folder:
        socket = os.path.join(folder, "socket")
        model = NetaModel(build, "gen", socket=socket)
        try:
            with Testpmd(build, [f"device=user:{socket}"], xdp="drop") as testpmd:
                for number in range(1, KILLS + 1):
                    before = testpmd.verdicts()[0]["drop"]
                    received(testpmd, before + 10_000, 30)
                    model.kill()
                    testpmd.wait_for("the device is gone", number)
                    model.__exit__()
                    if number % 2 == 0:
                        time.sleep(0.3)  # a while without a device
                    model = NetaModel(build, "gen", socket=socket)
                received(testpmd, testpmd.verdicts()[0]["drop"] + 10_000, 30)
                port = testpmd.stop()["ports"][0]
                check(port.document["link"]["up"], "the link is down though the device is back")
        finally:
            model.__exit__()
    print(f"model killed under load and started again {KILLS} times: crema-testpmd went on by itself, every buffer home")


def check_driver_dies(build):
    with NetaModel(build, "gen") as model:
        baseline = held_by(model.process.pid)
        for number in range(1, KILLS + 1):
            with Testpmd(build, [f"device=user:{model.socket}"], xdp="drop") as testpmd:
                received(testpmd, 10_000)
                check(held_by(model.process.pid)[1] > baseline[1], "the model maps none of the driver's memory")
                testpmd.kill(signal.SIGKILL)
                model.wait_for(f"client {number} gone")
                # It says so before it has closed the client's socket.
                deadline = time.monotonic() + 10
                while held_by(model.process.pid) != baseline and time.monotonic() < deadline:
                    time.sleep(0.02)
                check(held_by(model.process.pid) == baseline,
                      f"after {number} clients the model holds {held_by(model.process.pid)} descriptors and maps, "
                      f"{baseline} before the first")
        model.process.send_signal(signal.SIGTERM)
        check(model.process.wait(timeout=10) == 0, "crema-neta-model did not end by SIGTERM")
        check(not os.path.exists(model.socket), "its socket is left behind")
    print(f"driver killed under load {KILLS} times: the model holds {baseline} descriptors and maps, as before")


def main():
    build = sys.argv[1]
    check_all_arrive(build)
    check_model_dies(build)
    check_model_returns(build)
    check_driver_dies(build)


if __name__ == "__main__":
    run_test(main)
