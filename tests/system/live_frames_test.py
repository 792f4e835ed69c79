#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Test runs with live frames (BPF_F_TEST_XDP_LIVE_FRAMES) on the ports of a running crema-testpmd: what is sent arrives.

usage: live_frames_test.py CREMA CREMA_TESTPMD BUILD_DIR

Two modelled ports face each other; the second one's program drops and counts what comes. Needs no root and no device.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

from support.data_path import DataPath

CREMA = TESTPMD = ""
BUILD = pathlib.Path()
SENDER = str(pathlib.Path(__file__).resolve().parent / "support" / "live_sender.py")
FIRST, SECOND = 32, 33  # ifindex
HUGE = 0xffffffff
ENOTSUP = 95


class LiveFrames(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        wire = f"pair:live{os.getpid()}"
        self.path = DataPath(CREMA, TESTPMD, self.folder.name, "--xdp", f"1={BUILD}/bpf/drop.bpf.o", wire=wire, other_wire=wire)
        self.addCleanup(self.path.process.wait)
        self.addCleanup(self.path.process.kill)  # before waiting
        self.addCleanup(self.path.process.stdout.close)
        self.addCleanup(self.path.process.stderr.close)

    def send(self, *words):
        """Returns the error number."""
        done = self.path.run(sys.executable, SENDER, *words)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return int(done.stdout.split()[-1])

    def sender(self, *words):
        """One in the background, that has begun."""
        command = [CREMA, "bpf", "--to", self.path.socket, "--", sys.executable, SENDER, *map(str, words)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)  # before waiting
        self.assertEqual(process.stdout.readline(), "sending\n")
        return process

    def settled(self):
        """Statistics of which nothing has changed since the last ones; none from before the call."""
        before = self.path.statistics_from_now_on()
        while True:
            now = self.path.statistics()
            if [port["xdp"] for port in now["ports"]] == [port["xdp"] for port in before["ports"]]:
                return now
            before = now

    def sent_and_arrived(self):
        ports = self.settled()["ports"]
        return (ports[0]["xdp"]["tx_xdp_xmit"], ports[0]["xdp"]["tx_xdp_xmit_errors"] + ports[0]["redirect"]["refused"],
                ports[1]["xdp"]["rx_xdp_drop"])

    def end(self):
        code, last, error = self.path.close()
        self.assertEqual(code, 0, error)
        self.assertEqual(last["buffers_missing"], 0)
        for pool in last["page_pools"]:
            self.assertEqual(pool["in_flight"], 0, pool)

    def test_all_that_is_sent_arrives(self):
        total = 0
        for way, target in (("tx", 0), ("devmap", FIRST), ("ifindex", FIRST)):
            for repeat, batch in ((1, 0), (100, 0), (200, 256), (300, 7)):
                with self.subTest(way=way, repeat=repeat, batch=batch):
                    # From the other port it is where they come from that differs, not where they go.
                    self.assertEqual(self.send(way, FIRST if way == "tx" else SECOND, target, repeat, batch), 0)
                    total += repeat
                    self.assertEqual(self.sent_and_arrived(), (total, 0, total))
        self.end()

    def test_what_is_passed_or_dropped_is_not_sent(self):
        for way in ("pass", "drop"):
            self.assertEqual(self.send(way, FIRST, 0, 5000, 0), 0)
        self.assertEqual(self.sent_and_arrived(), (0, 0, 0))
        self.end()

    def test_what_no_port_takes_is_dropped(self):
        self.assertEqual(self.send("ifindex", FIRST, 31, 500, 0), 0)
        self.assertEqual(self.send("tx", FIRST, 0, 500, 0, 1519), 0, "longer than the MTU allows")
        sent, refused, arrived = self.sent_and_arrived()
        self.assertEqual((sent, refused, arrived), (0, 500, 0))
        self.end()

    def test_a_cpumap_gives_them_to_the_worker(self):
        cpu = self.path.statistics()["cpumap"][0]["cpu"]
        # The queue's length at most, and what it refused is counted.
        self.assertEqual(self.send("cpumap", FIRST, cpu, 150, 0), 0)
        self.settled()
        now = self.path.statistics()["cpumap"][0]
        self.assertEqual(now["received"] + now["enqueue_drops"], 150)
        self.end()

    def test_faster_than_the_wire(self):
        self.assertEqual(self.send("tx", FIRST, 0, 200000, 256), 0)
        sent, refused, arrived = self.sent_and_arrived()
        # What the ring had no room for is counted by the port that refused it and by the program that sent it.
        self.assertEqual(refused, 2 * (200000 - sent))
        self.assertGreater(sent, 1000)
        self.assertLessEqual(arrived, sent)
        self.assertEqual(self.send("tx", FIRST, 0, 100, 0), 0)
        self.end()

    def test_a_huge_run_ends_with_its_caller(self):
        process = self.sender("tx", FIRST, 0, HUGE, 0)
        before = self.path.port(lambda xdp: xdp["tx_xdp_xmit"] > 1000)["tx_xdp_xmit"]
        # Meanwhile others are served.
        start = time.monotonic()
        self.assertEqual(self.send("drop", FIRST, 0, 1000, 0), 0)
        self.assertLess(time.monotonic() - start, 10)
        self.assertGreater(self.path.port(lambda xdp: xdp["tx_xdp_xmit"] > before)["tx_xdp_xmit"], before)
        process.kill()
        process.wait()
        self.settled()
        self.end()

    def test_the_data_path_ends_under_a_huge_run(self):
        process = self.sender("tx", FIRST, 0, HUGE, 0)
        self.path.port(lambda xdp: xdp["tx_xdp_xmit"] > 1000)
        start = time.monotonic()
        self.end()
        self.assertLess(time.monotonic() - start, 10)
        process.wait(timeout=30)


class WithoutPorts(unittest.TestCase):
    def test_frames_to_be_sent_are_one_clear_error(self):
        done = subprocess.run([CREMA, "bpf", "--verbose", "--", sys.executable, SENDER, "tx", "1", "0", "10", "0"], capture_output=True,
                              text=True, timeout=60, check=False)
        self.assertEqual(done.stdout.split(), ["sending", str(ENOTSUP)])
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn("crema bpf --to SOCKET", done.stderr)
        for way in ("drop", "pass"):
            done = subprocess.run([CREMA, "bpf", "--", sys.executable, SENDER, way, "1", "0", "1000", "0"], capture_output=True,
                                  text=True, timeout=60, check=False)
            self.assertEqual(done.stdout.split(), ["sending", "0"], done.stderr)


if __name__ == "__main__":
    CREMA, TESTPMD = sys.argv[1:3]
    BUILD = pathlib.Path(sys.argv[3])
    unittest.main(argv=sys.argv[:1], verbosity=2)
