#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Real traffic through the whole path: host - wire - NIC model - driver - l2fwd - model - wire - host.

  traffic_test.py tap|packet BUILD_DIR

Two Linux hosts (network namespaces) are joined only by two modelled ports and crema-testpmd with the
l2fwd object. Frames that one host pushes must come out of the other byte for byte and in order, both
ways; 100 MB over TCP must have the same SHA-256 at both ends; at the end every frame and every page is
accounted for. Skips (exit code 77) without root.
"""
import os
import pathlib
import random
import subprocess
import sys

from support.hosts import Host, why_no_hosts
from support.processes import Testpmd, check, run_test, skip

SUPPORT = pathlib.Path(__file__).resolve().parent / "support"
TRANSFER_BYTES = 100_000_000


def frames_to_send(source, target, count=400):
    """Frames of every length class, kinds of address and tags, in an order that a seed fixes."""
    rng = random.Random(count)
    groups = (target, target, bytes.fromhex("ffffffffffff"), bytes.fromhex("01005e000102"))
    lengths = [60, 61, 63, 64, 65, 127, 128, 255, 256, 511, 1023, 1280, 1500, 1513, 1514]
    lengths += [rng.randint(60, 1514) for _ in range(count - len(lengths))]
    frames = []
    for number, length in enumerate(lengths):
        tag = bytes.fromhex("8100") + rng.randrange(1, 4095).to_bytes(2, "big") if number % 5 == 4 else b""
        head = groups[number % len(groups)] + source + tag + bytes.fromhex("88b5") + number.to_bytes(4, "big")
        frames.append(head + rng.randbytes(length - len(head)))
    return frames


def mac_of(host):
    words = host.run("ip", "-br", "link", "show", "dev", host.interface).stdout.split()
    return bytes.fromhex(words[2].replace(":", ""))


def check_bytes(sender, receiver):
    frames = frames_to_send(mac_of(sender), mac_of(receiver))
    recorder = receiver.python(SUPPORT / "frames.py", "record", receiver.interface, str(len(frames)), "15",
                               stdout=subprocess.PIPE)
    recorder.stdout.readline()
    sender.run(sys.executable, SUPPORT / "frames.py", "send", sender.interface,
               input="\n".join(frame.hex() for frame in frames))
    arrived = [bytes.fromhex(line) for line in recorder.communicate(timeout=30)[0].split()]
    for number, (sent, seen) in enumerate(zip(frames, arrived)):
        check(sent == seen, f"frame {number} ({len(sent)} bytes) from {sender.name} changed on its way:\n"
              f"  sent {sent.hex()}\n  seen {seen.hex()}")
    check(len(arrived) == len(frames), f"{len(frames)} frames left {sender.name}, {len(arrived)} arrived")
    print(f"{len(frames)} frames of 60 to 1514 bytes, {sender.name} to {receiver.name}: byte-identical, in order")


def check_tcp(sender, receiver, address):
    listener = receiver.python(SUPPORT / "tcp.py", "receive", "5001", stdout=subprocess.PIPE)
    listener.stdout.readline()
    sent = sender.run(sys.executable, SUPPORT / "tcp.py", "send", address, "5001", str(TRANSFER_BYTES)).stdout.split()
    received = listener.communicate(timeout=60)[0].split()
    check(int(received[0]) == TRANSFER_BYTES, f"TCP: {TRANSFER_BYTES} bytes sent, {received[0]} received")
    check(sent[1] == received[1], f"TCP: SHA-256 differs, sent {sent[1]}, received {received[1]}")
    print(f"TCP: {TRANSFER_BYTES} bytes, SHA-256 {received[1]} at both ends")


def check_accounts(ports):
    """stop() has compared frames in with verdicts; here: what one port redirected the other sent."""
    for port, other in (ports, ports[::-1]):
        redirected, lost = port.xdp["rx_xdp_redirect"], other.redirect["refused"]
        check(port.verdicts() == redirected, f"verdicts other than REDIRECT on {port.document['name']}: {port.xdp}")
        check(redirected == other.xdp["tx_xdp_xmit"] + lost,
              f"{redirected} frames redirected, {other.xdp['tx_xdp_xmit']} sent and {lost} refused")


def main():
    kind, build = sys.argv[1], pathlib.Path(sys.argv[2])
    reason = why_no_hosts()
    if reason:
        skip(reason)
    names = [f"crt{side}{os.getpid()}" for side in "ab"]
    addresses = ["10.77.0.1", "10.77.0.2"]
    with Host("a") as left, Host("b") as right:
        if kind == "packet":
            for host, name, address in zip((left, right), names, addresses):
                host.add_cable("eth0", name, f"{address}/24")
        with Testpmd(build, wires=[f"{kind}:{name}" for name in names], xdp="l2fwd",
                     maps=("tx_port:32=1", "tx_port:33=0")) as testpmd:
            if kind == "tap":
                for host, name, address in zip((left, right), names, addresses):
                    host.take(name, f"{address}/24")
            left.run("ping", "-c", "2", "-W", "2", addresses[1])
            check_bytes(left, right)
            check_bytes(right, left)
            check_tcp(left, right, addresses[1])
            check_accounts(testpmd.stop()["ports"])


if __name__ == "__main__":
    run_test(main)
