# SPDX-License-Identifier: BSD-3-Clause
"""Programs under test: crema-testpmd as a process that is told what to do and asked what it counted.

No root, no hugepages, no telemetry, names unique to the process; killed in any case on the way out.
"""
import json
import os
import pathlib
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time


class Failed(Exception):
    """An expectation that did not hold; its text says what was expected and what came."""


def check(holds, message):
    if not holds:
        raise Failed(message)


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def run_test(main):
    """Runs a test's main(); a broken expectation is one readable line, not a stack trace."""
    try:
        main()
    except Failed as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        sys.exit(1)


def application(build, name="crema-testpmd"):
    return str(pathlib.Path(build).resolve() / "apps" / "testpmd" / name)


def program_path(build, name):
    return str(pathlib.Path(build).resolve() / "bpf" / f"{name}.bpf.o")


def eal_words(wires, memory=None):
    """EAL options of a process with one modelled NETA port per wire; prefix unique to the test. memory: other options than
    those of a process that shares nothing."""
    cpus = sorted(os.sched_getaffinity(0))
    # The last CPU polls; the others are left to the hosts and their traffic.
    lcores = ["-l", f"{cpus[0]},{cpus[-1]}"] if len(cpus) > 1 else ["--lcores", f"0@{cpus[0]},1@{cpus[0]}"]
    memory = memory or ("--no-huge", "-m", "256", "--no-shconf", f"--file-prefix=crema{os.getpid()}")
    words = [*lcores, *memory, "--no-pci", "--no-telemetry", "--log-level=error"]
    for number, wire in enumerate(wires):
        device = wire if wire.startswith("device=") else f"device=model,wire={wire}"
        words.append(f"--vdev=net_neta{number},{device}")
    return words


class Port:
    """What the final statistics say of one port."""

    def __init__(self, document):
        self.document = document
        self.ethdev, self.xdp, self.redirect = document["ethdev"], document["xdp"], document["redirect"]

    def verdicts(self):
        """Frames that got a verdict, each counted once."""
        return sum(self.xdp[f"rx_xdp_{name}"] for name in
                   ("pass", "drop", "tx", "tx_errors", "redirect", "redirect_errors", "aborted"))


class Testpmd:
    """crema-testpmd, told what to do on its standard input. Use with `with`; killed on the way out."""

    def __init__(self, build, wires, xdp=None, maps=(), options=(), idle_sleep_us=20, memory=None, prefix=()):
        self.command_line = [*prefix, application(build), *eal_words(wires, memory), "--", "--json", "-i", "-a",
                             "--idle-sleep-us", str(idle_sleep_us), *options]
        if xdp:
            self.command_line += ["--xdp", program_path(build, xdp)]
        for setting in maps:
            self.command_line += ["--map", setting]
        self._ports = len(wires) + list(options).count("--pass")
        self._said = []  # all lines of both streams, for reports
        self._lines = queue.Queue()
        self._process = subprocess.Popen(self.command_line, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT, text=True, bufsize=1)
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.verdicts()  # answers once it forwards
        except Failed:
            self.__exit__()
            raise

    def _read(self):
        for line in self._process.stdout:
            self._said.append(line.rstrip())
            self._lines.put(line.rstrip())
        self._lines.put(None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def pid(self):
        return self._process.pid

    def kill(self, number):
        self._process.send_signal(number)
        self._process.wait()

    def wait_for(self, words, count=1, seconds=20):
        """Waits until so many lines have `words`."""
        deadline = time.monotonic() + seconds
        while sum(words in line for line in self._said) < count:
            check(time.monotonic() < deadline, f"not {count} times '{words}' in {seconds} s; {self._report()}")
            time.sleep(0.02)

    def _report(self):
        return "crema-testpmd said:\n  " + "\n  ".join(self._said[-20:])

    def tell(self, command):
        try:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise Failed(f"crema-testpmd was gone before '{command}'; {self._report()}") from error

    def _line(self, deadline, what):
        try:
            line = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
        except queue.Empty:
            line = None
        check(line is not None, f"no {what} in time; {self._report()}")
        check(not line.startswith(("error: ", "crema-testpmd: cannot")), f"{line}; {self._report()}")
        return line

    def verdicts(self, seconds=30):
        """{port: {"program": ..., "pass": frames, "drop": ..., ...}} at this moment."""
        self.tell("show xdp")
        ports, deadline = {}, time.monotonic() + seconds
        while len(ports) < self._ports:
            line = self._line(deadline, "answer to 'show xdp'")
            found = re.match(r"port (\d+) \S+ \S+: (.*?) id (\d+) (pass .*)", line)
            if found:
                words = found.group(4).split()
                counters = dict(zip(words[::2], map(int, words[1::2])))
                ports[int(found.group(1))] = {"program": found.group(2), "id": int(found.group(3)), **counters}
        return ports

    def attach_all(self, path):
        """Replaces the program on every port, under traffic; returns when it runs there."""
        before = self.verdicts()
        self.tell(f"xdp attach all {path}")
        after = self.verdicts()
        for port, state in after.items():
            check(state["id"] != before[port]["id"] and os.path.basename(path).split(".")[0] in state["program"],
                  f"port {port} runs {state['program']} after 'xdp attach all {path}'; {self._report()}")
        return after

    def stop(self, seconds=30):
        """Ends it and returns its final statistics; every frame and page must be accounted for."""
        self.tell("quit")
        deadline, final = time.monotonic() + seconds, None
        while final is None:
            line = self._line(deadline, "final statistics")
            if line.startswith("{"):
                document = json.loads(line)
                final = document if document["type"] == "final" else None
        code = self._process.wait(timeout=seconds)
        check(code == 0, f"crema-testpmd ended with {code}; {self._report()}")
        check(final["buffers_missing"] == 0, f"{final['buffers_missing']} buffers did not come home")
        final["ports"] = [Port(each) for each in final["ports"]]
        for number, port in enumerate(final["ports"]):
            if port.xdp["program"] or port.verdicts():
                check(port.verdicts() == port.ethdev["ipackets"],
                      f"port {number}: {port.ethdev['ipackets']} frames came in, {port.verdicts()} got a verdict")
        return final


class NetaModel:
    """crema-neta-model on a socket of its own. Use with `with`; killed on the way out."""

    def __init__(self, build, wire, options=(), socket=None, prefix=()):
        self._folder = tempfile.TemporaryDirectory(prefix="crema-model-")
        self.socket = socket or str(pathlib.Path(self._folder.name, "socket"))
        program = str(pathlib.Path(build).resolve() / "apps" / "neta-model" / "crema-neta-model")
        self.log = pathlib.Path(self._folder.name, "log")
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen([*prefix, program, "--socket", self.socket, "--wire", wire, *options],
                                            stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        check(line.startswith("crema-neta-model: serving "), f"crema-neta-model said: {line}{self.said()}")

    def said(self):
        return self.log.read_text(encoding="utf-8")

    def wait_for(self, words, count=1, seconds=20):
        """Waits until its messages hold `words` so many times."""
        deadline = time.monotonic() + seconds
        while self.said().count(words) < count:
            check(time.monotonic() < deadline and self.process.poll() is None,
                  f"crema-neta-model did not say '{words}' {count} times; it said:\n{self.said()}")
            time.sleep(0.02)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()
        self._folder.cleanup()
