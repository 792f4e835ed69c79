#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Asks for every way of putting an XDP program on an interface by rtnetlink, and prints what came of each.

usage: xdp_netlink.py INTERFACE NO_SUCH_IFINDEX

Speaks netlink itself, so that it can say what no tool says; programs come by bpf(2). Prints one line a step: the error,
the words that explain it, and what a query shows afterwards. Program numbers are told as the step that loaded them.
Ends with nothing attached.
"""
import ctypes
import errno
import os
import platform
import socket
import struct
import sys

NEWLINK, GETLINK, SETLINK, ERROR, DONE = 16, 18, 19, 2, 3
REQUEST, ACK, DUMP = 1, 4, 0x300
IFNAME, XDP = 3, 43
FD, ATTACHED, FLAGS, PROG_ID, DRV_PROG_ID, SKB_PROG_ID, HW_PROG_ID, EXPECTED_FD = range(1, 9)
NESTED = 0x8000
SOL_NETLINK, CAP_ACK, EXT_ACK = 270, 10, 11
IF_NOEXIST, SKB, DRV, HW, REPLACE = 1, 2, 4, 8, 16
DEVMAP_PROGRAM, CPUMAP_PROGRAM, XDP_PROGRAM = 33, 35, 37

SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
LIBC = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    attributes = attributes.ljust(128, b"\0")
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = LIBC.syscall(SYS_BPF, command, buffer, len(attributes))
    return (result if result >= 0 else -ctypes.get_errno()), buffer.raw


def load(verdict, attach_type=XDP_PROGRAM):
    """A program that returns `verdict`."""
    code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xB7, 0, 0, verdict, 0x95, 0, 0, 0))
    license_text = ctypes.create_string_buffer(b"GPL")
    fd, _ = bpf(5, struct.pack("=IIQQIIQII16sII", 6, 2, ctypes.addressof(code), ctypes.addressof(license_text), 0, 0, 0, 0,
                               0, b"", 0, attach_type))
    assert fd >= 0, errno.errorcode[-fd]
    return fd


def id_of(fd):
    info = ctypes.create_string_buffer(64)
    assert bpf(15, struct.pack("=IIQ", fd, len(info), ctypes.addressof(info)))[0] == 0
    return struct.unpack_from("=I", info.raw, 4)[0]


def link_create(program, ifindex, flags):
    return bpf(28, struct.pack("=IIII", program, ifindex, 37, flags))[0]


def attribute(kind, payload):
    data = struct.pack("=HH", len(payload) + 4, kind) + payload
    return data + bytes(-len(data) % 4)


def attributes(data):
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4 or length > len(data):
            break
        found[kind & 0x3FFF] = data[4:length]
        data = data[length + (-length % 4):]
    return found


def number(value):
    return struct.pack("=i", value)


def xdp(*parts):
    return attribute(XDP | NESTED, b"".join(parts))


class Route:
    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self.socket.setsockopt(SOL_NETLINK, EXT_ACK, 1)
        self.socket.bind((0, 0))
        self.sequence = 0

    def send(self, kind, flags, ifindex, payload=b"", family=0):
        self.sequence += 1
        body = struct.pack("=BxHiII", family, 0, ifindex, 0, 0) + payload
        header = struct.pack("=IHHII", 16 + len(body), kind, REQUEST | flags, self.sequence, 0)
        self.socket.send(header + body)

    def messages(self):
        """Until an end: (type, flags, payload)."""
        port = self.socket.getsockname()[0]
        while True:
            data, sender = self.socket.recvfrom(65536)
            assert sender == (0, 0), sender
            while data:
                length, kind, flags, sequence, to = struct.unpack_from("=IHHII", data)
                assert sequence == self.sequence and to == port, (sequence, self.sequence, to, port)
                yield kind, flags, data[16:length]
                if kind in (ERROR, DONE) or not flags & 2:
                    return
                data = data[length + (-length % 4):]

    def change(self, ifindex, payload, kind=SETLINK):
        """(name of the error or 0, the kernel's words)."""
        self.send(kind, ACK, ifindex, payload)
        answer, flags, data = next(self.messages())
        assert answer == ERROR
        error, length, was = struct.unpack_from("=iIH", data)
        assert was == kind, was
        rest = data[4 + 16:] if flags & 0x100 else data[4 + length + (-length % 4):]
        words = attributes(rest).get(1, b"") if flags & 0x200 else b""
        return errno.errorcode[-error] if error else 0, words.rstrip(b"\0").decode()

    def link(self, ifindex, dump):
        self.send(GETLINK, DUMP if dump else 0, 0 if dump else ifindex)
        found = None
        for kind, _, data in self.messages():
            if kind == ERROR:
                return errno.errorcode[-struct.unpack_from("=i", data)[0]]
            if kind == NEWLINK and struct.unpack_from("=i", data, 4)[0] == ifindex:
                assert found is None, "one answer"
                found = attributes(data[16:])
        return found


class Steps:
    def __init__(self, interface):
        self.route = Route()
        self.interface = interface
        self.ifindex = socket.if_nametoindex(interface)
        assert socket.if_indextoname(self.ifindex) == interface
        self.programs = {}

    def program(self, name, verdict=2, attach_type=XDP_PROGRAM):
        fd = load(verdict, attach_type)
        self.programs[id_of(fd)] = name
        return fd

    def shown(self, dump=False):
        link = self.route.link(self.ifindex, dump)
        assert link[IFNAME].rstrip(b"\0").decode() == self.interface
        state = attributes(link[XDP])
        names = {ATTACHED: "mode", PROG_ID: "program", DRV_PROG_ID: "native", SKB_PROG_ID: "generic", HW_PROG_ID: "hardware"}
        return " ".join(f"{names[kind]}={value[0] if kind == ATTACHED else self.programs[struct.unpack('=I', value)[0]]}"
                        for kind, value in sorted(state.items()))

    def step(self, what, *parts, ifindex=None, payload=None, kind=SETLINK):
        error, words = self.route.change(self.ifindex if ifindex is None else ifindex,
                                         xdp(*parts) if payload is None else payload, kind)
        print(f"{what}: {error} '{words}' {self.shown()}")
        assert self.shown() == self.shown(dump=True)

    def set(self, what, fd, flags=None, expected=None, **more):
        parts = [attribute(FD, number(fd))]
        parts += [attribute(FLAGS, number(flags))] if flags is not None else []
        parts += [attribute(EXPECTED_FD, number(expected))] if expected is not None else []
        self.step(what, *parts, **more)


def changes(steps, no_ifindex):
    one, two = steps.program("one"), steps.program("two", 1)
    devmap, cpumap = steps.program("devmap", 2, DEVMAP_PROGRAM), steps.program("cpumap", 2, CPUMAP_PROGRAM)
    steps.set("detach from nothing", -1)
    steps.set("attach", one)
    steps.set("attach again", one)
    steps.set("attach again by number of its own", one, IF_NOEXIST)
    steps.set("only where nothing is", two, IF_NOEXIST)
    steps.set("generic beside native", two, SKB)
    steps.set("hardware", two, HW)
    steps.set("replace what is not there", two, REPLACE, two)
    steps.set("replace without saying what", two, REPLACE)
    steps.set("replace nothing", two, REPLACE, -1)
    steps.set("replace in the other mode", two, REPLACE | SKB, one)
    steps.set("expected without the flag", two, DRV, one)
    steps.set("replace", one, REPLACE | DRV, two)
    steps.set("expected is no program", two, REPLACE, 0)
    steps.set("expected is not open", two, REPLACE, 999)
    steps.set("detach the other mode", -1, SKB)
    steps.set("detach hardware", -1, HW)
    steps.set("detach what is not there", -1, REPLACE, two)
    steps.set("two modes", two, SKB | DRV)
    steps.set("unknown flag", two, 32)
    steps.set("not open", 999)
    steps.set("no program", 0)
    steps.set("any negative number detaches", -7)
    steps.set("for devmaps", devmap)
    steps.set("for cpumaps", cpumap)
    steps.set("generic", two, SKB)
    steps.set("native beside generic", one, DRV)
    steps.set("native detach beside generic", -1, DRV)
    steps.set("detach what is expected", -1, SKB | REPLACE, two)
    steps.set("into nothing", one, REPLACE, -1)
    steps.set("detach", -1)
    steps.set("by the older message", one, kind=NEWLINK)
    steps.set("by the older message", -1, kind=NEWLINK)

    steps.step("nothing asked")
    steps.step("flags alone", attribute(FLAGS, number(DRV)))
    steps.step("unknown flags alone", attribute(FLAGS, number(64)))
    steps.step("two modes alone", attribute(FLAGS, number(SKB | HW)))
    steps.step("a result as a request", attribute(FD, number(one)), attribute(ATTACHED, b"\1"))
    steps.step("a number as a request", attribute(FD, number(one)), attribute(PROG_ID, number(1)))
    steps.step("short descriptor", attribute(FD, b"\1\0"))
    steps.step("long descriptor", attribute(FD, number(one) + bytes(4)))
    steps.step("short flags", attribute(FD, number(one)), attribute(FLAGS, b"\1"))
    steps.step("short expected", attribute(FD, number(one)), attribute(EXPECTED_FD, b"\1"))
    steps.step("attributes of tomorrow", attribute(FD, number(one)), attribute(77, b"abc"))
    steps.step("the last of two", attribute(FD, number(one)), attribute(FD, number(two)))
    steps.step("attribute over the end", struct.pack("=HHi", 12, FD, one))
    steps.step("attribute without header", attribute(FD, number(two)) + b"\4\0")
    steps.step("no nest", payload=attribute(XDP, b"\1"))
    steps.step("nest without its flag", payload=attribute(XDP, attribute(FD, number(two))))
    steps.set("detach", -1)
    target = xdp(attribute(FD, number(one)))
    print("no such interface:", *steps.route.change(no_ifindex, target))
    print("no interface:", *steps.route.change(0, target))
    print("no such name:", *steps.route.change(0, attribute(IFNAME, b"notthere\0") + target))
    steps.step("by name", ifindex=0, payload=attribute(IFNAME, steps.interface.encode() + b"\0") + target)
    steps.step("by name without its end", ifindex=0, payload=attribute(IFNAME, steps.interface.encode()) + target)
    steps.set("detach", -1)


def links(steps):
    one, two = steps.program("link one"), steps.program("link two", 1)
    print("link of an unknown flag:", link_create(one, steps.ifindex, 1))
    print("link of two modes:", link_create(one, steps.ifindex, SKB | DRV))
    print("link of hardware:", link_create(one, steps.ifindex, HW))
    steps.set("before a link", two)
    print("link over a program:", link_create(one, steps.ifindex, 0))
    print("generic link beside native:", link_create(one, steps.ifindex, SKB))
    steps.set("detach", -1)
    link = link_create(one, steps.ifindex, DRV)
    print("link:", link >= 0, steps.shown())
    print("link over a link:", link_create(two, steps.ifindex, 0))
    steps.set("over a link", two)
    steps.set("over a link, the same program", one)
    steps.set("over a link, expected", two, REPLACE, one)
    steps.set("beside a link", two, SKB)
    steps.set("detach of a link", -1)
    os.close(link)
    print("link gone:", steps.shown())
    link = link_create(one, steps.ifindex, SKB)
    print("generic link:", link >= 0, steps.shown())
    os.close(link)


def queries(steps, no_ifindex):
    print("no such number:", steps.route.link(no_ifindex, False), steps.route.link(no_ifindex, True))
    names = dict(socket.if_nameindex())
    assert names[steps.ifindex] == steps.interface, names
    assert "lo" in names.values(), "the machine's own are there, too"


if __name__ == "__main__":
    asked = Steps(sys.argv[1])
    changes(asked, int(sys.argv[2]))
    links(asked)
    queries(asked, int(sys.argv[2]))
