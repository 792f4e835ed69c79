#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Puts extensions (freplace) in the place of functions in every way there is, and prints what came of each.

usage: extensions.py FOLDER_WITH_TEST_OBJECTS [unsafe]

Loads through libbpf, attaches by bpf(2) itself. Exit code 77 and one line: extensions cannot be loaded here at all.
"""
import ctypes
import ctypes.util
import errno
import os
import platform
import struct
import sys
import time

SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
LIBC = ctypes.CDLL(None, use_errno=True)
BPF = ctypes.CDLL(ctypes.util.find_library("bpf"), use_errno=True)
POINTER = ctypes.c_void_p
for name in ("bpf_object__open", "bpf_object__next_program"):
    getattr(BPF, name).restype = POINTER
BPF.bpf_program__name.restype = ctypes.c_char_p
for name in ("bpf_object__load", "bpf_program__fd", "bpf_program__name"):
    getattr(BPF, name).argtypes = [POINTER]
BPF.bpf_object__next_program.argtypes = [POINTER, POINTER]
BPF.bpf_program__set_attach_target.argtypes = [POINTER, ctypes.c_int, ctypes.c_char_p]
BPF.bpf_program__set_autoload.argtypes = [POINTER, ctypes.c_bool]
BPF.bpf_program__set_log_buf.argtypes = [POINTER, ctypes.c_char_p, ctypes.c_size_t]
PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, POINTER)
SILENT = PRINT(lambda *_: 0)
EXTENSION, XDP = 28, 6


def bpf(command, attributes):
    attributes = attributes.ljust(144, b"\0")
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = LIBC.syscall(SYS_BPF, command, buffer, len(attributes))
    return (result if result >= 0 else -ctypes.get_errno()), buffer.raw


def said(result):
    return errno.errorcode.get(-result, str(result)) if result < 0 else "ok"


def load(path, program, target=-1, function=None):
    """Descriptor or negative error, and the last line of the log without the program's name."""
    loaded, chosen, one = BPF.bpf_object__open(str(path).encode()), None, None
    while one := BPF.bpf_object__next_program(loaded, one):
        if BPF.bpf_program__name(one).decode() == program:
            chosen = one
        else:
            BPF.bpf_program__set_autoload(one, False)
    log = ctypes.create_string_buffer(1 << 16)
    if function:
        error = BPF.bpf_program__set_attach_target(chosen, target, function.encode())
        if error:
            return -errno.ENOENT, "(libbpf)"  # not all versions say so
    BPF.bpf_program__set_log_buf(chosen, log, len(log))
    error = BPF.bpf_object__load(loaded)
    lines = [line for line in log.value.decode().splitlines() if line and not line.startswith("processed ")]
    return (error, lines[-1].removeprefix(f"program {program[:15]}: ") if lines else "") if error else (BPF.bpf_program__fd(chosen), "")


def link_create(program, target=0, function=0, attach_type=0):
    return bpf(28, struct.pack("=IIIII", program, target, attach_type, 0, function))[0]


def raw_tracepoint(program, name=0):
    return bpf(17, struct.pack("=QI", name, program))[0]


def info(fd, size=232):
    buffer = ctypes.create_string_buffer(size)
    assert bpf(15, struct.pack("=IIQ", fd, size, ctypes.addressof(buffer)))[0] == 0
    return buffer.raw


def id_of(fd):
    return struct.unpack_from("=I", info(fd), 4)[0]


def type_of_function(program, wanted):
    """BTF id of a function."""
    number = struct.unpack_from("=I", info(program), 128)[0]
    fd, _ = bpf(19, struct.pack("=I", number))
    data = ctypes.create_string_buffer(1 << 16)
    about = ctypes.create_string_buffer(struct.pack("=QI", ctypes.addressof(data), len(data)), 32)
    assert bpf(15, struct.pack("=IIQ", fd, 32, ctypes.addressof(about)))[0] == 0
    os.close(fd)
    head, types_at, types_bytes, strings_at, _ = struct.unpack_from("=IIIII", data.raw, 4)
    at, number = head + types_at, 1
    rest = {1: 4, 3: 12, 14: 4, 17: 4}
    each = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
    while at < head + types_at + types_bytes:
        name_at, kind_and_count, _ = struct.unpack_from("=III", data.raw, at)
        kind, count = (kind_and_count >> 24) & 31, kind_and_count & 0xFFFF
        if kind == 12 and data.raw[head + strings_at + name_at:].split(b"\0")[0].decode() == wanted:
            return number
        at += 12 + rest.get(kind, 0) + count * each.get(kind, 0)
        number += 1
    raise AssertionError(f"no function {wanted}")


def run(program):
    data = ctypes.create_string_buffer(bytes([5]) + bytes(63), 64)
    result, raw = bpf(10, struct.pack("=IIIIQQII", program, 0, 64, 0, ctypes.addressof(data), 0, 1, 0))
    return struct.unpack_from("=I", raw, 4)[0] if result == 0 else said(result)


def let_go(link):
    """Closes it, and waits until it is gone: `crema bpf` looks now and then for what nobody holds any more."""
    number = struct.unpack_from("=I", info(link, 64), 4)[0]
    os.close(link)
    end = time.monotonic() + 10
    while bpf(31, struct.pack("=I", number - 1))[1][4:8] == struct.pack("=I", number):
        assert time.monotonic() < end, f"link {number} stays"
        time.sleep(0.001)


def put(array, key, value, value_bytes=4):
    key = ctypes.create_string_buffer(struct.pack("=I", key))
    value = ctypes.create_string_buffer(value, value_bytes)
    return bpf(2, struct.pack("=IxxxxQQQ", array, ctypes.addressof(key), ctypes.addressof(value), 0))[0]


def take(array, key):
    key = ctypes.create_string_buffer(struct.pack("=I", key))
    return bpf(3, struct.pack("=IxxxxQ", array, ctypes.addressof(key)))[0]


class Steps:
    def __init__(self, folder):
        self.folder = folder
        self.target = self.load_target()

    def load_target(self):
        fd, log = load(f"{self.folder}/replaceable.o", "target")
        assert fd > 0, (fd, log)
        return fd

    def load(self, program, function, target=None, source="extensions"):
        return load(f"{self.folder}/{source}.o", program, self.target if target is None else target, function)

    def made(self, program, function, target=None):
        fd, log = self.load(program, function, target)
        assert fd > 0, (fd, log)
        return fd

    def pairs(self):
        """Which stand for which: by the way in, what the target returns meanwhile, and afterwards."""
        for program, function in (("good", "first"), ("good", "target"), ("good_number", "number"), ("reads", "first"),
                                  ("reads", "target"), ("mover", "moves"), ("mover", "target"), ("good", "uncalled"),
                                  ("good", "local"), ("good", "number"), ("good", "memory"), ("good_memory", "memory"),
                                  ("mover", "first"), ("more_arguments", "first"), ("other_context", "first"),
                                  ("other_result", "first"), ("other_number", "number"), ("number_for_pointer", "first"),
                                  ("reads_too_far", "first"), ("good", "nothere")):
            fd, log = self.load(program, function)
            if fd < 0:
                print(f"{program} for {function}: {said(fd)} {log}")
                continue
            link = raw_tracepoint(fd)
            print(f"{program} for {function}: {said(link)}, target {run(self.target)}", end="")
            let_go(link)
            print(f", without {run(self.target)}", end="")
            again = link_create(fd, self.target, type_of_function(self.target, function))
            print(f", by LINK_CREATE {said(again)} {run(self.target)}")
            let_go(again)
            os.close(fd)
        print("target:", run(self.target))

    def unsafe(self):
        """The kernel looks at names only."""
        for program in ("reads_too_much", "takes_for_granted"):
            fd, log = self.load(program, "memory", source="extensions_unsafe")
            print(f"{program}: {said(fd)} {log}")

    def rules(self):
        first = type_of_function(self.target, "first")
        one, two = self.made("good", "first"), self.made("reads", "first")
        print("told:", struct.unpack_from("=I", info(one))[0] == EXTENSION, info(one)[64:68],
              struct.unpack_from("=I", info(one), 224)[0] == first)
        link = raw_tracepoint(one)
        kind, _, program, _, _, target, function = struct.unpack_from("=IIIIIII", info(link, 64))
        print("link:", kind, program == id_of(one), target == id_of(self.target), function == first)
        print("two at once:", said(raw_tracepoint(two)), said(link_create(two, self.target, first)))
        print("once more without a target:", said(raw_tracepoint(one)), said(link_create(one)))
        print("update:", said(bpf(29, struct.pack("=IIII", link, two, 0, 0))[0]))
        print("detach:", said(bpf(34, struct.pack("=I", link))[0]), run(self.target))
        other = self.load_target()
        print("another target:", said(beside := link_create(one, other, type_of_function(other, "first"))), run(other))
        print("other function:", said(link_create(two, other, type_of_function(other, "number"))))
        print("half a target:", said(link_create(two, other, 0)), said(link_create(two, 0, first)))
        print("no such type:", said(link_create(two, other, 9999)), "no such program:", said(link_create(two, 999, first)))
        print("attach type:", said(link_create(two, self.target, first, 37)))
        print("XDP as an extension:", said(link_create(self.target, other, first)), said(raw_tracepoint(self.target)))
        name = ctypes.create_string_buffer(b"xdp_exception")
        print("by name:", said(raw_tracepoint(two, ctypes.addressof(name))))
        print("extension of an extension:", *[self.load("reads", "good", one)[n] if n else said(self.load("reads", "good", one)[0])
                                              for n in (0, 1)])
        print("test run:", run(one), "at an interface:", said(link_create(one, 1, 0, 37)))
        let_go(beside)
        self.arrays(link, two)

    def arrays(self, link, extension):
        """A program is in an array of programs, or it is extended."""
        array = bpf(0, struct.pack("=IIIII", 3, 4, 4, 4, 0))[0]
        target = struct.pack("=I", self.target)
        print("extended, into an array:", said(put(array, 0, target)))
        let_go(link)
        print("then:", said(put(array, 0, target)), "extend:", said(raw_tracepoint(extension)))
        print("again there:", said(put(array, 0, target)), "extend:", said(raw_tracepoint(extension)))
        print("taken out:", said(take(array, 0)), "extend:", said(link := raw_tracepoint(extension)), run(self.target))
        let_go(link)
        devices = bpf(0, struct.pack("=IIIII", 14, 4, 8, 4, 0))[0]
        spare = self.made("reads", "target")
        print("an extension in a devmap:", said(put(devices, 0, struct.pack("=II", 1, spare), 8)))


def main():
    BPF.libbpf_set_print(SILENT)
    steps = Steps(sys.argv[1])
    probe, _ = steps.load("good", "first")
    if probe == -errno.EPERM:
        print("skipped: extensions may not be loaded here (EPERM)")
        sys.exit(77)
    os.close(probe)
    steps.pairs()
    steps.rules()
    if len(sys.argv) > 2:
        steps.unsafe()


if __name__ == "__main__":
    main()
