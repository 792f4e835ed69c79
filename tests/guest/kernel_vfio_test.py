#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The driver on the kernel's VFIO: crema-testpmd in a guest drives the device model through vfio-pci.

  kernel_vfio_test.py BUILD_DIR

The guest has Debian's amd64 kernel behind an IOMMU, the model is its NIC as a PCI function. FRAMES frames of a
capture go through an XDP program and out again; what comes out must be, byte for byte, what the same driver sends
with the model in its own process. Then the driver is killed under load, and the next one finds everything as new.
Skips without scripts/guests.
"""
import json
import pathlib
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time

from machine import PcGuest, check, why_no_guests  # first: it knows where the others are
from support.processes import NetaModel, application, eal_words, program_path, run_test, skip

FRAMES = 10_000
PROGRAM = "ssh_mirror"
FUNCTION = "0000:00:01.0"
PLUGIN = "/usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0/librte_mempool_ring.so.23.0"
MODULES = ["vfio-pci", "vfio_iommu_type1"]
STARTED = time.monotonic()


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


def options(program, seconds):
    return ["--xdp", program, "--forward-mode", "macswap", "--port-topology", "loop", "--idle-sleep-us", "20",
            "--duration", str(seconds), "--json"]


def on_the_model(build, capture, out):
    """What the driver sends with the model in its own process."""
    words = [application(build), *eal_words([f"pcap:{capture}:{out}"]), "--", *options(program_path(build, PROGRAM), 3)]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    return frames_in(out)


def prepare(guest):
    for module in guest.modules:
        guest.run(f"insmod /m/{module}")
    guest.run("chmod 755 / && mkdir -p /var/run /huge && mount -t hugetlbfs huge /huge")
    device = f"/sys/bus/pci/devices/{FUNCTION}"
    code, said = guest.attempt(testpmd_in_guest(1))
    check(code != 0 and "no driver has it: write vfio-pci to" in said, f"without VFIO's driver: {code}: {said}")
    guest.run(f"echo vfio-pci > {device}/driver_override && echo {FUNCTION} > /sys/bus/pci/drivers_probe")
    check("vfio-pci" in guest.run(f"readlink {device}/driver"), "not bound to vfio-pci")


def testpmd_in_guest(seconds):
    words = ["LD_LIBRARY_PATH=/lib crema-testpmd", "--lcores 0@0,1@1", "-m 64 --huge-dir /huge --no-pci --no-shconf --no-telemetry",
             "--log-level=error", f"--vdev=net_neta0,device=pci:{FUNCTION}", "--", *options(f"/{PROGRAM}.bpf.o", seconds)]
    return " ".join(words)


def final(said):
    return json.loads(next(line for line in said.splitlines() if line.startswith('{"type":"final"')))["ports"][0]


def main():
    build = sys.argv[1]
    reason = why_no_guests()
    if reason:
        skip(reason)
    with tempfile.TemporaryDirectory() as folder:
        capture, here, there = (pathlib.Path(folder, name) for name in ("in.pcap", "here.pcap", "there.pcap"))
        write_capture(capture)
        expected = on_the_model(build, capture, here)
        check(len(expected) == FRAMES, f"{len(expected)} of {FRAMES} frames came back with the model in process")
        with NetaModel(build, f"pcap:{capture}:{there}", ["--pci"]) as model:
            with PcGuest(model.socket, MODULES, [application(build)], [program_path(build, PROGRAM)], [PLUGIN]) as guest:
                say("guest booted: Linux " + guest.run("uname -r"))
                prepare(guest)
                port = final(guest.run(testpmd_in_guest(15), 120))
                check(port["ethdev"]["ipackets"] == FRAMES and port["ethdev"]["opackets"] == FRAMES, f"counted: {port}")
                say(f"{FRAMES} frames through the driver, {port['xdp']['rx_xdp_tx']} of them sent back by the program")
                # What a killed process leaves is the kernel's to clean up: the next one finds the port as new.
                guest.run(f"{testpmd_in_guest(60)} > /tmp/killed 2>&1 & sleep 8; kill -9 $!; wait $!; [ $? = 137 ] && rm /huge/*")
                port = final(guest.run(testpmd_in_guest(3), 60))
                check(port["link"]["up"] and port["ethdev"]["ierrors"] == 0, f"after a killed driver: {port}")
                guest.power_off()
            model.process.send_signal(signal.SIGTERM)
            check(model.process.wait(timeout=10) == 0, "crema-neta-model did not end by SIGTERM")
            check("driver error" not in model.said(), model.said())
        # What the program sends has a queue of its own, so the order is not always the same.
        sent = frames_in(there)
        check(sorted(sent) == sorted(expected), f"{len(sent)} frames from the guest, {len(expected)} expected, or they differ")
    say(f"{FRAMES} frames byte for byte as with the model in process")


if __name__ == "__main__":
    run_test(main)
