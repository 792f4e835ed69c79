# SPDX-License-Identifier: BSD-3-Clause
"""A guest of QEMU with a modelled NIC: built of what scripts/guests fetched, driven over its serial console.

The NIC is a vfio-user device that crema-neta-model --pci serves. For drivers of the real boards the device tree
also has the NIC as those boards have it: a platform device whose registers are the PCI function's BAR and whose
interrupt is its INTx line, so that an unmodified driver finds what it knows.
"""
import gzip
import io
import json
import lzma
import os
import pathlib
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))
from support.processes import Failed, check  # noqa: E402  (the folder of the system tests comes first)

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GUESTS = pathlib.Path(os.environ.get("CREMA_GUESTS", ROOT / ".deps" / "guests"))
BAR = 0x10000000  # where the kernel puts the only BAR there is: the first address of the 32-bit window
INTERRUPT = 4  # SPI of slot 1, pin A
STREAM = 1 << 3  # what the IOMMU knows slot 1 by

INIT = """#!/bin/sh
/bin/busybox --install -s /tools
export PATH=/bin:/tools
[ -x /bin/ip ] && ip() { /bin/ip "$@"; }  # not busybox's own
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
dmesg -n 1; stty -echo -onlcr; ip link set lo up
echo "@@ready@@"
while read -r line; do eval "$line" 2>&1 </dev/null; echo "@@$?@@"; done
poweroff -f
"""


def why_no_guests():
    """The reason why no guest can be started, or an empty string."""
    return "" if (GUESTS / "STAMP").exists() else "no guests here: scripts/guests fetches them"


def tool(*words, **more):
    return subprocess.run([GUESTS / "run", *map(str, words)], check=True, capture_output=True, **more).stdout


def modules_of(names, architecture):
    """Modules with those they need, in the order of loading: (name, contents)."""
    folder = next((GUESTS / architecture).glob("**/lib/modules/*/modules.dep")).parent
    needs = dict(line.split(":") for line in (folder / "modules.dep").read_text(encoding="utf-8").splitlines())
    by_name = {re.sub(r"\.ko.*", "", pathlib.PurePath(path).name).replace("_", "-"): path for path in needs}
    order = []
    for name in names:
        path = by_name[name.replace("_", "-")]
        for each in [*reversed(needs[path].split()), path]:
            if each not in order:
                order.append(each)
    unpack = {".xz": lzma.decompress, ".ko": bytes}
    return [(pathlib.PurePath(path).name.split(".")[0] + ".ko",
             unpack[pathlib.PurePath(path).suffix]((folder / path).read_bytes())) for path in order]


class Archive:
    """An initramfs: a cpio archive in the format that the kernel reads ("newc")."""

    def __init__(self):
        self._out = io.BytesIO()
        self._number = 0

    def _add(self, name, mode, data):
        self._number += 1
        fields = (self._number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        for part in (b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0", data):
            self._out.write(part + b"\0" * (-len(part) % 4))

    def folder(self, name):
        self._add(name, 0o040755, b"")

    def file(self, name, data):
        self._add(name, 0o100755, data)

    def link(self, name, target):
        self._add(name, 0o120777, target.encode())

    def packed(self):
        self._add("TRAILER!!!", 0, b"")
        return gzip.compress(self._out.getvalue(), 1)


def libraries_of(program, found):
    """Names of all libraries that a program needs, directly or not."""
    names, todo = set(), [program]
    while todo:
        said = subprocess.run(["readelf", "-d", todo.pop().resolve()], check=True, capture_output=True, text=True).stdout
        for name in set(re.findall(r"\(NEEDED\).*\[(.*)\]", said)) - names:
            names.add(name)
            todo.append(found[name])
    return names


def add_modules(archive, names, architecture):
    """Puts them into /m; their files there in the order of loading."""
    archive.folder("m")
    loaded = modules_of(names, architecture)
    for name, data in loaded:
        archive.file(f"m/{name}", data)
    return [name for name, _ in loaded]


def new_archive(busybox):
    archive = Archive()
    for name in ("bin", "tools", "dev", "proc", "sys", "tmp", "lib"):
        archive.folder(name)
    archive.file("bin/busybox", busybox.read_bytes())
    archive.link("bin/sh", "busybox")
    archive.file("init", INIT.encode())
    return archive


def initramfs(modules):
    root = GUESTS / "arm64"
    found = {path.name: path for folder in ("bin", "sbin", "lib", "usr") for path in (root / folder).glob("**/*")}
    archive = new_archive(found["busybox"])
    needed = {"ld-linux-aarch64.so.1"}
    for name in ("ethtool", "ip"):
        archive.file(f"bin/{name}", found[name].resolve().read_bytes())
        needed |= libraries_of(found[name], found)
    for name in sorted(needed):
        archive.file(f"lib/{name}", found[name].resolve().read_bytes())
    return archive, add_modules(archive, modules, "arm64")


def add_programs(archive, programs, plugins):
    """Programs of this machine in /bin, and the libraries that they need in /lib. Plug-ins stay at their own place."""
    files = {f"bin/{pathlib.Path(path).name}": path for path in programs}
    files |= {str(path).lstrip("/"): path for path in plugins}
    for path in (*programs, *plugins):
        said = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
        files |= {f"lib/{name}": place for name, place in re.findall(r"^\s*(\S+) => (/\S+)", said, re.MULTILINE)}
        files |= {place.lstrip("/"): place for place in re.findall(r"^\s*(/\S+) \(", said, re.MULTILINE)}
    there = {"bin", "lib"}
    for name, path in files.items():
        for folder in [str(parent) for parent in reversed(pathlib.PurePath(name).parents)][1:]:
            if folder not in there:
                there.add(folder)
                archive.folder(folder)
        archive.file(name, pathlib.Path(path).resolve().read_bytes())


def without_stream(tree):
    """The IOMMU's handle, and the tree where the bridge's map has a hole for what the platform device gets."""
    cells = [int(word, 0) for word in re.search(r"iommu-map = <([^>]*)>;", tree).group(1).split()]
    entries = []
    for first, handle, stream, length in zip(*(cells[i::4] for i in range(4))):
        check(first == stream, "the machine's IOMMU has another map than expected")
        for start, end in ((first, min(first + length, STREAM)), (max(first, STREAM + 1), first + length)):
            if start < end:
                entries.append(f"{start} {handle} {start} {end - start}")
    return handle, re.sub(r"iommu-map = <[^>]*>;", f"iommu-map = <{' '.join(entries)}>;", tree)


def device_tree(machine, folder, phy, iommu):
    """The machine's own tree with the NIC as a platform device; a binary for -dtb."""
    blob, text = folder / "machine.dtb", folder / "machine.dts"
    subprocess.run([GUESTS / "run", "qemu-system-aarch64", *machine, "-M", f"dumpdtb={blob}"],
                   check=False, capture_output=True)
    tree = tool("dtc", "-q", "-I", "dtb", "-O", "dts", blob, text=True)
    link = "fixed-link { speed = <1000>; full-duplex; };"
    bus = ""
    if phy:
        link = "phy = <&neta_phy>;"
        bus = (f"mdio@{BAR + 0x2004:x} {{ compatible = \"marvell,orion-mdio\"; reg = <0x0 {BAR + 0x2004:#x} 0x0 0x4>; "
               "#address-cells = <1>; #size-cells = <0>; neta_phy: ethernet-phy@0 { reg = <0>; }; };")
    stream = ""
    if iommu:
        handle, tree = without_stream(tree)
        stream = f"iommus = <{handle} {STREAM}>;"
    node = f"""
    neta_clk: neta-clk {{ compatible = "fixed-clock"; #clock-cells = <0>; clock-frequency = <200000000>; }};
    {bus}
    ethernet@{BAR:x} {{ compatible = "marvell,armada-3700-neta"; reg = <0x0 {BAR:#x} 0x0 0x4000>;
        interrupts = <0 {INTERRUPT} 4>; clocks = <&neta_clk>; phy-mode = "rgmii-id"; dma-coherent; {stream}
        local-mac-address = [02 00 00 00 37 00]; {link} }};
}};
"""
    check(tree.rstrip().endswith("};"), "no end of the device tree")
    text.write_text(tree.rstrip()[:-2] + node, encoding="utf-8")
    result = folder / "guest.dtb"
    tool("dtc", "-q", "-I", "dts", "-O", "dtb", "-o", result, text)
    return result


def nic_at(socket):
    nic = {"driver": "vfio-user-pci", "addr": "1", "socket": {"type": "unix", "path": socket}}
    return ["-device", json.dumps(nic)]


def memory_of(megabytes):
    """Memory that other processes can map."""
    return ["-m", str(megabytes), "-object", f"memory-backend-memfd,id=mem,size={megabytes}M,share=on",
            "-machine", "memory-backend=mem", "-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio"]


class Guest:
    """A guest with Debian's kernel. Use with `with`; killed on the way out."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="crema-guest-")
        self._said = []
        self._lines = queue.Queue()
        self._process = None

    def _boot(self, archive, kernel, command):
        folder = pathlib.Path(self._folder.name)
        (folder / "initramfs").write_bytes(archive.packed())
        command = [GUESTS / "run", *command, "-kernel", kernel, "-initrd", folder / "initramfs"]
        self._process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT)
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self._until(r"@@ready@@", 60)
        except Failed:
            self.__exit__()
            raise

    def _read(self):
        for line in self._process.stdout:
            line = line.decode(errors="replace").rstrip("\r\n")
            self._said.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def _until(self, pattern, seconds):
        deadline, before = time.monotonic() + seconds, []
        while True:
            try:
                line = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            check(line is not None, f"no '{pattern}' from the guest; it said:\n  " + "\n  ".join(self._said[-30:]))
            found = re.search(pattern, line)
            if found:
                before.append(line[:found.start()])
                return found, "\n".join(before).strip()
            before.append(line)

    def start(self, command):
        """Gives the guest something to do; finish() waits for it."""
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()

    def attempt(self, command, seconds=60):
        """Exit code, and what it said."""
        self.start(command)
        found, said = self._until(r"@@(\d+)@@", seconds)
        return int(found.group(1)), said

    def finish(self, command, seconds=60):
        found, said = self._until(r"@@(\d+)@@", seconds)
        check(found.group(1) == "0", f"in the guest: {command}: exit code {found.group(1)}\n{said}")
        return said

    def run(self, command, seconds=60):
        """Runs a command in the guest and returns what it said; it must succeed."""
        self.start(command)
        return self.finish(command, seconds)

    def power_off(self):
        self.start("poweroff -f")
        check(self._process.wait(timeout=20) == 0, "QEMU ended badly")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._folder.cleanup()


class BoardGuest(Guest):
    """arm64, with the NIC as boards have it."""

    def __init__(self, socket, modules, phy=False, iommu=False, memory_mb=512):
        super().__init__()
        archive, self.modules = initramfs((["virtio_iommu"] if iommu else []) + list(modules))
        machine = ["-M", "virt,gic-version=3", "-cpu", "cortex-a53", "-accel", "tcg", "-smp", "1", *memory_of(memory_mb)]
        if iommu:
            machine += ["-device", "virtio-iommu-pci,addr=2"]
        tree = device_tree(machine, pathlib.Path(self._folder.name), phy, iommu)
        self._boot(archive, GUESTS / "arm64" / "vmlinuz",
                   ["qemu-system-aarch64", *machine, "-dtb", tree, "-append", "console=ttyAMA0 panic=-1 quiet", *nic_at(socket)])


class PcGuest(Guest):
    """amd64 behind an IOMMU, with the NIC as a PCI function, and programs of this machine."""

    def __init__(self, socket, modules, programs, files=(), plugins=(), huge_pages=64, memory_mb=768):
        super().__init__()
        archive = new_archive(GUESTS / "amd64" / "bin" / "busybox")
        self.modules = add_modules(archive, modules, "amd64")
        add_programs(archive, programs, plugins)
        for path in files:
            archive.file(pathlib.Path(path).name, pathlib.Path(path).read_bytes())
        # caching-mode is what makes QEMU pass on what the guest maps.
        self._boot(archive, GUESTS / "amd64" / "vmlinuz",
                   ["qemu-system-x86_64", "-M", "q35,kernel-irqchip=split", "-cpu", "max", "-accel", "tcg", "-smp", "2",
                    "-L", GUESTS / "tools" / "usr" / "share" / "qemu", "-L", GUESTS / "tools" / "usr" / "share" / "seabios",
                    *memory_of(memory_mb), "-device", "intel-iommu,caching-mode=on", *nic_at(socket), "-append",
                    f"console=ttyS0 panic=-1 quiet intel_iommu=on iommu.strict=1 no_timer_check hugepages={huge_pages}"])
