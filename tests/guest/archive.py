# SPDX-License-Identifier: BSD-3-Clause
"""What a guest starts from: an archive of files in memory, made of what scripts/guests fetched and of what was built.

Programs bring the libraries that they need; the first process reads commands from the serial line.
"""
import gzip
import io
import lzma
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GUESTS = pathlib.Path(os.environ.get("CREMA_GUESTS", ROOT / ".deps" / "guests"))

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


def files_below(root, folders=("bin", "sbin", "lib", "usr")):
    """By name."""
    return {path.name: path for folder in folders for path in (root / folder).glob("**/*")}


def initramfs(modules):
    found = files_below(GUESTS / "arm64")
    archive = new_archive(found["busybox"])
    needed = {"ld-linux-aarch64.so.1"}
    for name in ("ethtool", "ip"):
        archive.file(f"bin/{name}", found[name].resolve().read_bytes())
        needed |= libraries_of(found[name], found)
    for name in sorted(needed):
        archive.file(f"lib/{name}", found[name].resolve().read_bytes())
    return archive, add_modules(archive, modules, "arm64")


def add_foreign_programs(archive, programs, plugins, root, build):
    """Programs of another architecture in /bin, what they need of `build` and `root` in /lib; plug-ins stay where they are
    in `root`."""
    found = files_below(root, ("lib", "usr/lib")) | files_below(build, ("lib", "drivers"))
    needed = set().union(*(libraries_of(pathlib.Path(path), found) for path in (*programs, *(root / each for each in plugins))))
    for path in programs:
        archive.file(f"bin/{pathlib.Path(path).name}", pathlib.Path(path).read_bytes())
    for name in sorted(needed):
        archive.file(f"lib/{name}", found[name].resolve().read_bytes())
    folders = {str(parent) for path in plugins for parent in pathlib.PurePath(path).parents} - {".", "lib"}
    for folder in sorted(folders):
        archive.folder(folder)
    for path in plugins:
        archive.file(str(path), (root / path).resolve().read_bytes())


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
