#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Nothing on the packet path allocates, locks, logs or makes a system call.

  hot_path_test.py BUILD_DIR calls   what the path's functions can reach, by the machine code of both libraries
  hot_path_test.py BUILD_DIR traced  a worker under traffic for 10 s (CREMA_TEST_SECONDS), watched by strace

`calls` follows direct calls and jumps from every function that is called per packet or burst, also those that are only reached
through pointers, which it cannot follow and which are listed as entries of their own. What a device model or a program does is not the
path's.
"""
import bisect
import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from support.processes import Testpmd, check, run_test, skip

# Entries, by their names without arguments. Each must exist.
ENTRIES = """
crema::neta_pmd::receive crema::neta_pmd::receive_with_facts crema::neta_pmd::receive_scattered
crema::neta_pmd::transmit crema::neta_pmd::transmit_with_sums crema::neta_pmd::transmit_frames crema::neta_pmd::prepare
crema::xdp::(anonymous namespace)::run_hook crema::xdp::(anonymous namespace)::watched_run
crema::redirect::(anonymous namespace)::enqueue crema::redirect::(anonymous namespace)::flush crema::redirect::CpuPoller::poll
crema::page_pool::(anonymous namespace)::enqueue crema::page_pool::(anonymous namespace)::dequeue
crema::page_pool::alloc_bulk crema::page_pool::recycle_bulk crema::page_pool::recycle_mixed
crema::datapath::Worker::round crema::datapath::GenericPort::run crema::datapath::GenericPort::xmit
crema::datapath::GenericPort::collect
""".replace("\n", " ").replace("(anonymous namespace)", "(anonymous_namespace)").split()

# Where following ends: not part of the path of a real device.
ENDS = ("crema::vfio::cache_model::",)  # the CPU cache of the device model

# What may be called outside of the two libraries, and why that is none of the things above.
MAY = {
    "memcpy": "bytes", "memmove": "bytes", "memset": "bytes", "memcmp": "bytes",
    "abort": "a bug ends the program (check.h)", "dprintf": "what it says then", "__rte_panic": "the same, DPDK's",
    "__tls_get_addr": "an address in the thread's own memory",
    "_Unwind_Resume": "never reached: nothing throws on the path",
    "rte_eth_call_rx_callbacks": "only when an application, as a capture, has installed some",
    "rte_eth_call_tx_callbacks": "the same",
    "rte_pktmbuf_free_bulk": "frames go home",
    "rte_lcore_is_enabled": "first burst of a thread", "rte_lcore_cpuset": "first burst of a thread",
    "__sched_cpucount": "first burst of a thread", "sched_getcpu": "first burst of a thread that is pinned to no CPU",
    "bpf_filter": "libpcap's interpreter, while somebody captures",
    "__rte_trace_mem_per_thread_alloc": "first event of a thread, when somebody traces",
    "std::chrono::_V2::steady_clock::now()": "when statistics of programs are on; no system call (vDSO)",
}


class Library:
    def __init__(self, path):
        self.names, self.calls, self.plt, self.exports = {}, collections.defaultdict(set), {}, {}
        for line in self.tool("nm", "-n", "-C", "--defined-only", path):
            address, kind, name = line.split(None, 2)
            if kind in "tTwWiu":
                self.names.setdefault(int(address, 16), name)
        for line in self.tool("nm", "-D", "--defined-only", path):
            address, _, name = line.split(None, 2)
            self.exports[name.split("@")[0]] = int(address, 16)
        function, starts = None, []
        for line in self.tool("objdump", "-d", "--no-show-raw-insn", path):
            if head := re.match(r"([0-9a-f]+) <(.+)>:$", line):
                function = int(head.group(1), 16)
                starts.append(function)
                if head.group(2).endswith("@plt"):
                    self.plt[function] = head.group(2)[:-4]
            elif call := re.search(r"\t(?:bnd )?(?:call|j[a-z]+) +([0-9a-f]+) <", line):
                self.calls[function].add(int(call.group(1), 16))
        self.starts = sorted(starts)

    @staticmethod
    def tool(*words):
        return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True).stdout.splitlines()

    def function_at(self, address):
        return self.starts[bisect.bisect_right(self.starts, address) - 1]

    def name(self, address):
        return self.names.get(address, hex(address))


def plain(name):
    """Without arguments, so that a change of types is no change of the list above."""
    return re.sub(r"\(.*", "", name.replace("(anonymous namespace)", "(anonymous_namespace)").replace("(anonymous_namespace)", "\0")) \
        .replace("\0", "(anonymous_namespace)")


def calls(build):
    libraries = [Library(pathlib.Path(build, path)) for path in ("drivers/librte_net_neta.so", "lib/libcrema.so")]
    came_from, todo, missing = {}, [], set(ENTRIES)
    for library in libraries:
        for address, name in library.names.items():
            if plain(name) in ENTRIES:
                missing.discard(plain(name))
                came_from[library, address] = None
                todo.append((library, address))
    check(not missing, f"the libraries have no {sorted(missing)}: renamed? then change the list")
    outside = {}
    while todo:
        here = library, address = todo.pop()
        if library.name(address).startswith(ENDS):
            continue
        for target in library.calls[address]:
            if target not in library.plt:
                after = library, library.function_at(target)
            else:
                name = library.plt[target].split("@")[0]
                owners = [other for other in libraries if name in other.exports]
                if not owners:
                    outside.setdefault(name, here)
                    continue
                after = owners[0], owners[0].exports[name]
            if after not in came_from:
                came_from[after] = here
                todo.append(after)
    if any(name.startswith(("__asan", "__tsan", "__ubsan")) for name in outside):
        skip("a build with sanitizers calls them everywhere")
    check(len(came_from) > 60, f"only {len(came_from)} functions were found: is the build without symbols?")
    readable = dict(zip(outside, subprocess.run(["c++filt", *outside], capture_output=True, text=True, check=True).stdout.splitlines()))
    wrong = []
    for name, here in outside.items():
        if readable[name] not in MAY:
            way = []
            while here:
                way.append(plain(here[0].name(here[1])))
                here = came_from[here]
            wrong.append(f"{readable[name]} by {' <- '.join(way)}")
    check(not wrong, "the packet path reaches\n  " + "\n  ".join(sorted(wrong)))
    print(f"{len(came_from)} functions reach {len(outside)} functions of other libraries, all of which may be called")


def traced(build):
    if not shutil.which("strace"):
        skip("no strace (package strace)")
    seconds = float(os.environ.get("CREMA_TEST_SECONDS", "10"))
    # Two ports; what comes in by one leaves by the other, by devmap: receive, run, redirect, transmit, recycle.
    with tempfile.TemporaryDirectory(prefix="crema-trace-") as folder, \
            Testpmd(build, ["gen:flows=64", "null"], xdp="l2fwd", maps=("tx_port:32=1", "tx_port:33=0"), idle_sleep_us=0) as testpmd:
        tasks = pathlib.Path(f"/proc/{testpmd.pid()}/task")
        workers = [task.name for task in tasks.iterdir() if (task / "comm").read_text().startswith(("lcore-worker", "rte-worker"))]
        check(workers, f"no worker among {[(task / 'comm').read_text().strip() for task in tasks.iterdir()]}")
        before, log = testpmd.verdicts()[0]["redirect"], f"{folder}/strace"
        strace = subprocess.Popen(["strace", "-o", log, *[word for worker in workers for word in ("-p", worker)]],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        check("attached" in strace.stderr.readline(), "strace cannot watch: is it allowed to?")
        time.sleep(seconds)
        strace.terminate()
        strace.wait(timeout=20)
        frames = testpmd.verdicts()[0]["redirect"] - before
        made = [line for line in pathlib.Path(log).read_text().splitlines() if re.match(r"\d* ?\w+\(", line)]
        check(frames > 100_000, f"only {frames} frames in {seconds} s")
        check(not made, f"{len(made)} system calls while {frames} frames were redirected, as {made[:5]}")
        testpmd.stop()
    print(f"{frames} frames redirected in {seconds:g} s and not one system call of {len(workers)} worker(s)")


def main():
    {"calls": calls, "traced": traced}[sys.argv[2]](sys.argv[1])


if __name__ == "__main__":
    run_test(main)
