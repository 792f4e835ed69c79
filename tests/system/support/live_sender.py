#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sends live frames: a test run whose program sends every frame one way. Prints the error number (0: done).

usage: live_sender.py WAY INGRESS TARGET REPEAT BATCH [BYTES]

WAY: tx, pass, drop, ifindex (bpf_redirect to TARGET), devmap (a slot with TARGET), cpumap (the slot of CPU TARGET).
Needs nothing but bpf(2). Frames are broadcast on Ethernet, so that any port takes them.
"""
import ctypes
import os
import platform
import struct
import sys

SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
LIBC = ctypes.CDLL(None, use_errno=True)
MAP_CREATE, MAP_UPDATE, PROG_LOAD, TEST_RUN = 0, 2, 5, 10
DEVMAP, CPUMAP = 14, 16
XDP_PROGRAM, XDP_ATTACH = 6, 37
LIVE_FRAMES = 2
REDIRECT, REDIRECT_MAP = 23, 51
QUEUE = 192
EXIT = struct.pack("<BBhi", 0x95, 0, 0, 0)


def bpf(command, attributes):
    memory = ctypes.create_string_buffer(attributes, 144)
    result = LIBC.syscall(SYS_BPF, command, memory, 144)
    return result if result >= 0 else -ctypes.get_errno()


def move(register, value):
    return struct.pack("<BBhi", 0xb7, register, 0, value)


def call(helper):
    return struct.pack("<BBhi", 0x85, 0, 0, helper)


def slot_of(map_type, key, value):
    made = bpf(MAP_CREATE, struct.pack("<IIIII", map_type, 4, 4, key + 1, 0))
    words = ctypes.create_string_buffer(struct.pack("<II", key, value))
    address = ctypes.addressof(words)
    done = bpf(MAP_UPDATE, struct.pack("<IxxxxQQQ", made, address, address + 4, 0))
    if made < 0 or done < 0:
        sys.exit(f"no slot: {made} {done}")
    return made


def through(the_map, key):
    return struct.pack("<BBhiBBhi", 0x18, 0x11, 0, the_map, 0, 0, 0, 0) + move(2, key) + move(3, 0) + call(REDIRECT_MAP) + EXIT


def code_for(way, target):
    if way == "devmap":
        return through(slot_of(DEVMAP, 0, target), 0)
    if way == "cpumap":
        return through(slot_of(CPUMAP, target, QUEUE), target)
    if way == "ifindex":
        return move(1, target) + move(2, 0) + call(REDIRECT) + EXIT
    return move(0, {"drop": 1, "pass": 2, "tx": 3}[way]) + EXIT


def load(code):
    instructions = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"GPL")
    attributes = struct.pack("<IIQQIIQII16sII", XDP_PROGRAM, len(code) // 8, ctypes.addressof(instructions),
                             ctypes.addressof(licence), 0, 0, 0, 0, 0, b"live_sender", 0, XDP_ATTACH)
    return bpf(PROG_LOAD, attributes)


def main():
    way = sys.argv[1]
    ingress, target, repeat, batch = map(int, sys.argv[2:6])
    size = int(sys.argv[6]) if len(sys.argv) > 6 else 64
    program = load(code_for(way, target))
    if program < 0:
        sys.exit(f"not loaded: {program}")
    frame = ctypes.create_string_buffer(b"\xff" * 6 + b"\x02\0\0\0\0\x01" + b"\x88\xb5" + bytes(size - 14), size)
    context = ctypes.create_string_buffer(struct.pack("<6I", 0, size, 0, ingress, 0, 0), 24)
    print("sending", flush=True)
    done = bpf(TEST_RUN, struct.pack("<IIIIQQIIIIQQIII", program, 0, size, 0, ctypes.addressof(frame), 0, repeat, 0, 24, 0,
                                     ctypes.addressof(context), 0, LIVE_FRAMES, 0, batch))
    print(-done, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
