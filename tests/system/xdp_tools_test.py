#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tools that attach XDP programs to interfaces, unchanged, on the ports of a running crema-testpmd.

usage: xdp_tools_test.py CREMA CREMA_TESTPMD BUILD_DIR SOURCE_DIR

What needs a tool, libbpf, or root (for the kernel beside it) is skipped by name where that is missing.
"""
import ctypes.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from support.data_path import DataPath

CREMA = TESTPMD = ""
BUILD = SOURCE = pathlib.Path()
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
NETLINK = str(pathlib.Path(__file__).resolve().parent / "support" / "xdp_netlink.py")
NO_IFINDEX = "987654321"
# What xdp-filter is to tell apart: UDP from the generator's hosts, to port 9 and another.
TRAFFIC = "gen:rate=20000;proto=udp;dport=9"


def tool(name):
    return shutil.which(name, path=PATH)


def needs(name):
    return unittest.skipIf(tool(name) is None, f"{name} is not installed")


def pass_object():
    return BUILD / "bpf/pass.bpf.o"


def drop_object():
    return BUILD / "bpf/drop.bpf.o"


class Tools(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def start(self, wire="gen"):
        path = DataPath(CREMA, TESTPMD, self.folder.name, wire=wire)
        self.addCleanup(path.process.wait)
        self.addCleanup(path.process.kill)  # before waiting
        self.addCleanup(path.process.stdout.close)
        self.addCleanup(path.process.stderr.close)
        self.path = path
        return path

    def run_tool(self, name, *words, code=0):
        done = self.path.run(tool(name), *words)
        self.assertEqual(done.returncode, code, f"{name} {words}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def end(self):
        code, last, error = self.path.close()
        self.assertEqual(code, 0, error)
        self.assertEqual(last["buffers_missing"], 0)

    def test_netlink_says_what_the_kernel_says(self):
        path = self.start(wire="null")
        ours = path.run(sys.executable, NETLINK, "net_neta0", NO_IFINDEX)
        self.assertEqual(ours.returncode, 0, ours.stdout + ours.stderr)
        self.assertIn("link gone: mode=0", ours.stdout)
        self.end()
        if os.geteuid() != 0 or tool("ip") is None:
            self.skipTest("the kernel beside it needs root and iproute2")
        one, other = f"crn{os.getpid()}a", f"crn{os.getpid()}b"
        subprocess.run([tool("ip"), "link", "add", one, "type", "veth", "peer", "name", other], check=True)
        try:
            kernel = subprocess.run([sys.executable, NETLINK, one, NO_IFINDEX], capture_output=True, text=True, timeout=60,
                                    check=False)
        finally:
            subprocess.run([tool("ip"), "link", "del", one], check=False)
        if kernel.returncode != 0 and "EPERM" in kernel.stderr:
            self.skipTest("the kernel's bpf(2) is missing")
        self.assertEqual(kernel.returncode, 0, kernel.stderr)
        self.assertEqual(ours.stdout.splitlines(), kernel.stdout.splitlines())

    @needs("bpftool")
    def test_bpftool_net(self):
        path = self.start()
        if os.geteuid() != 0:
            self.skipTest("no right to cover /sys/fs/bpf")
        self.run_tool("bpftool", "prog", "load", drop_object(), "/sys/fs/bpf/drop")
        self.run_tool("bpftool", "net", "attach", "xdpdrv", "pinned", "/sys/fs/bpf/drop", "dev", "net_neta0")
        path.port(lambda xdp: xdp["rx_xdp_drop"] > 1000)
        shown = json.loads(path.run(tool("bpftool"), "-j", "net", "show").stdout)[0]["xdp"]
        number = json.loads(path.run(tool("bpftool"), "-j", "prog", "show", "pinned", "/sys/fs/bpf/drop").stdout)["id"]
        self.assertEqual([one for one in shown if one["ifindex"] >= 32],
                         [{"devname": "net_neta0", "ifindex": 32, "mode": "driver", "id": number}])
        again = self.run_tool("bpftool", "net", "attach", "xdpdrv", "pinned", "/sys/fs/bpf/drop", "dev", "net_neta0", code=240)
        self.assertIn("already attached", again)
        self.run_tool("bpftool", "net", "attach", "xdpdrv", "pinned", "/sys/fs/bpf/drop", "dev", "net_neta0", "overwrite")
        self.run_tool("bpftool", "net", "detach", "xdpdrv", "dev", "net_neta0")
        path.port(lambda xdp: xdp["program"] is None)
        self.end()

    @needs("ip")
    def test_ip_link(self):
        path = self.start()
        listed = json.loads(path.run(tool("ip"), "-j", "link", "show").stdout)
        names = [link["ifname"] for link in listed]
        self.assertEqual([name for name in names if name.startswith("net_neta")], ["net_neta0", "net_neta1"])
        self.assertIn("lo", names, "the machine's own are there, too")
        one = json.loads(path.run(tool("ip"), "-j", "link", "show", "dev", "net_neta1").stdout)[0]
        self.assertEqual((one["ifindex"], one["mtu"], one["operstate"]), (33, 1500, "UP"))
        self.assertIn("does not exist", self.run_tool("ip", "link", "show", "dev", "net_neta7", code=1))
        self.assertIn("XDP program, and nothing else", self.run_tool("ip", "link", "set", "dev", "net_neta0", "mtu", "1400", code=2))
        if os.geteuid() != 0 or tool("bpftool") is None:
            self.skipTest("pins of bpftool need it, and root")
        self.run_tool("bpftool", "prog", "load", drop_object(), "/sys/fs/bpf/drop")
        self.run_tool("ip", "link", "set", "dev", "net_neta0", "xdpdrv", "pinned", "/sys/fs/bpf/drop")
        path.port(lambda xdp: xdp["rx_xdp_drop"] > 1000)
        self.assertIn(" xdp ", self.run_tool("ip", "link", "show", "dev", "net_neta0"))
        self.assertIn("Native and generic XDP can't be active at the same time",
                      self.run_tool("ip", "-force", "link", "set", "dev", "net_neta0", "xdpgeneric", "pinned", "/sys/fs/bpf/drop", code=2))
        self.run_tool("ip", "link", "set", "dev", "net_neta0", "xdp", "off")
        path.port(lambda xdp: xdp["program"] is None)
        self.end()

    @needs("xdp-loader")
    def test_xdp_loader(self):
        path = self.start()
        if os.geteuid() != 0:
            self.skipTest("no right to cover /sys/fs/bpf")
        self.run_tool("xdp-loader", "load", "-m", "native", "net_neta0", pass_object())
        path.port(lambda xdp: xdp["program"] == "xdp_dispatcher" and xdp["rx_xdp_pass"] > 1000)
        self.run_tool("xdp-loader", "load", "-m", "native", "-P", "10", "net_neta0", drop_object())
        path.port(lambda xdp: xdp["program"] == "xdp_dispatcher" and xdp["rx_xdp_drop"] > 1000)
        status = self.run_tool("xdp-loader", "status", "net_neta0")
        self.assertRegex(status, r"net_neta0 +xdp_dispatcher +native")
        programs = re.findall(r"=> +(\d+) +(\S+)", status)
        self.assertEqual([(priority, name) for priority, name in programs], [("10", "drop"), ("50", "pass")], status)
        numbers = dict(re.findall(r"=> +\d+ +(\S+) +(\d+)", status))
        self.run_tool("xdp-loader", "unload", "net_neta0", "--id", numbers["drop"])
        before = path.port(lambda xdp: True)["rx_xdp_drop"]
        path.port(lambda xdp: xdp["rx_xdp_pass"] > 1000)
        self.assertEqual(path.growth("rx_xdp_drop"), 0, before)
        self.run_tool("xdp-loader", "unload", "net_neta0", "--all")
        path.port(lambda xdp: xdp["program"] is None)
        self.assertRegex(self.run_tool("xdp-loader", "status"), r"net_neta0 +<No XDP program loaded!>")
        self.end()

    @needs("xdp-filter")
    def test_xdp_filter(self):
        path = self.start(TRAFFIC)
        if os.geteuid() != 0:
            self.skipTest("no right to cover /sys/fs/bpf")
        self.run_tool("xdp-filter", "load", "-m", "native", "-f", "udp", "-p", "allow", "net_neta0")
        path.port(lambda xdp: xdp["rx_xdp_pass"] > 1000)
        self.assertEqual(path.growth("rx_xdp_drop"), 0)
        self.run_tool("xdp-filter", "port", "9", "-p", "udp", "-m", "dst")
        path.port(lambda xdp: xdp["rx_xdp_drop"] > 1000)
        self.assertEqual(path.growth("rx_xdp_pass"), 0)
        # Under the kernel, too, it ends so where not all lists are there.
        status = self.run_tool("xdp-filter", "status", code=254)
        self.assertRegex(status, r"net_neta0")
        self.assertRegex(status, r"9 +dst,udp +\d+")
        self.run_tool("xdp-filter", "port", "9", "-p", "udp", "-m", "dst", "-r")
        before = path.port(lambda _: True)["rx_xdp_pass"]
        path.port(lambda xdp: xdp["rx_xdp_pass"] > before + 1000)
        self.assertEqual(path.growth("rx_xdp_drop"), 0)
        self.run_tool("xdp-filter", "unload", "net_neta0")
        path.port(lambda xdp: xdp["program"] is None)
        self.end()

    @unittest.skipIf(ctypes.util.find_library("bpf") is None, "libbpf is not installed")
    def test_runs_are_counted_while_somebody_asks(self):
        path = self.start()
        asks = """
import ctypes, json, os, struct, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from extensions import BPF, SILENT, bpf, info, load
BPF.libbpf_set_print(SILENT)
program, log = load(sys.argv[2], "drop")
link = bpf(28, struct.pack("=IIII", program, 32, 37, 0))[0]
count = lambda: struct.unpack_from("=QQ", info(program), 192)
time.sleep(0.5)
print(count() == (0, 0))
stats = bpf(32, struct.pack("=I", 0))[0]
print(bpf(32, struct.pack("=I", 1))[0])
while count()[1] < 1000:
    time.sleep(0.01)
print(count()[0] > 0)
if sys.argv[3]:
    shown = subprocess.run([sys.argv[3], "-j", "prog", "show", "name", "drop"], capture_output=True, text=True).stdout
    told = json.loads(shown)
    print(1000 <= told["run_cnt"] <= count()[1], 0 < told["run_time_ns"] <= count()[0])
else:
    print(True, True)
os.close(stats)
time.sleep(2.5)
last = count()
time.sleep(0.3)
print(count() == last)
"""
        done = path.run(sys.executable, "-c", asks, pathlib.Path(NETLINK).parent, drop_object(), tool("bpftool") or "")
        self.assertEqual(done.stdout.split(), ["True", "-22", "True", "True", "True", "True"], done.stderr)
        self.end()


if __name__ == "__main__":
    CREMA, TESTPMD = sys.argv[1:3]
    BUILD, SOURCE = map(pathlib.Path, sys.argv[3:5])
    unittest.main(argv=sys.argv[:1], verbosity=2)
