# SPDX-License-Identifier: BSD-3-Clause
"""A crema-testpmd that serves `crema bpf --to`, with a port that receives without end."""
import json
import os
import pathlib
import select
import subprocess
import time


class DataPath:
    """Ports net_neta0 (wire: a generator) and net_neta1 (nothing comes, everything goes), ifindex 32 and 33."""

    def __init__(self, crema, testpmd, folder, *options, wire="gen", other_wire="null"):
        self.crema = crema
        self.socket = str(pathlib.Path(folder) / "bpf.sock")
        cpus = sorted(os.sched_getaffinity(0))
        self.process = subprocess.Popen(
            [testpmd, "--no-huge", "-m", "160", "--no-pci", "--no-shconf", "--no-telemetry", f"--file-prefix=bpfto{os.getpid()}",
             "--lcores", f"0@{cpus[0]},1@{cpus[-1]}", f"--vdev=net_neta0,device=model,wire={wire}",
             f"--vdev=net_neta1,device=model,wire={other_wire}", "--", "--idle-sleep-us", "50", "--json", "--stats-period", "0.2",
             "--duration", "60", "--bpf-socket", self.socket, *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.printed = b""  # and not yet looked at
        self.statistics()  # it runs

    def statistics(self):
        """The next ones, which may have been printed some time ago."""
        while b"\n" not in self.printed:
            self.read()
        line, _, self.printed = self.printed.partition(b"\n")
        return json.loads(line)

    def statistics_from_now_on(self):
        while select.select([self.process.stdout], [], [], 0)[0]:
            self.read()
        self.printed = self.printed.rpartition(b"\n")[2]
        if self.printed:
            self.statistics()  # begun before
        return self.statistics()

    def read(self):
        some = os.read(self.process.stdout.fileno(), 1 << 16)
        if not some:
            raise AssertionError(f"the data path has ended: {self.process.stderr.read()}")
        self.printed += some

    def port(self, wanted, seconds=10):
        """The first port's XDP statistics as soon as wanted(them)."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            xdp = self.statistics()["ports"][0]["xdp"]
            if wanted(xdp):
                return xdp
        raise AssertionError(f"not within {seconds} s, last: {xdp}")

    def growth(self, name):
        """How much a counter of the first port grows within about a second."""
        before = self.statistics_from_now_on()["ports"][0]["xdp"]
        for _ in range(5):
            after = self.port(lambda _: True)
        return after[name] - before[name]

    def run(self, *words, **more):
        return subprocess.run([self.crema, "bpf", "--to", self.socket, "--", *map(str, words)], capture_output=True, text=True,
                              timeout=60, check=False, **more)

    def close(self):
        self.process.terminate()
        out, err = self.process.communicate(timeout=30)
        last = json.loads((self.printed.decode() + out).splitlines()[-1])
        return self.process.returncode, last, err
