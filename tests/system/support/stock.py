# SPDX-License-Identifier: BSD-3-Clause
"""Debian's own dpdk-testpmd with the plug-in, as a process that is told what to do.

The plug-in goes by its bare name: the EAL refuses a path below a world-writable folder.
"""
import os
import pathlib
import re
import shutil
import subprocess
import threading
import time

from support.processes import check, skip


def environment(build, preload=""):
    """Of a program that shall find the plug-in; a build with a sanitizer names its runtime in CREMA_ASAN_PRELOAD."""
    preload = " ".join(filter(None, (os.environ.get("CREMA_ASAN_PRELOAD"), preload)))
    words = {"LD_LIBRARY_PATH": str(pathlib.Path(build).resolve() / "drivers"), "ASAN_OPTIONS": "detect_leaks=0"}
    return {**os.environ, **words, **({"LD_PRELOAD": preload} if preload else {})}


class StockTestpmd:
    """Use with `with`; killed on the way out. ports: device arguments of net_neta0, net_neta1, ..."""

    ERRORS = re.compile(r"still in use|bug:|crema: .*(error|fail)|Segmentation|PANIC|Fail to|Failed|Bad arguments")

    def __init__(self, build, ports, options=(), memory=("--no-huge", "-m", "200", "--no-shconf"), prefix=None):
        if not shutil.which("dpdk-testpmd"):
            skip("no dpdk-testpmd (package dpdk-dev)")
        self.prefix = prefix or f"stock{os.getpid()}"
        vdevs = [f"--vdev=net_neta{number},{arguments}" for number, arguments in enumerate(ports)]
        self._output, self._lock, self._marks = "", threading.Lock(), 0
        self._terminal, terminal = os.openpty()  # or it would keep what it says in a buffer
        self._process = subprocess.Popen(
            ["dpdk-testpmd", "--no-pci", *memory, f"--file-prefix={self.prefix}", "-l", "0-1", "-d", "librte_net_neta.so", *vdevs,
             "--", "-i", *options], env=environment(build), stdin=subprocess.PIPE, stdout=terminal, stderr=terminal, text=True,
            bufsize=1)
        os.close(terminal)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_for("testpmd> ", 60)

    def _read(self):
        while True:
            try:
                some = os.read(self._terminal, 1 << 16)
            except OSError:  # that is how the end of a terminal looks
                break
            with self._lock:
                self._output += some.decode(errors="replace").replace("\r", "")
        os.close(self._terminal)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def pid(self):
        return self._process.pid

    def output(self):
        with self._lock:
            return self._output

    def wait_for(self, pattern, seconds=20, start=0):
        """The first match of `pattern` in the output from `start` on, as soon as it is there."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.output()[start:], re.MULTILINE)):
            check(time.monotonic() < deadline and self._process.poll() is None,
                  f"dpdk-testpmd (ended: {self._process.poll()}) said nothing that matches '{pattern}' in {seconds} s; it said:\n"
                  f"{self.output()[-6000:]}")
            time.sleep(0.02)
        return found

    def tell(self, *commands):
        """What it answers. Prompts come when they like, so the end of an answer is the complaint about a word that is no command."""
        start = len(self.output())
        for command in commands:
            self._marks += 1
            self._process.stdin.write(f"{command}\nmark{self._marks}\n")
            self._process.stdin.flush()
            self.wait_for(rf"mark{self._marks}\s+Command not found", 30, start)
        return self.output()[start:]

    def statistics(self, port):
        """'show port stats' as numbers."""
        text = self.tell(f"show port stats {port}")
        return {name: int(value) for name, value in re.findall(r"([RT]X-\w+): +(\d+)", text)}

    def wait_for_statistics(self, port, holds, seconds=20):
        """Statistics of `port` as soon as holds(them)."""
        deadline = time.monotonic() + seconds
        while not holds(now := self.statistics(port)):
            check(time.monotonic() < deadline, f"not within {seconds} s, port {port}: {now}")
            time.sleep(0.05)
        return now

    def quit(self, allowed=()):
        """Ends it; all it said must be free of errors but those that are allowed."""
        self._process.stdin.write("stop\nquit\n")
        self._process.stdin.close()
        code = self._process.wait(timeout=60)
        self._reader.join(timeout=10)
        check(code == 0 and re.search(r"^Bye", self.output(), re.MULTILINE),
              f"dpdk-testpmd ended with {code}; it said:\n{self.output()[-6000:]}")
        wrong = [line for line in self.output().splitlines() if self.ERRORS.search(line) and not any(one in line for one in allowed)]
        check(not wrong, f"errors were reported: {wrong} in:\n{self.output()}")
        unknown = self.output().count("Command not found") - self._marks
        check(unknown == 0, f"dpdk-testpmd does not know {unknown} of the commands; it said:\n{self.output()[-6000:]}")
        return self.output()
