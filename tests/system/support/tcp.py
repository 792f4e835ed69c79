#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""One TCP transfer with a checksum at both ends; started inside a host's namespace.

  tcp.py receive PORT               prints "ready", then bytes and SHA-256 of what arrived
  tcp.py send ADDRESS PORT BYTES    sends pseudo-random bytes, prints the same two
"""
import hashlib
import random
import socket
import sys

CHUNK = 1 << 20


def receive(port):
    with socket.create_server(("", port)) as server:
        server.settimeout(60)
        print("ready", flush=True)
        peer, _ = server.accept()
        digest, total = hashlib.sha256(), 0
        with peer:
            peer.settimeout(240)
            while chunk := peer.recv(CHUNK):
                digest.update(chunk)
                total += len(chunk)
    print(total, digest.hexdigest())


def send(address, port, size):
    source, digest, left = random.Random(size), hashlib.sha256(), size
    with socket.create_connection((address, port), timeout=30) as peer:
        peer.settimeout(240)
        while left > 0:
            chunk = source.randbytes(min(CHUNK, left))
            digest.update(chunk)
            peer.sendall(chunk)
            left -= len(chunk)
    print(size, digest.hexdigest())


if __name__ == "__main__":
    if sys.argv[1] == "receive":
        receive(int(sys.argv[2]))
    else:
        send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
