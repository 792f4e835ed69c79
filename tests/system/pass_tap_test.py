#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""--pass tap:NAME: a Linux host lives behind a port of ours while its program drops an attack.

  pass_tap_test.py BUILD_DIR

Two hosts (network namespaces). In one, crema-testpmd has a modelled port with the blocklist program and gives what it passes to that
host's own stack; the other one is on the port's wire: it pings, fetches a file by HTTP, keeps a TCP connection, and sends frames from blocked
networks, nine of ten and more of all that arrive. Needs root.
"""
import hashlib
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

from support.hosts import Host, inside, why_no_hosts
from support.processes import Testpmd, check, run_test, skip

SERVER, CLIENT = "10.78.0.1", "10.78.0.2"
FILE_BYTES = 3_000_000
# 198.51.100.0/22, as the program's map has it: length of the prefix, then the address.
BLOCKED = "blocked:hex:16000000c6336400=1"

# Frames from 198.51.100.0/22 to the server's MAC, without end; with pauses, for the attacker shares its interface with the client and
# would shut it out before anything reaches the wire.
ATTACK = """
import random, socket, struct, sys, time
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind((sys.argv[1], 0))
rng = random.Random(1)
def frame():
    source = bytes([198, 51, 100 + rng.randrange(4), rng.randrange(256)])
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 46, rng.randrange(65536), 0, 64, 17, 0, source, socket.inet_aton(sys.argv[3]))
    total = sum(struct.unpack("!10H", ip)); total = (total >> 16) + (total & 0xffff); total += total >> 16
    ip = ip[:10] + struct.pack("!H", ~total & 0xffff) + ip[12:]
    return bytes.fromhex(sys.argv[2]) + b"\\x02\\0\\0\\0\\0\\x66\\x08\\0" + ip + struct.pack("!HHHH", 53, 80, 26, 0) + bytes(18)
frames = [frame() for _ in range(256)]
print("ready", flush=True)
while True:
    for number, one in enumerate(frames):
        try:
            raw.send(one)
        except OSError:
            pass  # the interface's queue is full: that much it takes
        if number % 32 == 31:
            time.sleep(0.001)
"""

# A connection that stays: one line there and back, again and again.
KEPT = """
import socket, sys, time
with socket.create_connection((sys.argv[1], 7), timeout=20) as peer:
    peer.settimeout(20)
    for number in range(40):
        line = b"%d\\n" % number
        peer.sendall(line)
        got = b""
        while not got.endswith(b"\\n"):
            got += peer.recv(64)
        assert got == line, got
        time.sleep(0.05)
print("40 lines")
"""

ECHO = """
import socket
with socket.create_server(("", 7)) as server:
    print("ready", flush=True)
    while True:
        peer, _ = server.accept()
        with peer:
            while data := peer.recv(4096):
                peer.sendall(data)
"""


def fetch(host):
    done = host.run(sys.executable, "-c", f"import hashlib,urllib.request as u; "
                    f"print(hashlib.sha256(u.urlopen('http://{SERVER}:8000/file', timeout=30).read()).hexdigest())")
    return done.stdout.strip()


def shares(testpmd, before):
    now = testpmd.verdicts()[0]
    return {name: now[name] - before[name] for name in ("drop", "pass")}


def check_under_attack(testpmd, server, client, digest):
    mac = server.run("ip", "-br", "link", "show", "dev", "host0").stdout.split()[2].replace(":", "")
    attack = client.python("-c", ATTACK, client.interface, mac, SERVER, stdout=subprocess.PIPE)
    attack.stdout.readline()
    before = testpmd.verdicts()[0]
    kept = client.python("-c", KEPT, SERVER, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    client.run("ping", "-c", "5", "-i", "0.2", "-W", "2", SERVER)
    check(fetch(client) == digest, "the file that was fetched is another one")
    out, err = kept.communicate(timeout=60)
    check(out == "40 lines\n", f"the connection did not stay: {out}{err[-500:]}")
    counts = shares(testpmd, before)
    attack.kill()
    attack.wait()
    share = counts["drop"] / (counts["drop"] + counts["pass"])
    check(share >= 0.9, f"only {share:.0%} of the frames were the attack: {counts}")
    print(f"{counts['drop']} frames of the attack dropped, {share:.1%} of all; ping, HTTP and a kept connection went on")


def main():
    build = sys.argv[1]
    reason = why_no_hosts()
    if reason:
        skip(reason)
    with tempfile.TemporaryDirectory(prefix="crema-pass-") as folder, Host("server") as server, Host("client") as client:
        content = random.Random(1).randbytes(FILE_BYTES)
        pathlib.Path(folder, "file").write_bytes(content)
        wire = f"crp{os.getpid()}"
        with Testpmd(build, [f"tap:{wire}"], xdp="blocklist", maps=[BLOCKED], options=["--pass", "tap:host0"],
                     prefix=inside(server.name)) as testpmd:
            server.run("ip", "address", "add", f"{SERVER}/24", "dev", "host0")
            server.run("ip", "link", "set", "host0", "up")
            server.run("ip", "link", "set", wire, "netns", client.name)
            client._configure(wire, f"{CLIENT}/24")
            client.run("ping", "-c", "2", "-W", "5", SERVER)
            echo = server.python("-c", ECHO, stdout=subprocess.PIPE)
            echo.stdout.readline()
            server.python("-m", "http.server", "8000", cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 20
            while server.run(sys.executable, "-c", "import socket; socket.create_connection(('127.0.0.1', 8000))", check=False).returncode:
                check(time.monotonic() < deadline, "no HTTP server")
                time.sleep(0.1)
            digest = hashlib.sha256(content).hexdigest()
            check(fetch(client) == digest, "the file that was fetched is another one")
            check_under_attack(testpmd, server, client, digest)
            final = testpmd.stop()
            check(len(final["ports"]) == 2 and final["ports"][1].xdp["program"] is None, "the TAP device has a program")
        left = server.run("ip", "-br", "link", "show", "host0", check=False)
        check(left.returncode != 0, f"the TAP device is still there: {left.stdout}")


if __name__ == "__main__":
    run_test(main)
