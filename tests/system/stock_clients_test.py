#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Debian's DPDK tools as secondary processes of a dpdk-testpmd whose ports are ours: dpdk-proc-info and dpdk-dumpcap.

  stock_clients_test.py BUILD_DIR proc_info|dumpcap|dumpcap_crema

dumpcap_crema captures from crema-testpmd instead.

Processes share memory only through hugepages: 200 MiB of them are asked for and given back.
"""
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

from support.processes import Testpmd, check, run_test, skip
from support.stock import StockTestpmd, environment

PAGES = 160  # of 2 MiB
POOL = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB")


class Hugepages:
    """PAGES free hugepages and a folder for them. Use with `with`."""

    def __init__(self):
        if os.geteuid() != 0 or not POOL.is_dir():
            skip("needs root and hugepages of 2 MiB, which secondary processes share")
        self.folder = tempfile.mkdtemp(prefix="crema-huge-")

    def __enter__(self):
        free, all_pages = (int((POOL / name).read_text()) for name in ("free_hugepages", "nr_hugepages"))
        self.before = all_pages
        (POOL / "nr_hugepages").write_text(str(all_pages + max(0, PAGES - free)))
        if int((POOL / "free_hugepages").read_text()) < PAGES or \
                subprocess.run(["mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "none", self.folder], check=False).returncode != 0:
            self.__exit__()
            skip(f"{PAGES} hugepages of 2 MiB are not to be had, or cannot be mounted")
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", self.folder], check=False, stderr=subprocess.DEVNULL)
        os.rmdir(self.folder)
        (POOL / "nr_hugepages").write_text(str(self.before))


def primary(build, folder, wire):
    return StockTestpmd(build, [f"device=model,wire={wire}"] * 2, ("--total-num-mbufs=4096",),
                        ("-m", "200", "--huge-dir", folder), f"clients{os.getpid()}")


def secondary(build, testpmd, program, *words, preload="", plug_in=("-d", "librte_net_neta.so")):
    if not shutil.which(program):
        skip(f"no {program} (package dpdk-dev)")
    command = [program, *(("--no-pci", *plug_in) if plug_in else ()), f"--file-prefix={testpmd.prefix}", *words]
    done = subprocess.run(command, env=environment(build, preload), capture_output=True, text=True, timeout=60, check=False)
    check(done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout + done.stderr


def xstats(text):
    return {name: int(value) for name, value in re.findall(r"^(\w+): (\d+)$", text, re.MULTILINE)}


def proc_info(build, testpmd):
    """Statistics of both kinds, as the primary says them, and their reset; what cannot be had is said to be so."""
    testpmd.tell("start tx_first")
    for port in (0, 1):
        testpmd.wait_for_statistics(port, lambda now: now["RX-packets"] > 1000)
    testpmd.tell("stop")
    ours = {port: testpmd.statistics(port) for port in (0, 1)}
    text = secondary(build, testpmd, "dpdk-proc-info", "--", "-p", "3", "--stats")
    for port, own in ours.items():
        part = text.split(f"NIC statistics for port {port} ")[1]
        for name in ("RX-packets", "TX-packets", "RX-bytes", "TX-bytes"):
            value = int(re.search(rf"{name}: +(\d+)", part).group(1))
            check(value == own[name], f"port {port} {name}: dpdk-proc-info {value}, dpdk-testpmd {own[name]}")
    theirs = xstats(secondary(build, testpmd, "dpdk-proc-info", "--", "-p", "1", "--xstats"))
    own = xstats(testpmd.tell("show port xstats 0"))
    check(len(own) > 70 and theirs == own,
          f"extended statistics differ: {sorted(set(theirs.items()) ^ set(own.items()))[:10]} of {len(own)} and {len(theirs)}")
    text = secondary(build, testpmd, "dpdk-proc-info", "--", "--show-port")
    for pattern in (r"driver net_neta device net_neta0", r"Link up at 1 Gbps FDX", r"mtu \(1500\)"):
        check(re.search(pattern, text), f"--show-port has no '{pattern}':\n{text}")
    secondary(build, testpmd, "dpdk-proc-info", "--", "-p", "1", "--xstats-reset")
    now = xstats(testpmd.tell("show port xstats 0"))
    check(now["good_frames_received"] == 0 and now["rx_good_packets"] == 0, f"not reset: {now}")
    check(testpmd.statistics(1)["RX-packets"] == ours[1]["RX-packets"], "the other port was reset as well")


def frames_of_pcapng(path):
    """The bytes of every enhanced packet block."""
    data, at, frames = pathlib.Path(path).read_bytes(), 0, []
    while at + 12 <= len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if kind == 6:
            caught = struct.unpack_from("<I", data, at + 20)[0]
            frames.append(data[at + 28:at + 28 + caught])
        at += length
    check(at == len(data), f"{len(data) - at} bytes at the end of {path} are no block")
    return frames


def mempool_drivers():
    """dpdk-testpmd links one driver of memory pools that dpdk-dumpcap does not, and both count drivers in the order of loading."""
    linked = subprocess.run(["ldd", shutil.which("dpdk-testpmd")], capture_output=True, text=True, check=True).stdout
    return " ".join(re.findall(r"librte_mempool_\w+\.so\.\d+", linked))


def dumpcap(build, testpmd, folder):
    """Frames of the port are captured under traffic, and traffic goes on when the capture has ended.

    Little traffic: DPDK 22.11 frees the memory of a capture while the forwarder may still copy a frame into it, which ends dpdk-testpmd
    about once in ten times when frames come without end, whatever the driver.
    """
    if not shutil.which("dpdk-dumpcap"):
        skip("no dpdk-dumpcap (package dpdk-dev)")
    testpmd.tell("set fwd rxonly", "start")
    testpmd.wait_for_statistics(0, lambda now: now["RX-packets"] > 100)
    preload, capture = f"{mempool_drivers()} librte_net_neta.so", f"{folder}/capture.pcapng"
    text = secondary(build, testpmd, "dpdk-dumpcap", "-i", "net_neta0", "-c", "500", "-w", capture, preload=preload, plug_in=())
    check("net_neta0" in text, text)
    frames = frames_of_pcapng(capture)
    check(len(frames) >= 500 and all(len(frame) == 100 for frame in frames),
          f"{len(frames)} frames of {sorted({len(frame) for frame in frames})} bytes; 500 of 100 were expected")
    endless = subprocess.Popen(["dpdk-dumpcap", f"--file-prefix={testpmd.prefix}", "-i", "net_neta0", "-w", f"{folder}/cut.pcapng"],
                               env=environment(build, preload), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not (pathlib.Path(f"{folder}/cut.pcapng").is_file() and pathlib.Path(f"{folder}/cut.pcapng").stat().st_size > 10_000):
        check(time.monotonic() < deadline and endless.poll() is None, "dpdk-dumpcap captures nothing")
        time.sleep(0.05)
    endless.send_signal(signal.SIGINT)
    check(endless.wait(timeout=20) == 0, f"dpdk-dumpcap ended with {endless.returncode}")
    before = testpmd.statistics(0)["RX-packets"]
    testpmd.wait_for_statistics(0, lambda now: now["RX-packets"] > before + 100)


def dumpcap_crema(build, folder):
    """What a program passes is captured; what it drops never becomes a frame of the application."""
    with Hugepages() as huge:
        memory = ("-m", "200", "--huge-dir", huge.folder, f"--file-prefix=clients{os.getpid()}")
        with Testpmd(build, ["gen:rate=2000;len=104"], xdp="pass", memory=memory) as testpmd:
            capture = f"{folder}/crema.pcapng"
            done = subprocess.run(["dpdk-dumpcap", memory[-1], "-i", "net_neta0", "-c", "200", "-w", capture],
                                  env=environment(build, "librte_net_neta.so"), capture_output=True, text=True, timeout=60, check=False)
            check(done.returncode == 0, f"dpdk-dumpcap ended with {done.returncode}: {done.stdout}{done.stderr}")
            frames = frames_of_pcapng(capture)
            check(len(frames) >= 200 and all(len(frame) == 100 for frame in frames), f"{len(frames)} frames")
            testpmd.stop()


def main():
    build, case = sys.argv[1:]
    if case == "dumpcap_crema":
        with tempfile.TemporaryDirectory(prefix="crema-clients-") as folder:
            dumpcap_crema(build, folder)
        return
    wire = f"pair:clients{os.getpid()}" if case == "proc_info" else "gen:rate=2000;len=104"
    with Hugepages() as huge, primary(build, huge.folder, wire) as testpmd, tempfile.TemporaryDirectory(prefix="crema-clients-") as folder:
        if case == "proc_info":
            proc_info(build, testpmd)
        else:
            dumpcap(build, testpmd, folder)
        testpmd.quit()


if __name__ == "__main__":
    run_test(main)
