# SPDX-License-Identifier: BSD-3-Clause
"""A guest of QEMU with modelled NICs: built of what scripts/guests fetched, driven over its serial console.

A NIC is a vfio-user device that crema-neta-model --pci serves. For drivers of the real boards the device tree
also has it as those boards have it: a platform device whose registers are the PCI function's BAR and whose
interrupt is its INTx line, so that an unmodified driver finds what it knows.
"""
import json
import pathlib
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time

from archive import GUESTS, add_foreign_programs, add_modules, add_programs, files_below, initramfs, new_archive

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))
from support.processes import Failed, check  # noqa: E402  (the folder of the system tests comes first)

BAR = 0x10000000  # where the kernel puts BARs: the first address of the 32-bit window, then the next
BAR_BYTES = 0x4000
IOMMU_SLOT = 8  # its interrupt is none of the first NICs'


def interrupt_of(slot):
    """SPI of a PCI function's pin A."""
    return 3 + slot % 4


def stream_of(slot):
    """What an IOMMU knows a PCI function by."""
    return slot << 3


def why_no_guests():
    """The reason why no guest can be started, or an empty string."""
    return "" if (GUESTS / "STAMP").exists() else "no guests here: scripts/guests fetches them"


def tool(*words, **more):
    return subprocess.run([GUESTS / "run", *map(str, words)], check=True, capture_output=True, **more).stdout


def without_streams(tree, streams):
    """The IOMMU's handle, and the tree where the bridge's map has holes for what platform devices get."""
    cells = [int(word, 0) for word in re.search(r"iommu-map = <([^>]*)>;", tree).group(1).split()]
    entries = []
    for first, handle, stream, length in zip(*(cells[i::4] for i in range(4))):
        check(first == stream, "the machine's IOMMU has another map than expected")
        start = first
        for end in [*(each for each in streams if first <= each < first + length), first + length]:
            if start < end:
                entries.append(f"{start} {handle} {start} {end - start}")
            start = end + 1
    return handle, re.sub(r"iommu-map = <[^>]*>;", f"iommu-map = <{' '.join(entries)}>;", tree)


def nic_node(number, phy, handle):
    """A port as the boards' device trees have it, and its PHY's bus."""
    slot, bar = number + 1, BAR + number * BAR_BYTES
    link = "fixed-link { speed = <1000>; full-duplex; };"
    bus = ""
    if phy:
        link = "phy = <&neta_phy>;"
        bus = (f"mdio@{bar + 0x2004:x} {{ compatible = \"marvell,orion-mdio\"; reg = <0x0 {bar + 0x2004:#x} 0x0 0x4>; "
               "#address-cells = <1>; #size-cells = <0>; neta_phy: ethernet-phy@0 { reg = <0>; }; };")
    stream = f"iommus = <{handle} {stream_of(slot)}>;" if handle else ""
    return f"""
    {bus}
    ethernet@{bar:x} {{ compatible = "marvell,armada-3700-neta"; reg = <0x0 {bar:#x} 0x0 {BAR_BYTES:#x}>;
        interrupts = <0 {interrupt_of(slot)} 4>; clocks = <&neta_clk>; phy-mode = "rgmii-id"; dma-coherent; {stream}
        local-mac-address = [02 00 00 00 37 0{number}]; {link} }};
"""


def device_tree(machine, folder, nics, phy, iommu):
    """The machine's own tree with the NICs as platform devices; a binary for -dtb."""
    blob, text = folder / "machine.dtb", folder / "machine.dts"
    subprocess.run([GUESTS / "run", "qemu-system-aarch64", *machine, "-M", f"dumpdtb={blob}"],
                   check=False, capture_output=True)
    tree = tool("dtc", "-q", "-I", "dtb", "-O", "dts", blob, text=True)
    handle = None
    if iommu:
        handle, tree = without_streams(tree, [stream_of(number + 1) for number in range(nics)])
    nodes = "".join(nic_node(number, phy, handle) for number in range(nics))
    check(tree.rstrip().endswith("};"), "no end of the device tree")
    text.write_text(f"""{tree.rstrip()[:-2]}
    neta_clk: neta-clk {{ compatible = "fixed-clock"; #clock-cells = <0>; clock-frequency = <200000000>; }};
    {nodes}
}};
""", encoding="utf-8")
    result = folder / "guest.dtb"
    tool("dtc", "-q", "-I", "dts", "-O", "dtb", "-o", result, text)
    return result


def nics_at(sockets):
    words = []
    for number, socket in enumerate(sockets):
        nic = {"driver": "vfio-user-pci", "addr": str(number + 1), "socket": {"type": "unix", "path": socket}}
        words += ["-device", json.dumps(nic)]
    return words


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


def board(nics, folder, phy=False, iommu=False, memory_mb=512, cpus=1):
    """QEMU's words for an arm64 machine whose device tree has the NICs."""
    machine = ["-M", "virt,gic-version=3", "-cpu", "cortex-a53", "-accel", "tcg", "-smp", str(cpus), *memory_of(memory_mb)]
    if iommu:
        machine += ["-device", f"virtio-iommu-pci,addr={IOMMU_SLOT}"]
    return ["qemu-system-aarch64", *machine, "-dtb", device_tree(machine, folder, nics, phy, iommu)]


class BoardGuest(Guest):
    """arm64 with Debian's kernel, with the NIC as boards have it."""

    def __init__(self, socket, modules, phy=False, iommu=False):
        super().__init__()
        archive, self.modules = initramfs((["virtio_iommu"] if iommu else []) + list(modules))
        self._boot(archive, GUESTS / "arm64" / "vmlinuz",
                   [*board(1, pathlib.Path(self._folder.name), phy, iommu), "-append", "console=ttyAMA0 panic=-1 quiet",
                    *nics_at([socket])])


class VfioBoardGuest(Guest):
    """arm64 with the kernel of scripts/guest-kernel, which has all of VFIO, NICs as boards have them, and programs of an
    arm64 build, with its libraries and those of `root`."""

    modules = ()

    def __init__(self, sockets, programs, files, plugins, root, build, iommu, huge_pages=64):
        super().__init__()
        archive = new_archive(files_below(GUESTS / "arm64")["busybox"])
        add_foreign_programs(archive, programs, plugins, root, build)
        for path in files:
            archive.file(pathlib.Path(path).name, pathlib.Path(path).read_bytes())
        settings = ("vfio_platform.reset_required=0 vfio_iommu_type1.allow_unsafe_interrupts=1 "
                    "iommufd.allow_unsafe_interrupts=1")
        self._boot(archive, GUESTS / "vfio-arm64" / "vmlinuz",
                   [*board(len(sockets), pathlib.Path(self._folder.name), iommu=iommu, memory_mb=768, cpus=2), "-append",
                    f"console=ttyAMA0 panic=-1 quiet hugepages={huge_pages} {settings}", *nics_at(sockets)])


class PcGuest(Guest):
    """amd64 with Debian's kernel, behind an IOMMU, with NICs as PCI functions and programs of this machine."""

    def __init__(self, sockets, modules, programs, files=(), plugins=(), huge_pages=64, memory_mb=768):
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
                    *memory_of(memory_mb), "-device", "intel-iommu,caching-mode=on", *nics_at(sockets), "-append",
                    f"console=ttyS0 panic=-1 quiet intel_iommu=on iommu.strict=1 no_timer_check hugepages={huge_pages}"])
