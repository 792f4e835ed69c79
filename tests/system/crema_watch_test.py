#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""crema stats, monitor and dump on a running crema-testpmd; captures are read by tcpdump, and by tshark where that is installed.

usage: crema_watch_test.py CREMA CREMA_TESTPMD BUILD_DIR
"""
import collections
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from support.data_path import DataPath

CREMA = TESTPMD = ""
BUILD = pathlib.Path()
TSHARK = shutil.which("tshark")
VERDICT = {0: "ABORTED", 1: "DROP", 2: "PASS", 3: "TX", 4: "REDIRECT"}


class Packet:
    def __init__(self, body, options):
        self.interface, high, low, captured, self.frame_bytes = struct.unpack("<5I", body[:20])
        self.ns, self.bytes, self.options = high << 32 | low, body[20:20 + captured], options


def read_pcapng(path):
    """Interface names and packets of a capture: every block has to be whole."""
    data, at, interfaces, packets, statistics = pathlib.Path(path).read_bytes(), 0, [], [], []
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert length % 4 == 0 and at + length <= len(data), f"a block of {length} bytes at {at} of {len(data)}"
        assert struct.unpack_from("<I", data, at + length - 4)[0] == length
        body = data[at + 8:at + length - 4]
        fixed = {0x0A0D0D0A: 16, 1: 8, 5: 12}.get(kind)
        if kind == 6:
            fixed = 20 + (struct.unpack_from("<I", body, 12)[0] + 3) // 4 * 4
        options, place = {}, fixed
        while place + 4 <= len(body):
            code, size = struct.unpack_from("<HH", body, place)
            options[code] = body[place + 4:place + 4 + size]
            place += 4 + (size + 3) // 4 * 4
            if code == 0:
                break
        if kind == 1:
            interfaces.append(options[2].decode())
        elif kind == 5:
            statistics.append((struct.unpack("<Q", options[4])[0], struct.unpack("<Q", options[5])[0]))
        elif kind == 6:
            packets.append(Packet(body, options))
        at += length
    return interfaces, packets, statistics


class Watch(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.file = os.path.join(self.folder.name, "out.pcapng")

    def start(self, *options, program="l2fwd", **wires):
        words = ("--xdp", f"0={BUILD}/bpf/{program}.bpf.o") if program else ()
        self.path = DataPath(CREMA, TESTPMD, self.folder.name, *words, *options, **wires)
        for step in (self.path.process.wait, self.path.process.kill, self.path.process.stdout.close,
                     self.path.process.stderr.close):
            self.addCleanup(step)
        # Somebody must read what it prints, or it waits.
        threading.Thread(target=self.read_on, daemon=True).start()
        return self.path

    def read_on(self):
        try:
            while os.read(self.path.process.stdout.fileno(), 1 << 16):
                pass
        except (OSError, ValueError):
            pass

    def crema(self, *words, code=0, text=True, **more):
        done = subprocess.run([CREMA, *map(str, words), "--to", self.path.socket], capture_output=True, text=text, timeout=60,
                              check=False, **more)
        self.assertEqual(done.returncode, code, (done.stdout, done.stderr))
        return done

    def spawn(self, *words, **more):
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **more}
        process = subprocess.Popen([CREMA, *map(str, words), "--to", self.path.socket], **more)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def wait_for(self, holds, seconds=15):
        end = time.monotonic() + seconds
        while not holds():
            self.assertLess(time.monotonic(), end, "it does not come to that")
            time.sleep(0.05)

    def one_error(self, done, words):
        self.assertRegex(done.stderr.splitlines()[-1], rf"\Acrema: .*{words}")

    def stats(self, *words):
        return json.loads(self.crema("stats", *words, "-j").stdout.splitlines()[-1])

    # --- stats

    def test_stats_tell_ports_queues_programs_and_map_entries(self):
        self.start("--map", "tx_port:32=1")
        self.wait_for(lambda: self.stats()["ports"][0]["xdp"]["rx_xdp_redirect"] > 1000)
        document = self.stats()
        port = document["ports"][0]
        self.assertEqual((port["ifindex"], port["name"]), (32, "net_neta0"))
        self.assertEqual(sum(queue["rx_xdp_redirect"] for queue in port["queues"]), port["xdp"]["rx_xdp_redirect"])
        program = [each for each in document["programs"] if each["id"] == port["xdp"]["programs"][0]["id"]][0]
        self.assertEqual((program["name"], program["run_cnt"], program["last_error"]), ("l2fwd", 0, None))
        devmap = [each for each in document["maps"] if each["name"] == "tx_port"][0]
        self.assertIn(devmap["id"], program["map_ids"])
        self.assertEqual([(each["key"], each["ifindex"]) for each in devmap["entries"]], [(32, 33)])
        self.assertGreater(devmap["entries"][0]["packets"], 1000)
        text = self.crema("stats").stdout
        for words in ("port 0 net_neta0 (ifindex 32, native, link up)", "rx_xdp_redirect", "map ", "[32] ifindex 33 packets",
                      "page_pool", "worker lcore"):
            self.assertIn(words, text)
        self.assertEqual(list(self.stats("maps")), ["type", "seconds", "maps"])

    def test_stats_per_second_and_with_runs(self):
        self.start("--map", "tx_port:32=1")
        lines = self.crema("stats", "-i", "0.3", "-c", "3", "-r", "-j").stdout.splitlines()
        self.assertEqual(len(lines), 3)
        last = json.loads(lines[-1])
        self.assertAlmostEqual(last["interval_s"], 0.3, delta=0.25)
        rates = last["rates"]
        self.assertGreater(rates["ports"][0]["xdp"]["rx_xdp_redirect"], 1000)
        self.assertGreater(rates["programs"][0]["run_cnt"], 1000)
        self.assertGreater(rates["programs"][0]["run_time_ns"], 1000)
        self.assertGreater([each for each in rates["maps"] if each["name"] == "tx_port"][0]["entries"][0]["packets"], 1000)
        self.assertEqual(rates["ports"][0]["ifindex"], 32)
        before = self.stats("programs")["programs"][0]["run_cnt"]
        time.sleep(0.3)
        self.assertEqual(self.stats("programs")["programs"][0]["run_cnt"], before, "nobody counts any more")
        watching = self.spawn("stats", "ports", "-i", "0.2")
        self.wait_for(lambda: "/s" in watching.stdout.readline())
        watching.send_signal(signal.SIGINT)
        self.assertEqual(watching.wait(10), 0)

    # --- exceptions

    def test_exceptions_are_told(self):
        self.start()  # no target: l2fwd aborts
        self.wait_for(lambda: self.stats()["programs"][0]["last_error"])
        last = self.stats()["programs"][0]["last_error"]
        self.assertEqual((last["what"], last["act"], last["ifindex"], last["queue"]), ("xdp_exception", 0, 32, 0))
        self.assertLess(abs(time.time() - last["unix_ns"] / 1e9), 5)
        self.assertIn("last error", self.crema("stats", "programs").stdout)
        lines = [json.loads(line) for line in self.crema("monitor", "-i", "0.5", "-c", "2", "-j").stdout.splitlines()]
        events = [line for line in lines if line["type"] == "event"]
        self.assertTrue(events)
        self.assertEqual({(each["what"], each["program"], each["act"], each["ifindex"]) for each in events},
                         {("xdp_exception", "l2fwd", "ABORTED", 32)})
        sums = [line for line in lines if line["type"] == "summary"]
        self.assertEqual(len(sums), 2)
        self.assertGreater(sums[1]["exceptions"], 1000)
        self.assertGreater(sums[1]["rx"], 1000)
        text = self.crema("monitor", "-i", "0.5", "-c", "1").stdout
        self.assertRegex(text, r"xdp_exception: program l2fwd id \d+ returned ABORTED, ifindex 32 queue 0: frame dropped")
        self.assertRegex(text, r"Summary +\d+ rx/s")
        self.assertIn("not shown", text)
        # Also in the log, once.
        time.sleep(1.2)
        self.path.process.send_signal(signal.SIGTERM)
        self.path.process.wait(20)
        said = [line for line in self.path.process.stderr.read().splitlines() if "xdp_exception" in line]
        self.assertTrue(1 <= len(said) <= 3, said)

    def test_redirects_are_summed_up(self):
        self.start("--map", "tx_port:32=1")
        summary = json.loads(self.crema("monitor", "-i", "0.5", "-c", "1", "-j").stdout.splitlines()[-1])
        self.assertGreater(summary["redirect"], 1000)
        self.assertGreater(summary["devmap_xmit"], 1000)
        self.assertEqual((summary["exceptions"], summary["redirect_errors"]), (0, 0))
        self.assertRegex(self.crema("monitor", "-i", "0.5", "-c", "1").stdout, r"devmap_xmit +[1-9]\d* xmit/s +0 drop/s")

    def test_cpumap_entries_programs_and_captures(self):
        cpus = sorted(os.sched_getaffinity(0))
        cpu = cpus[-1]
        self.start("--map", f"cpu_map:{cpu}=192@on_cpu", "--map", f"cpus_available:0={cpu}", "--map", "cpus_count:0=1",
                   program="cpumap_5tuple")
        self.wait_for(lambda: self.stats()["ports"][0]["xdp"]["rx_xdp_redirect"] > 1000)
        cpumap = [each for each in self.stats()["maps"] if each["type"] == "cpumap"][0]
        entry = cpumap["entries"][0]
        self.assertEqual((entry["key"], entry["cpu"], entry["queue_size"]), (cpu, cpu, 192))
        self.assertGreater(entry["packets"], 1000)
        self.assertEqual(entry["received"], entry["pass"])
        on_cpu = [each for each in self.stats()["programs"] if each["id"] == entry["program_id"]][0]
        self.assertEqual(on_cpu["name"], "on_cpu")
        self.assertRegex(self.crema("monitor", "-i", "0.5", "-c", "1").stdout, r"cpumap_kthread +[1-9]\d* pkt/s")
        self.crema("dump", "-P", "on_cpu", "--rx-capture", "entry,exit", "-w", self.file, "-c", "40")
        interfaces, packets, _ = read_pcapng(self.file)
        self.assertEqual(sorted(interfaces), ["net_neta0:on_cpu()@fentry", "net_neta0:on_cpu()@fexit"])
        self.assertEqual({packet.options[1] for packet in packets if 1 in packet.options}, {b"verdict: XDP_PASS"})

    def test_programs_of_a_chain_are_told_one_by_one(self):
        self.start("--xdp", f"0={BUILD}/bpf/drop.bpf.o,prio=90", program="pass")
        self.wait_for(lambda: self.stats()["ports"][0]["xdp"]["rx_xdp_drop"] > 1000)
        rates = self.stats("-i", "0.5", "-c", "1", "-r")["rates"]["programs"]
        runs = {each["name"]: each["run_cnt"] for each in rates}
        self.assertGreater(runs["pass"], 1000)
        self.assertAlmostEqual(runs["pass"], runs["drop"], delta=runs["pass"] / 5)
        done = self.crema("dump", "-i", "32", "--rx-capture", "exit", "-w", self.file, "-c", "100")
        self.assertIn("2 programs", done.stderr)
        interfaces, packets, _ = read_pcapng(self.file)
        self.assertEqual({(interfaces[packet.interface], packet.options[1]) for packet in packets},
                         {("net_neta0:pass()@fexit", b"verdict: XDP_PASS"), ("net_neta0:drop()@fexit", b"verdict: XDP_DROP")})

    # --- dump

    def test_dump_lists_ports_and_programs(self):
        self.start()
        text = self.crema("dump", "-D").stdout
        self.assertRegex(text, r"net_neta0 +32 +native +\d+ +[0-9a-f]{16} l2fwd")
        self.assertRegex(text, r"net_neta1 +33 +native +<no XDP program>")
        listed = json.loads(self.crema("dump", "-D", "-j").stdout)
        self.assertEqual([each["name"] for each in listed], ["net_neta0", "net_neta1"])
        self.assertEqual(listed[0]["programs"][0]["name"], "l2fwd")

    def test_dump_writes_entry_and_exit(self):
        self.start("--map", "tx_port:32=1")
        done = self.crema("dump", "-i", "net_neta0", "--rx-capture", "entry,exit", "-w", self.file, "-c", "400")
        self.assertIn("crema dump: 400 packets captured", done.stderr)
        interfaces, packets, statistics = read_pcapng(self.file)
        self.assertEqual(sorted(interfaces), ["net_neta0:l2fwd()@fentry", "net_neta0:l2fwd()@fexit"])
        self.assertEqual(len(packets), 400)
        self.assertEqual(sum(received for received, _ in statistics), 400)
        by_id = collections.defaultdict(list)
        for packet in packets:
            by_id[packet.options[5]].append(packet)
            self.assertLess(abs(packet.ns / 1e9 - time.time()), 60)
            self.assertEqual(struct.unpack("<I", packet.options[6])[0], 0)
            at_exit = interfaces[packet.interface].endswith("fexit")
            self.assertEqual(packet.options.get(1), b"verdict: XDP_REDIRECT" if at_exit else None)
            self.assertEqual(packet.options.get(7), struct.pack("<BQ", 2, 4) if at_exit else None)
        pairs = [two for two in by_id.values() if len(two) == 2]
        self.assertGreater(len(pairs), 150)
        for entry, leaving in pairs:
            self.assertEqual(interfaces[entry.interface][-6:], "fentry")
            self.assertLessEqual(entry.ns, leaving.ns)
            self.assertEqual(entry.frame_bytes, leaving.frame_bytes)
        self.assertEqual([packet.ns for packet in packets], sorted(packet.ns for packet in packets))
        listed = subprocess.run(["tcpdump", "-n", "-r", self.file], capture_output=True, text=True, check=False)
        self.assertEqual((listed.returncode, len(listed.stdout.splitlines())), (0, 400), listed.stderr)

    @unittest.skipIf(TSHARK is None, "tshark is not installed (package tshark)")
    def test_dump_is_read_by_tshark(self):
        self.start(program="drop")
        self.crema("dump", "-i", "32", "--rx-capture", "exit", "-w", self.file, "-c", "20")
        done = subprocess.run([TSHARK, "-r", self.file, "-T", "fields", "-e", "frame.interface_name", "-e", "frame.comment",
                               "-e", "frame.verdict.ebpf_xdp"], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.splitlines(), ["net_neta0:drop()@fexit\tverdict: XDP_DROP\t1"] * 20)

    def test_dump_to_a_pipe(self):
        self.start(program="drop")
        dump = self.spawn("dump", "-i", "32", "-w", "-", "-c", "30", text=False)
        shown = subprocess.run(["tcpdump", "-n", "-r", "-"], stdin=dump.stdout, capture_output=True, text=True, timeout=60,
                               check=False)
        self.assertEqual(len(shown.stdout.splitlines()), 30, shown.stderr)
        self.assertEqual(dump.wait(10), 0)

    def test_dump_filter_snap_length_and_lines(self):
        self.start(program="drop", wire="gen:flows=4")
        self.crema("dump", "-i", "32", "-s", "20", "-w", self.file, "-c", "10")
        _, packets, _ = read_pcapng(self.file)
        self.assertEqual({len(packet.bytes) for packet in packets}, {20})
        self.assertEqual({packet.frame_bytes > 20 for packet in packets}, {True})
        self.crema("dump", "-i", "32", "-w", self.file, "-c", "200")
        _, packets, _ = read_pcapng(self.file)
        ports = collections.Counter(struct.unpack("!H", packet.bytes[34:36])[0] for packet in packets)
        self.assertGreater(len(ports), 1)
        wanted = ports.most_common(1)[0][0]
        self.crema("dump", "-i", "32", "-w", self.file, "-c", "50", "udp", "and", "src", "port", wanted)
        _, packets, _ = read_pcapng(self.file)
        self.assertEqual({struct.unpack("!H", packet.bytes[34:36])[0] for packet in packets}, {wanted})
        nothing = self.spawn("dump", "-i", "32", "arp")
        time.sleep(0.7)
        nothing.send_signal(signal.SIGINT)
        said, error = nothing.communicate(timeout=10)
        self.assertEqual((said, nothing.returncode), ("", 0))
        self.assertIn("0 packets captured", error)
        text = self.crema("dump", "-i", "32", "--rx-capture", "exit", "-c", "2", "-x").stdout
        self.assertRegex(text, r"(?m)^\d+\.\d{9}: drop\(\)@exit\[DROP\]: packet size \d+ bytes on if_name \"net_neta0\", "
                               r"rx queue 0, id \d+$")
        self.assertRegex(text, r"(?m)^  0x0000:  ([0-9a-f]{2} ){16}")
        line = json.loads(self.crema("dump", "-i", "32", "--rx-capture", "exit", "-c", "1", "-j").stdout)
        self.assertEqual((line["verdict"], line["program"], line["at"]), ("DROP", "drop", "exit"))
        self.assertEqual(len(line["bytes"]), 2 * line["frame_bytes"])

    def test_dump_follows_what_is_attached(self):
        self.start(program="pass")
        dump = self.spawn("dump", "-i", "32", "-w", self.file)
        self.assertIn("1 program,", dump.stderr.readline())
        time.sleep(0.5)
        self.crema("xdp", "attach", "net_neta0", f"{BUILD}/bpf/drop.bpf.o", "--replace")
        time.sleep(1)
        dump.send_signal(signal.SIGINT)
        self.assertEqual(dump.wait(10), 0)
        interfaces, packets, _ = read_pcapng(self.file)
        self.assertEqual(sorted(interfaces), ["net_neta0:drop()@fentry", "net_neta0:pass()@fentry"])
        self.assertEqual({packet.interface for packet in packets}, {0, 1})

    def test_several_dumps_at_once(self):
        self.start(program="drop")
        files = [f"{self.file}{i}" for i in range(3)]
        dumps = [self.spawn("dump", "-w", file, "-c", "500") for file in files]
        self.assertEqual([dump.wait(30) for dump in dumps], [0, 0, 0])
        self.assertEqual([len(read_pcapng(file)[1]) for file in files], [500, 500, 500])
        self.assertEqual(self.stats()["ports"][0]["xdp"]["rx_xdp_aborted"], 0)

    def test_a_slow_dump_loses_records_and_no_frame(self):
        self.start(program="drop")
        dump = self.spawn("dump", "--buffer", 65536, "-w", self.file)
        self.assertIn("listening", dump.stderr.readline())
        dump.send_signal(signal.SIGSTOP)
        before = self.stats()["ports"][0]["xdp"]["rx_xdp_drop"]
        time.sleep(1)
        after = self.stats()["ports"][0]
        self.assertGreater(after["xdp"]["rx_xdp_drop"] - before, 1000)
        dump.send_signal(signal.SIGCONT)
        dump.send_signal(signal.SIGINT)
        self.assertEqual(dump.wait(10), 0)
        error = dump.stderr.read()
        self.assertRegex(error, r"crema dump: [1-9]\d* packets dropped")
        read_pcapng(self.file)

    def test_a_killed_dump_ends_its_capture(self):
        self.start(program="drop")
        for _ in range(5):
            dump = self.spawn("dump", "-w", self.file)
            self.assertIn("1 program,", dump.stderr.readline())
            dump.kill()
            dump.wait()
        files = len(os.listdir(f"/proc/{self.path.process.pid}/fd"))
        self.wait_for(lambda: not [one for one in os.listdir(f"/proc/{self.path.process.pid}/fd")
                                   if "crema_capture" in self.link(one)])
        self.assertGreaterEqual(files, 0)
        self.assertEqual(len(self.stats("ports")["ports"]), 2)

    def link(self, fd):
        try:
            return os.readlink(f"/proc/{self.path.process.pid}/fd/{fd}")
        except OSError:
            return ""

    # --- what goes wrong

    def test_the_data_path_ends_meanwhile(self):
        self.start(program="drop")
        dump = self.spawn("dump", "-w", self.file)
        monitor = self.spawn("monitor")
        stats = self.spawn("stats", "-i", "0.2")
        self.assertIn("listening", dump.stderr.readline())
        time.sleep(1)
        self.path.process.kill()
        for process in (dump, monitor, stats):
            self.assertEqual(process.wait(20), 1)
            self.assertRegex(process.stderr.read().splitlines()[-1], r"\Acrema: .*the data path has ended")
        self.assertGreater(len(read_pcapng(self.file)[1]), 100)

    @unittest.skipIf(os.geteuid() != 0, "a small disk is mounted by root only")
    def test_the_disk_is_full(self):
        small = os.path.join(self.folder.name, "small")
        os.mkdir(small)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", small], check=False, capture_output=True).returncode:
            self.skipTest("nothing can be mounted here")
        self.addCleanup(subprocess.run, ["umount", small], check=True)
        self.start(program="drop")
        done = self.crema("dump", "-w", f"{small}/out.pcapng", code=1)
        self.one_error(done, "No space left on device; what is there can be read")
        _, packets, _ = read_pcapng(f"{small}/out.pcapng")
        self.assertGreater(len(packets), 500)
        shown = subprocess.run(["tcpdump", "-n", "-r", f"{small}/out.pcapng"], capture_output=True, text=True, check=False)
        self.assertEqual((shown.returncode, len(shown.stdout.splitlines())), (0, len(packets)), shown.stderr)

    def test_wrong_words(self):
        self.start(program="drop")
        for words in (("stats", "nonsense"), ("stats", "-i", "x"), ("monitor", "-c", "0"), ("dump", "--rx-capture", "middle"),
                      ("dump", "no such filter"), ("dump", "-s", "0"), ("dump", "-x", "-w", "f")):
            done = self.crema(*words, code=2)
            self.assertRegex(done.stderr, r"\Acrema[^\n]*\n\Z", words)
            self.assertIn("--help", done.stderr)
        for words, reason in ((("dump", "-i", "net_neta7"), "no port is called net_neta7: there is net_neta0, net_neta1"),
                              (("dump", "-P", "nothing"), "no program is called nothing"),
                              (("dump", "-w", "/nowhere/at/all"), "/nowhere/at/all: cannot be written: No such file")):
            self.one_error(self.crema(*words, code=1), reason)
        for verb in ("stats", "monitor", "dump"):
            done = subprocess.run([CREMA, verb, "--to", f"{self.folder.name}/none"], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("nobody serves there", done.stderr)
            done = subprocess.run([CREMA, verb], capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr.count("\n")), (2, 1), done.stderr)

    def test_hostile_clients(self):
        """Nonsense, half a request, much of it, no reading: others are served and nothing is left."""
        self.start(program="drop")
        pid = self.path.process.pid
        self.stats()
        files = len(os.listdir(f"/proc/{pid}/fd"))
        clients = []
        for said in (b"{", b"{}\n" * 1000, b'{"ask": 7}\n', b'{"ask": "stats"' + b"[" * 100_000 + b"\n", b"{" * 300_000,
                     b'{"ask": "capture", "entry": true, "filter": "zz"}\n', b'{"ask": "capture", "filter": "' + b"00" * 8 + b'"}\n',
                     b'{"ask": "capture", "entry": true, "ring": 5}\n', b'{"ask": "capture", "entry": true, "ring": 99999999999}\n',
                     b'{"ask": "capture", "entry": true, "port": 9999}\n', b'{"ask": "capture", "entry": true, "programs": [9e99, "x", 7]}\n',
                     b'{"ask": "stats"}\n' * 5000):
            client = socket.socket(socket.AF_UNIX)
            client.connect(self.path.socket)
            client.setblocking(False)
            try:
                client.send(said)
            except (BlockingIOError, BrokenPipeError):
                pass
            clients.append(client)
        for _ in range(100):
            client = socket.socket(socket.AF_UNIX)
            client.connect(self.path.socket)
            client.send(b"{")
            clients.append(client)
        time.sleep(0.5)
        self.assertIsNone(self.path.process.poll())
        for client in clients:
            client.close()
        self.assertEqual(len(self.stats()["ports"]), 2)
        self.wait_for(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= files + 1)


if __name__ == "__main__":
    CREMA, TESTPMD, BUILD = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]).resolve()
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
