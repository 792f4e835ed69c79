#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The driver on the kernel's VFIO: crema-testpmd in a guest drives the device model through it.

  kernel_vfio_test.py VARIANT BUILD_DIR

VARIANT    guest                              the kernel's way to the device
pci        amd64, Debian's kernel             vfio-pci, group, type 1 IOMMU
platform   arm64, kernel of our own           vfio-platform, group, type 1 IOMMU
iommufd    arm64, kernel of our own           vfio-platform, the device's own node, iommufd
noiommu    arm64, kernel of our own           vfio-platform, group without IOMMU, physical addresses

FRAMES frames of a capture go through an XDP program and out again; what comes out must be, byte for byte, what the
same driver sends with the model in its own process. Before that, `crema neta probe` finds the port in order; on arm64
config/boards/neta-bind has bound it. On a second port the driver sleeps until frames come. Then it is killed under
load, and the next one finds everything as new. Skips without what is fetched and built for guests.
"""
import json
import os
import pathlib
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time

from archive import GUESTS, ROOT
from machine import BAR, BAR_BYTES, PcGuest, VfioBoardGuest, check, why_no_guests  # it knows where the others are
from support.processes import NetaModel, application, eal_words, program_path, run_test, skip

FRAMES = 10_000
RATE = 50  # frames per second for a driver that sleeps in between
PROGRAM = "ssh_mirror"
MEMPOOL = "dpdk/pmds-23.0/librte_mempool_ring.so.23.0"
MODULES = ["vfio-pci", "vfio_iommu_type1"]
ARM64 = pathlib.Path(os.environ.get("CREMA_ARM64_BUILD", ROOT / "build-arm64"))
SYSROOT = pathlib.Path(os.environ.get("CREMA_ARM64", ROOT / ".deps" / "arm64")) / "sysroot"
BIND = ROOT / "config" / "boards" / "neta-bind"
STARTED = time.monotonic()


def command(build):
    return str(pathlib.Path(build).resolve() / "apps" / "crema" / "crema")


def say(text):
    print(f"{time.monotonic() - STARTED:5.1f} s  {text}", flush=True)


def frame(number, rng):
    """TCP to port 22, which the program sends back, or another one, which it passes."""
    size = rng.randint(60, 1500)
    tcp = struct.pack("!HHIIBBHHH", rng.randint(1024, 65535), rng.choice((22, 80)), number, 0, 0x50, 0x10, 512, 0, 0)
    address = struct.pack("!BBHHHBBHII", 0x45, 0, size - 14, number & 0xffff, 0, 64, 6, 0, 0x0a000001, 0x0a000002)
    ethernet = bytes.fromhex("020000000001 020000000002 0800")
    return (ethernet + address + tcp + rng.randbytes(size))[:size]


def write_capture(path):
    rng = random.Random(1)
    with path.open("wb") as capture:
        capture.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for number in range(FRAMES):
            data = frame(number, rng)
            capture.write(struct.pack("<IIII", 0, 0, len(data), len(data)) + data)


def frames_in(path):
    data, at, frames = path.read_bytes(), 24, []
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        frames.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return frames


OPTIONS = ["--forward-mode", "macswap", "--port-topology", "loop", "--json"]


def on_the_model(build, capture, out):
    """What the driver sends with the model in its own process."""
    words = [application(build), *eal_words([f"pcap:{capture}:{out}"]), "--", "--xdp", program_path(build, PROGRAM), *OPTIONS,
             "--idle-sleep-us", "20", "--duration", "3"]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    return frames_in(out)


class Way:
    """One of the kernel's ways to the device: a guest, and how the driver is told of a port there."""

    arguments = ""  # of the driver, besides device=

    def __init__(self, build):
        self.build = build

    def why_not(self):
        return why_no_guests()

    def prepare(self, guest):
        """Before the driver can have the ports; each refusal on the way is one line that says what to do."""
        guest.run("chmod 755 / && mkdir -p /var/run /huge && mount -t hugetlbfs huge /huge")
        refused(guest, self.driver(0, self.arguments), "no driver has it: write vfio-")
        for number in range(2):
            self.bind(guest, number)

    def driver(self, number, arguments):
        """The command line up to the driver's own options."""
        return ("LD_LIBRARY_PATH=/lib crema-testpmd --lcores 0@0,1@1 -m 64 --huge-dir /huge --no-pci --no-shconf --no-telemetry "
                f"--log-level=error --vdev=net_neta0,device={self.device(number)}{arguments} -- {' '.join(OPTIONS)} ")

    def command(self, number, options):
        return self.driver(number, self.arguments) + options

    def check_running(self, guest):
        """While a driver runs in $!."""

    def check_killed(self, guest):
        """After it was killed."""

    def check_released(self, guest):
        """At the end, when nobody has the ports."""


class Pci(Way):
    def guest(self, sockets):
        return PcGuest(sockets, MODULES, [application(self.build), command(self.build)], [program_path(self.build, PROGRAM)],
                       [f"/usr/lib/x86_64-linux-gnu/{MEMPOOL}"])

    def device(self, number):
        return f"pci:0000:00:0{number + 1}.0"

    def prepare(self, guest):
        for module in guest.modules:
            guest.run(f"insmod /m/{module}")
        super().prepare(guest)

    def bind(self, guest, number):
        function = self.device(number).partition(":")[2]
        device = f"/sys/bus/pci/devices/{function}"
        guest.run(f"echo vfio-pci > {device}/driver_override && echo {function} > /sys/bus/pci/drivers_probe")
        check("vfio-pci" in guest.run(f"readlink {device}/driver"), "not bound to vfio-pci")


class Platform(Way):
    iommu = True

    def why_not(self):
        if not (GUESTS / "vfio-arm64" / "STAMP").exists():
            return "no guest kernel here: scripts/guest-kernel builds it"
        if not all(path.exists() for path in (pathlib.Path(application(ARM64)), pathlib.Path(command(ARM64)), SYSROOT)):
            return f"no arm64 build in {ARM64}: scripts/arm64 says how"
        return super().why_not()

    def guest(self, sockets):
        return VfioBoardGuest(sockets, [application(ARM64), command(ARM64)], [program_path(self.build, PROGRAM), BIND],
                              [f"usr/lib/aarch64-linux-gnu/{MEMPOOL}"], SYSROOT, ARM64, self.iommu)

    def name(self, number):
        return f"{BAR + number * BAR_BYTES:x}.ethernet"

    def device(self, number):
        return f"platform:{self.name(number)}"

    def bind(self, guest, number):
        function = f"/sys/bus/pci/devices/0000:00:0{number + 1}.0"
        check(int(guest.run(f"head -n 1 {function}/resource").split()[0], 16) == BAR + number * BAR_BYTES, "the BAR is elsewhere")
        guest.run(f"echo 1 > {function}/enable")
        guest.run(r"printf '\006\000' | dd of=" + f"{function}/config bs=2 seek=2 conv=notrunc 2>/dev/null")
        device = f"/sys/bus/platform/devices/{self.name(number)}"
        if not self.iommu and number == 0:
            code, said = guest.attempt(f"sh /neta-bind bind {self.name(number)}")
            check(code == 1 and "--no-iommu allows that" in said, f"taken without being asked for: {said}")
        words = "" if self.iommu else " --no-iommu"
        check("ready for" in guest.run(f"sh /neta-bind bind {self.name(number)}{words}"), "neta-bind did not bind it")
        check("vfio-platform" in guest.run(f"readlink {device}/driver"), "not bound to vfio-platform")
        check(f"{self.name(number)}: driver vfio-platform" in guest.run("sh /neta-bind status"), "neta-bind does not see it")

    def check_released(self, guest):
        check("driver none" in guest.run(f"sh /neta-bind unbind {self.name(1)}"), "neta-bind did not give it back")


class Type1(Platform):
    def check_running(self, guest):
        check("/dev/iommu" not in guest.run("ls -l /proc/$!/fd"), "groups come first, and iommufd was used")


class Iommufd(Platform):
    """On demand for the first port, and for the second because its group's node is not there."""

    def prepare(self, guest):
        super().prepare(guest)
        refused(guest, self.driver(0, ",vfio=rings"), "want group or iommufd")
        group = guest.run(f"basename $(readlink /sys/bus/platform/devices/{self.name(1)}/iommu_group)")
        guest.run(f"rm /dev/vfio/{group}")
        refused(guest, self.driver(1, ",vfio=group"), f"/dev/vfio/{group} does not exist")

    def command(self, number, options):
        return self.driver(number, ",vfio=iommufd" if number == 0 else "") + options

    def check_running(self, guest):
        check("/dev/iommu" in guest.run("ls -l /proc/$!/fd"), "iommufd is not used")


class NoIommu(Platform):
    iommu = False
    arguments = ",allow-noiommu=1"

    def prepare(self, guest):
        super().prepare(guest)
        refused(guest, self.driver(0, ""), "allow-noiommu=1 takes that")
        refused(guest, self.command(0, "").replace("--huge-dir /huge", "--no-huge"), "no huge page")

    GUARDIANS = "grep -l crema-guardian /proc/[0-9]*/comm 2>/dev/null | wc -l"

    def check_running(self, guest):
        there = guest.run(self.GUARDIANS)
        check(there == "1", f"one process is to stand by to stop the device, not '{there}': " + guest.run("cat /proc/[0-9]*/comm"))

    def check_killed(self, guest):
        guest.run(f"for i in $(seq 50); do [ $({self.GUARDIANS}) = 0 ] && break; sleep 0.1; done; [ $({self.GUARDIANS}) = 0 ]")


WAYS = {"pci": Pci, "platform": Type1, "iommufd": Iommufd, "noiommu": NoIommu}


def refused(guest, command, words):
    code, said = guest.attempt(command + "--duration 1")
    check(code != 0 and words in said, f"'{words}' was to be said, exit code {code}: {said}")


def start(guest, command, frames):
    """Starts a driver in the background of the guest; returns when it has sent so many frames."""
    guest.run(f": > /tmp/said; {command} --stats-period 0.2 >> /tmp/said 2>&1 & echo")  # nothing of the one before is read
    deadline = time.monotonic() + 120
    while True:
        sent = re.findall(r'"opackets":(\d+)', guest.run("tail -n 1 /tmp/said"))
        if sent and int(sent[0]) >= frames:
            return
        alive = guest.attempt("kill -0 $!")[0] == 0
        check(alive and time.monotonic() < deadline, f"{sent} of {frames} frames: " + guest.run("tail -n 5 /tmp/said"))
        time.sleep(0.1)


def stop(guest):
    """Ends it and returns its last statistics."""
    code, said = guest.attempt("kill -TERM $!; wait $!")
    check(code == 0, f"crema-testpmd ended with {code} {said}: " + guest.run("tail -n 5 /tmp/said"))
    return json.loads(guest.run("grep '\"final\"' /tmp/said"))


def check_frames(guest, way):
    start(guest, way.command(0, f"--xdp /{PROGRAM}.bpf.o --idle-sleep-us 20"), FRAMES)
    way.check_running(guest)
    port = stop(guest)["ports"][0]
    check(port["ethdev"]["ipackets"] == FRAMES and port["ethdev"]["opackets"] == FRAMES, f"counted: {port}")
    say(f"{FRAMES} frames through the driver, {port['xdp']['rx_xdp_tx']} of them sent back by the program")


def check_interrupts(guest, way):
    """Frames come one by one: the driver sleeps before most of them, and each must wake it."""
    start(guest, way.command(1, "--rx-interrupts"), 2 * RATE)
    way.check_running(guest)
    final = stop(guest)
    worker, port = final["workers"][0], final["ports"][0]["ethdev"]
    # On a busy machine a slow guest has the next frame before it could sleep.
    check(port["imissed"] == 0 and worker["interrupts"] >= 10, f"not woken by frames: {worker}, {port}")
    check(worker["rounds"] < 200 * worker["interrupts"] + 100_000, f"it does not sleep: {worker}")
    say(f"{worker['interrupts']} interrupts for {port['ipackets']} frames of {RATE} a second")


def check_probe(guest, way):
    """The self-test of a port that nobody drives, by this way to it; a driver finds the port in order afterwards."""
    words = way.arguments.replace(",allow-noiommu=1", " --allow-noiommu")
    report = json.loads(guest.run(f"LD_LIBRARY_PATH=/lib crema neta probe {way.device(0)} --rounds 8 --json{words}"))
    steps = {step["name"]: step for step in report["steps"]}
    check(report["passed"] and all(step["result"] == "ok" for step in steps.values()), f"the self-test: {report}")
    check("huge pages" in steps["loopback"]["what"], f"not in huge pages: {steps['loopback']}")
    say(f"self-test: {', '.join(steps)}")


def check_kill(guest, way):
    """What a killed process leaves is cleaned up: the next one finds the port as new, under the same load."""
    start(guest, way.command(1, f"--xdp /{PROGRAM}.bpf.o --idle-sleep-us 20"), RATE)
    guest.run("kill -9 $!; wait $!; [ $? = 137 ]")
    way.check_killed(guest)
    start(guest, way.command(1, "--idle-sleep-us 20"), RATE)
    final = stop(guest)
    port = final["ports"][0]
    check(port["link"]["up"] and port["ethdev"]["ierrors"] == 0 and final["buffers_missing"] == 0, f"after a killed driver: {port}")
    say("killed by SIGKILL, and the next one runs")


def main():
    variant, build = sys.argv[1:3]
    way = WAYS[variant](build)
    reason = way.why_not()
    if reason:
        skip(reason)
    with tempfile.TemporaryDirectory() as folder:
        capture, here, there = (pathlib.Path(folder, name) for name in ("in.pcap", "here.pcap", "there.pcap"))
        write_capture(capture)
        expected = on_the_model(build, capture, here)
        check(len(expected) == FRAMES, f"{len(expected)} of {FRAMES} frames came back with the model in process")
        with NetaModel(build, f"pcap:{capture}:{there}", ["--pci"]) as model, \
                NetaModel(build, f"gen:rate={RATE}", ["--pci"]) as generator:
            with way.guest([model.socket, generator.socket]) as guest:
                say("guest booted: Linux " + guest.run("uname -r"))
                way.prepare(guest)
                check_probe(guest, way)
                check_frames(guest, way)
                check_interrupts(guest, way)
                check_kill(guest, way)
                way.check_released(guest)
                guest.power_off()
            for each in (model, generator):
                each.process.send_signal(signal.SIGTERM)
                check(each.process.wait(timeout=10) == 0, "crema-neta-model did not end by SIGTERM")
                check("driver error" not in each.said(), each.said())
        # What the program sends has a queue of its own, so the order is not always the same.
        sent = frames_in(there)
        check(sorted(sent) == sorted(expected), f"{len(sent)} frames from the guest, {len(expected)} expected, or they differ")
    say(f"{FRAMES} frames byte for byte as with the model in process")


if __name__ == "__main__":
    run_test(main)
