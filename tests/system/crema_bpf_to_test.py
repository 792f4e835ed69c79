#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`crema bpf --to`: programs of others on the ports of a running crema-testpmd.

usage: crema_bpf_to_test.py CREMA CREMA_TESTPMD BUILD_DIR

Needs no root and no device; what uses bpftool or libbpf is skipped by name where they are missing.
"""
import ctypes.util
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

from support.data_path import DataPath

CREMA = TESTPMD = ""
BUILD = pathlib.Path()
BPFTOOL = shutil.which("bpftool", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
LIBBPF = ctypes.util.find_library("bpf")

# A libbpf program: attaches by a link to a port (ifindex: its number + 32) and holds it for a while.
HOLD_LINK = """
import ctypes, sys, time
bpf = ctypes.CDLL(sys.argv[1], use_errno=True)
for name in ("bpf_object__open", "bpf_object__next_program"):
    getattr(bpf, name).restype = ctypes.c_void_p
bpf.bpf_object__next_program.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
bpf.bpf_object__load.argtypes = bpf.bpf_program__fd.argtypes = [ctypes.c_void_p]
target = bpf.bpf_object__open(sys.argv[2].encode())
loaded = bpf.bpf_object__load(target)
program = bpf.bpf_program__fd(bpf.bpf_object__next_program(target, None))
XDP = 37
link = bpf.bpf_link_create(program, int(sys.argv[3]), XDP, None)
second = bpf.bpf_link_create(program, int(sys.argv[3]), XDP, None)
nowhere = bpf.bpf_link_create(program, 31, XDP, None)  # below the ports
print(loaded, link >= 0, second, nowhere, flush=True)
time.sleep(float(sys.argv[4]))
"""


class To(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def start(self, *options):
        path = DataPath(CREMA, TESTPMD, self.folder.name, *options)
        self.addCleanup(path.process.wait)
        self.addCleanup(path.process.kill)  # before waiting
        self.addCleanup(path.process.stdout.close)
        self.addCleanup(path.process.stderr.close)
        return path

    def end(self, path):
        code, last, error = path.close()
        self.assertEqual(code, 0, error)
        self.assertEqual(last["buffers_missing"], 0)
        self.assertEqual(os.listdir(self.folder.name), [], "socket and folder are gone")

    @unittest.skipIf(LIBBPF is None, "libbpf is not installed")
    def test_a_link_attaches_to_a_port_for_as_long_as_it_is_held(self):
        path = self.start()
        path.port(lambda xdp: xdp["program"] is None)
        command = [CREMA, "bpf", "--to", path.socket, "--", sys.executable, "-c", HOLD_LINK, LIBBPF, BUILD / "bpf/drop.bpf.o", "32",
                   "30"]
        with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as holder:
            self.assertEqual(holder.stdout.readline(), "0 True -16 -22\n")  # EBUSY, EINVAL
            path.port(lambda xdp: xdp["program"] is not None and xdp["rx_xdp_drop"] > 1000)
            holder.kill()
        path.port(lambda xdp: xdp["program"] is None)
        self.end(path)

    @unittest.skipIf(BPFTOOL is None, "bpftool is not installed")
    def test_maps_of_the_data_path_can_be_read_and_written(self):
        path = self.start("--xdp", f"0={BUILD}/bpf/l2fwd.bpf.o")
        path.port(lambda xdp: xdp["rx_xdp_aborted"] > 100)  # no target yet
        shown = path.run(BPFTOOL, "-j", "prog", "show")
        self.assertEqual([program["name"] for program in json.loads(shown.stdout)], ["l2fwd"], shown.stderr)
        maps = {entry["name"] for entry in json.loads(path.run(BPFTOOL, "-j", "map", "show").stdout)}
        self.assertIn("tx_port", maps)
        told = path.run(BPFTOOL, "map", "update", "name", "tx_port", "key", *"32 0 0 0".split(), "value", *"33 0 0 0".split())
        self.assertEqual(told.returncode, 0, told.stdout + told.stderr)
        before = path.port(lambda xdp: xdp["rx_xdp_redirect"] > 100)["rx_xdp_redirect"]
        path.port(lambda xdp: xdp["rx_xdp_redirect"] > before)
        self.end(path)

    @unittest.skipIf(BPFTOOL is None, "bpftool is not installed")
    def test_pins_outlive_the_command(self):
        path = self.start()
        made = path.run(BPFTOOL, "prog", "load", BUILD / "bpf/pass.bpf.o", "/sys/fs/bpf/kept")
        if os.geteuid() != 0:
            self.skipTest("no right to cover /sys/fs/bpf")
        self.assertEqual(made.returncode, 0, made.stderr)
        shown = path.run(BPFTOOL, "-j", "prog", "show", "pinned", "/sys/fs/bpf/kept")
        self.assertEqual(json.loads(shown.stdout)["name"], "pass", shown.stderr)
        self.assertFalse(os.path.exists("/sys/fs/bpf/kept"))
        self.end(path)

    def test_bad_clients_do_no_harm(self):
        path = self.start()
        self.assertEqual(os.stat(path.socket).st_mode & 0o777, 0o600)
        idle = []
        for number in range(200):
            client = socket.socket(socket.AF_UNIX)
            client.connect(path.socket)
            if number % 3 == 0:
                client.send(bytes(number + 1))
            elif number % 3 == 1:
                socket.send_fds(client, [b"d"], [0])
            if number % 2 == 0:
                client.close()
            else:
                idle.append(client)
        answered = socket.socket(socket.AF_UNIX)
        answered.connect(path.socket)
        socket.send_fds(answered, [b"d"], [0])
        self.assertEqual(answered.recv(100), b"error: the descriptor is not that of a trap\n")
        self.assertEqual(path.run("true").returncode, 0)
        self.assertEqual(path.run("sh", "-c", "exit 5").returncode, 5)
        for client in [*idle, answered]:
            client.close()
        self.end(path)

    def test_nobody_there_is_one_line(self):
        done = subprocess.run([CREMA, "bpf", "--to", self.folder.name + "/none", "--", "true"], capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("\n"), 1)


if __name__ == "__main__":
    CREMA, TESTPMD = sys.argv[1:3]
    BUILD = pathlib.Path(sys.argv[3])
    unittest.main(argv=sys.argv[:1], verbosity=2)
