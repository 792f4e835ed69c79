#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sends raw frames from one host, or records them on another; started inside a host's namespace.

  frames.py send INTERFACE        frames in hex on stdin, one a line; paced
  frames.py record INTERFACE N S  prints "ready", then N frames of ethertype 0x88b5 in hex (or what
                                  came in S seconds)
0x88b5 is the ethertype for local experiments, so nothing else on the interface is mistaken for ours. The
kernel takes VLAN tags out of frames before a packet socket sees them; they are put back from its
auxiliary data, so what is printed is what was on the wire.
"""
import socket
import struct
import sys
import time

EXPERIMENT = 0x88B5
ETH_P_ALL = 3
SOL_PACKET, PACKET_AUXDATA = 263, 8
STATUS_VLAN_VALID, STATUS_VLAN_TPID_VALID = 0x10, 0x40
PACKET_OUTGOING = 4


def open_socket(interface):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    raw.bind((interface, ETH_P_ALL))
    return raw


def send(interface):
    raw = open_socket(interface)
    for number, line in enumerate(sys.stdin):
        raw.send(bytes.fromhex(line.strip()))
        if number % 8 == 7:
            time.sleep(0.004)  # a few at a time: queues on the way are short, and who empties them may have to wait for a CPU


def with_tag(frame, auxiliary):
    for level, kind, data in auxiliary:
        if (level, kind) != (SOL_PACKET, PACKET_AUXDATA):
            continue
        status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", data[:20])
        if status & STATUS_VLAN_VALID:
            tpid = tpid if status & STATUS_VLAN_TPID_VALID else 0x8100
            return frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
    return frame


def is_ours(frame):
    kind = int.from_bytes(frame[12:14], "big")
    if kind in (0x8100, 0x88A8):
        kind = int.from_bytes(frame[16:18], "big")
    return kind == EXPERIMENT


def record(interface, count, seconds):
    raw = open_socket(interface)
    raw.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
    print("ready", flush=True)
    deadline = time.monotonic() + seconds
    while count > 0 and time.monotonic() < deadline:
        raw.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            frame, auxiliary, _, sender = raw.recvmsg(65536, 256)
        except TimeoutError:
            break
        frame = with_tag(frame, auxiliary)
        if sender[2] != PACKET_OUTGOING and is_ours(frame):
            print(frame.hex())
            count -= 1


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(sys.argv[2])
    else:
        record(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
