#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What config/boards holds, as far as it can be tried without a board: overlays on trees with a board's names, the script's refusals.

  boards_test.py SOURCE_DIR

That the script binds and gives back a port is shown in a guest with a platform device (tests/guest). Nothing here was run on a board.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path()
# Trees that name what the overlays name, with nodes and numbers as section 1.3 of the hardware page has them.
TREES = {
    "armada-3720": ("sb_periph_clk", {"eth0": 0x30000, "eth1": 0x40000}, 0x32004, [8, 7]),
    "armada-38x": ("gateclk", {"eth0": 0x70000, "eth1": 0x30000, "eth2": 0x34000}, 0x72004, [4, 3, 2]),
}


def tree(clock, ports, mdio):
    nodes = "".join(f"{label}: ethernet@{base:x} {{ compatible = \"marvell,armada-370-neta\"; reg = <{base:#x} 0x4000>; }};"
                    for label, base in ports.items())
    return (f"/dts-v1/; / {{ #address-cells = <1>; #size-cells = <1>; {clock}: clock {{ #clock-cells = <1>; phandle = <77>; }};"
            f"mdio: mdio@{mdio:x} {{ compatible = \"marvell,orion-mdio\"; reg = <{mdio:#x} 0x4>; }}; {nodes} }};")


def run(*words, **more):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=30, check=False, **more)


class Overlays(unittest.TestCase):
    def setUp(self):
        if not shutil.which("fdtoverlay"):
            self.skipTest("no dtc (package device-tree-compiler)")

    def test_overlays_apply_and_say_what_they_should(self):
        for board, (clock, ports, mdio, gates) in TREES.items():
            with self.subTest(board=board), tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                (folder / "base.dts").write_text(tree(clock, ports, mdio))
                overlay = SOURCE / "config/boards" / f"{board}-user-ports.dtso"
                for source, target in ((folder / "base.dts", "base.dtb"), (overlay, "user.dtbo")):
                    done = run("dtc", "-q", "-@", "-I", "dts", "-O", "dtb", "-o", folder / target, source)
                    self.assertEqual(done.returncode, 0, done.stderr)
                done = run("fdtoverlay", "-i", folder / "base.dtb", "-o", folder / "all.dtb", folder / "user.dtbo")
                self.assertEqual(done.returncode, 0, done.stderr)
                for base in ports.values():
                    said = run("fdtget", folder / "all.dtb", f"/ethernet@{base:x}", "compatible").stdout
                    self.assertRegex(said, "^crema,armada-.*-neta-user\n$", "a driver of the kernel would take the port")
                said = run("fdtget", folder / "all.dtb", f"/mdio@{mdio:x}", "clocks").stdout.split()
                self.assertEqual(said, [word for gate in gates for word in ("77", str(gate))])


class Script(unittest.TestCase):
    """A folder in the place of /sys: the script looks and refuses, and writes nothing."""

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.sys = pathlib.Path(self.temporary.name)
        self.port = self.sys / "bus/platform/devices/d0030000.ethernet"
        self.make(self.port / "of_node/compatible", "marvell,armada-3700-neta\0")
        self.make(self.port / "driver_override", "(null)\n")
        self.make(self.sys / "bus/platform/devices/other/of_node/compatible", "marvell,other\0")
        self.make(self.sys / "bus/platform/drivers_probe", "")
        self.make(self.sys / "bus/platform/drivers/mvneta/unbind", "")
        (self.port / "driver").symlink_to(self.sys / "bus/platform/drivers/mvneta")
        self.addCleanup(self.temporary.cleanup)

    def make(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def with_vfio(self, reset="N"):
        (self.sys / "bus/platform/drivers/vfio-platform").mkdir(parents=True)
        self.make(self.sys / "module/vfio_platform/parameters/reset_required", reset)

    def script(self, *words):
        # No way to modprobe: nothing of this may reach the machine's kernel.
        tools = self.sys / "tools"
        tools.mkdir(exist_ok=True)
        self.make(tools / "modprobe", "#!/bin/sh\nexit 1\n")
        (tools / "modprobe").chmod(0o755)
        return run("sh", SOURCE / "config/boards/neta-bind", *words,
                   env={**os.environ, "SYS": str(self.sys), "PATH": f"{tools}:{os.environ['PATH']}"})

    def refuses(self, words, code, says):
        files = {path: path.read_text() for path in self.sys.rglob("*") if path.is_file()}
        done = self.script(*words)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertRegex(done.stderr, rf"^neta-bind: .*{says}.*\n$")
        files[self.sys / "tools/modprobe"] = "#!/bin/sh\nexit 1\n"
        self.assertEqual({path: path.read_text() for path in self.sys.rglob("*") if path.is_file()}, files, "something was written")

    def test_wrong_use_is_one_line(self):
        for words in ([], ["bind"], ["bind", "a", "b"], ["status", "a"], ["reset"], ["unbind"]):
            with self.subTest(words=words):
                self.refuses(words, 2, "want: neta-bind status")
        self.refuses(["bind", "../x"], 2, "no name of a device")

    def test_what_cannot_be_bound_is_refused_and_left(self):
        self.refuses(["bind", "none.ethernet"], 1, "no such platform device")
        self.refuses(["bind", "other"], 1, "no NETA port")
        self.refuses(["unbind", "other"], 1, "no NETA port")
        self.refuses(["bind", "d0030000.ethernet"], 1, "module vfio-platform is neither built in nor to be had")

    def test_port_in_use_is_refused(self):
        self.with_vfio()
        self.make(self.port / "net/eth7/flags", "0x1003\n")
        self.refuses(["bind", "d0030000.ethernet", "--no-iommu"], 1, "eth7 is up")

    def test_no_iommu_is_a_choice(self):
        self.with_vfio()
        self.refuses(["bind", "d0030000.ethernet"], 1, "--no-iommu allows that")
        self.refuses(["bind", "d0030000.ethernet", "--no-iommu"], 1, "CONFIG_VFIO_NOIOMMU")

    def test_port_that_vfio_does_not_take_is_as_before(self):
        self.with_vfio()
        self.make(self.sys / "module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n")
        done = self.script("bind", "d0030000.ethernet", "--no-iommu")  # in this folder nothing takes anything
        self.assertEqual(done.returncode, 1)
        self.assertIn("vfio-platform did not take it", done.stderr)
        self.assertEqual((self.port / "driver_override").read_text(), "\n")
        self.assertEqual((self.sys / "bus/platform/drivers_probe").read_text(), "d0030000.ethernet\n")

    def test_status_lists_ports_alone(self):
        done = self.script("status")
        self.assertEqual((done.returncode, done.stdout), (0, "d0030000.ethernet: driver mvneta, IOMMU group: none\n"))


if __name__ == "__main__":
    SOURCE = pathlib.Path(sys.argv.pop(1))
    unittest.main()
