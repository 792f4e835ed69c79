#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""crema-testpmd as its user meets it: options, statistics, commands, signals, errors.

usage: testpmd_test.py CREMA_TESTPMD BPF_OBJECT_DIR

Needs no root, no hugepages and no device. Ports are net_null (generic mode; an endless source of
64-byte frames of zeros) and net_neta on the generator wire (native mode).
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TESTPMD = ""
OBJECTS = ""

NULL_PORTS = ["--vdev=net_null0", "--vdev=net_null1"]
MILLION = 1_000_000
PAIR = ["--vdev=net_neta0,device=model,wire=gen", "--vdev=net_neta1,device=model,wire=null"]


def two_lcores():
    """One lcore for the program, one for its worker; on one CPU when there is only one."""
    cpus = sorted(os.sched_getaffinity(0))
    return f"0@{cpus[0]},1@{cpus[-1]}"


def command(ports, options, lcores=None):
    return [TESTPMD, "--no-huge", "-m", "160", "--no-pci", "--no-shconf", "--no-telemetry",
            f"--file-prefix=testpmd{os.getpid()}", "--lcores", lcores or two_lcores(),
            *ports, "--", "--idle-sleep-us", "50", *options]


def run(ports, options, lines=None, lcores=None):
    return subprocess.run(command(ports, options, lcores), input=lines, capture_output=True,
                          text=True, timeout=60, check=False)


def final(result):
    documents = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return [d for d in documents if d["type"] == "final"][-1]


def through_hook(port):
    xdp = port["xdp"]
    return sum(xdp["rx_xdp_" + name] for name in ("pass", "drop", "tx", "tx_errors", "redirect",
                                                  "redirect_errors", "aborted"))


def bpf(name):
    return os.path.join(OBJECTS, name + ".bpf.o")


class Forwarding(unittest.TestCase):
    def check_end(self, result):
        self.assertEqual(result.returncode, 0, result.stderr)
        document = final(result)
        self.assertEqual(document["buffers_missing"], 0)
        return document

    def test_without_program_frames_are_forwarded(self):
        document = self.check_end(run(NULL_PORTS, ["--duration", "0.5", "--json"]))
        for port in document["ports"]:
            self.assertGreater(port["ethdev"]["ipackets"], 0)
            self.assertEqual(through_hook(port), 0)
        received = sum(p["ethdev"]["ipackets"] for p in document["ports"])
        self.assertEqual(sum(p["ethdev"]["opackets"] for p in document["ports"]), received)

    def test_drop_accounts_for_every_frame(self):
        document = self.check_end(
            run(NULL_PORTS, ["--duration", "1", "--json", "--xdp", bpf("drop")]))
        for port in document["ports"]:
            self.assertEqual(port["xdp"]["mode"], "generic")
            self.assertGreater(port["xdp"]["rx_xdp_drop"], 0)
            self.assertEqual(port["xdp"]["rx_xdp_drop"], port["ethdev"]["ipackets"])
            self.assertEqual(port["ethdev"]["opackets"], 0)

    def test_pass_reaches_the_forwarding_engine(self):
        document = self.check_end(
            run(NULL_PORTS, ["--duration", "0.5", "--json", "--forward-mode", "macswap",
                             "--xdp", "0=" + bpf("pass"), "--xdp", "net_null1=" + bpf("drop")]))
        first, second = document["ports"]
        self.assertGreater(first["xdp"]["rx_xdp_pass"], 0)
        self.assertEqual(second["ethdev"]["opackets"], first["xdp"]["rx_xdp_pass"])
        self.assertEqual(first["ethdev"]["opackets"], 0)

    def test_rxonly_sends_nothing(self):
        document = self.check_end(
            run(NULL_PORTS, ["--duration", "0.3", "--json", "--forward-mode", "rxonly"]))
        for port in document["ports"]:
            self.assertGreater(port["ethdev"]["ipackets"], 0)
            self.assertEqual(port["ethdev"]["opackets"], 0)

    def test_l2fwd_redirects_by_devmap(self):
        document = self.check_end(
            run(NULL_PORTS, ["--duration", "0.5", "--json", "--xdp", bpf("l2fwd"),
                             "--map", "tx_port:32=1", "--map", "tx_port:33=net_null0"]))
        for port, other in zip(document["ports"], reversed(document["ports"])):
            self.assertGreater(port["xdp"]["rx_xdp_redirect"], 0)
            self.assertEqual(port["xdp"]["rx_xdp_redirect"], through_hook(port))
            self.assertEqual(other["xdp"]["tx_xdp_xmit"], port["xdp"]["rx_xdp_redirect"])

    def test_l2fwd_without_target_aborts_and_says_so(self):
        result = run(NULL_PORTS, ["--duration", "1.5", "--json", "--xdp", bpf("l2fwd")])
        document = self.check_end(result)
        for port in document["ports"]:
            self.assertEqual(port["xdp"]["rx_xdp_aborted"], through_hook(port))
        self.assertIn("program l2fwd id 1 returned ABORTED", result.stderr)
        self.assertLess(result.stderr.count("aborted"), 6, "once per second and port")

    def test_periodic_documents_grow(self):
        result = run(NULL_PORTS, ["--duration", "1", "--json", "--stats-period", "0.2",
                                  "--xdp", bpf("drop")])
        self.check_end(result)
        documents = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertGreaterEqual(len(documents), 4)
        drops = [d["ports"][0]["xdp"]["rx_xdp_drop"] for d in documents]
        self.assertEqual(drops, sorted(drops))
        self.assertIn("received", result.stderr, "a progress line per period")

    def test_table_is_printed_without_json(self):
        result = run(NULL_PORTS, ["--duration", "0.2", "--xdp", bpf("drop")])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("rx_xdp_pass", result.stdout)
        self.assertIn("page_pool", result.stdout)


class Native(unittest.TestCase):
    """net_neta on its model, where the program runs inside the driver."""

    def setUp(self):
        if run(PAIR, ["--duration", "0.1"]).returncode != 0:
            self.skipTest("no net_neta driver in this build")

    def million(self, program, options=(), wire="", lcores=None):
        """Sends a million frames into port 0, ends when they were received; the final document."""
        ports = ["--vdev=net_neta0,device=model,wire=gen:count=1000000" + wire, PAIR[1]]
        process = subprocess.Popen(
            command(ports, ["-i", "-a", "--json", "--stats-period", "0.2", "--forward-mode",
                            "rxonly", "--xdp", "0=" + bpf(program), *options], lcores),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        give_up = time.monotonic() + 100
        for line in process.stdout:
            if line.startswith("{"):
                received = json.loads(line)["ports"][0]["ethdev"]["ipackets"]
                if received >= MILLION or time.monotonic() > give_up:
                    break
        out, err = process.communicate("quit\n", timeout=30)
        self.assertEqual(process.returncode, 0, err)
        document = json.loads([line for line in out.splitlines() if line.startswith("{")][-1])
        self.assertEqual(document["type"], "final")
        port = document["ports"][0]
        self.assertEqual(port["xdp"]["mode"], "native")
        self.assertTrue(port["link"]["up"])
        self.assertEqual(port["ethdev"]["ipackets"], MILLION)
        self.assertEqual(through_hook(port), MILLION, "every frame has one verdict counter")
        self.assertEqual(document["buffers_missing"], 0, "pages in = pages out")
        return document

    def test_million_dropped(self):
        self.assertEqual(self.million("drop")["ports"][0]["xdp"]["rx_xdp_drop"], MILLION)

    def test_million_passed(self):
        document = self.million("pass")
        self.assertEqual(document["ports"][0]["xdp"]["rx_xdp_pass"], MILLION)
        self.assertEqual(sum(w["received"] for w in document["workers"]), MILLION)

    def test_million_aborted(self):
        # l2fwd without an entry for the port has nowhere to send
        self.assertEqual(self.million("l2fwd")["ports"][0]["xdp"]["rx_xdp_aborted"], MILLION)

    def test_million_sent_back(self):
        port = self.million("ssh_mirror", wire=":proto=tcp:dport=22")["ports"][0]
        self.assertEqual(port["xdp"]["rx_xdp_tx"] + port["xdp"]["rx_xdp_tx_errors"], MILLION)
        self.assertGreater(port["xdp"]["rx_xdp_tx"], 0)
        self.assertEqual(port["ethdev"]["opackets"], port["xdp"]["rx_xdp_tx"])
        self.assertEqual(port["xdp"]["tx_xdp_xmit"], 0, "counts what other ports sent here")

    def test_million_redirected_to_a_port(self):
        first, second = self.million("l2fwd", ["--map", "tx_port:32=1"])["ports"]
        self.assertGreater(first["xdp"]["rx_xdp_redirect"], 0)
        self.assertEqual(first["xdp"]["rx_xdp_redirect"] + first["xdp"]["rx_xdp_redirect_errors"],
                         MILLION)
        self.assertEqual(second["xdp"]["tx_xdp_xmit"], first["xdp"]["rx_xdp_redirect"])

    def test_million_redirected_to_a_cpu(self):
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            self.skipTest("needs two CPUs")
        here, there = cpus[0], cpus[1]
        document = self.million(
            "cpumap_5tuple",
            ["--map", "cpus_count:0=1", "--map", f"cpus_available:0={there}",
             "--map", f"cpu_map:{there}=2048@on_cpu"], lcores=f"0@{here},1@{here},2@{there}")
        port = document["ports"][0]
        there = [c for c in document["cpumap"] if c["cpu"] == there][0]
        self.assertGreater(there["received"], 0)
        self.assertEqual(port["xdp"]["rx_xdp_redirect"], there["received"],
                         "what the queue took arrived, also what was under way at the end")
        self.assertEqual(port["xdp"]["rx_xdp_redirect_errors"], there["enqueue_drops"])
        self.assertEqual(there["pass"], there["received"])


    def test_million_spread_over_cpus_by_one_option(self):
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            self.skipTest("needs two CPUs")
        here, there = cpus[0], cpus[1]
        lcores = f"0@{here},1@{here},2@{there}"
        # Two ports and two workers: both poll, so auto means both.
        for option, targets in (("auto", [here, there]), (f"{there}:512", [there])):
            document = self.million("pass", ["--rps", option], wire=":flows=64", lcores=lcores)
            port = document["ports"][0]
            got = {c["cpu"]: c for c in document["cpumap"]}
            for cpu in targets:
                self.assertGreater(got[cpu]["received"], 0, f"{option}: CPU {cpu}")
            self.assertEqual(sum(c["received"] for c in got.values()), port["xdp"]["rx_xdp_redirect"])
            self.assertEqual(through_hook(port), MILLION)
            for cpu in {here, there} - set(targets):
                self.assertEqual(got.get(cpu, {"received": 0})["received"], 0)


class Commands(unittest.TestCase):
    def session(self, lines, options=()):
        return run(NULL_PORTS, ["-i", *options], lines="\n".join(lines) + "\n")

    def test_everything_in_one_session(self):
        result = self.session([
            "# a comment", "", "xdp attach all " + bpf("l2fwd"), "map update tx_port 32 1",
            "map update tx_port 33 0", "start", "map dump tx_port", "show xdp",
            "show port stats all", "show port xstats all", "xdp detach 1", "port mtu 0 1400",
            "stop", "start", "xdp detach all", "help", "quit"])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("error:", result.stdout)
        self.assertIn("32: ifindex 33", result.stdout)
        self.assertIn("rx_good_packets", result.stdout)
        self.assertIn("MTU 1400", result.stdout)
        self.assertIn("buffers that did not come home: 0", result.stdout)

    def test_errors_are_told_and_do_not_end_the_session(self):
        result = self.session(["nonsense", "xdp attach 0 /nowhere.o", "xdp detach 0",
                               "xdp attach 9 " + bpf("drop"), "map dump tx_port",
                               "port mtu 0 many", "quit"])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.count("error:"), 6)

    def test_end_of_input_ends_the_program(self):
        self.assertEqual(self.session(["start"]).returncode, 0)

    def test_map_settings_hold_for_the_object_that_replaces(self):
        process = subprocess.Popen(
            command(NULL_PORTS, ["-i", "-a", "--json", "--xdp", bpf("l2fwd"),
                                 "--map", "tx_port:32=1", "--map", "tx_port:33=0"]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for name in ("l2fwd_drop_icmp", "l2fwd", "l2fwd_drop_icmp", "l2fwd"):
            time.sleep(0.1)
            process.stdin.write("xdp attach all " + bpf(name) + "\n")
            process.stdin.flush()
        time.sleep(0.1)
        out, err = process.communicate("quit\n", timeout=30)
        self.assertEqual(process.returncode, 0, err)
        document = json.loads([line for line in out.splitlines() if line.startswith("{")][-1])
        self.assertEqual(document["buffers_missing"], 0)
        for port in document["ports"]:
            self.assertGreater(port["xdp"]["rx_xdp_redirect"], 0)
            self.assertEqual(port["xdp"]["rx_xdp_redirect"], through_hook(port),
                             "no frame was aborted: each new object had its targets")

    def test_command_file(self):
        with tempfile.NamedTemporaryFile("w", suffix=".cmd") as file:
            file.write("show xdp\nquit\n")
            file.flush()
            result = run(NULL_PORTS, ["-i", "--cmdline-file", file.name])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("port 1 net_null1 generic: no program", result.stdout)


class Signals(unittest.TestCase):
    def test_interrupt_and_terminate_end_cleanly(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = subprocess.Popen(command(NULL_PORTS, ["--json", "--xdp", bpf("drop")]),
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            time.sleep(1)
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 0, err)
            self.assertEqual(json.loads(out.splitlines()[-1])["type"], "final")


class Errors(unittest.TestCase):
    """Exit code 1 (2 for wrong usage), one line from the program that says what and why."""

    def fails(self, options, *words, code=1, ports=None):
        result = run(ports or NULL_PORTS, ["--duration", "0.1", *options])
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        own = [line for line in result.stderr.splitlines() if line.startswith("crema-testpmd: ")]
        self.assertEqual(len(own), 1, result.stderr)
        for word in words:
            self.assertIn(word, own[0])

    def test_missing_object(self):
        self.fails(["--xdp", "/nowhere/x.bpf.o"], "/nowhere/x.bpf.o")

    def test_no_elf(self):
        with tempfile.NamedTemporaryFile("wb", suffix=".o") as file:
            file.write(b"this is text\n" * 10)
            file.flush()
            self.fails(["--xdp", file.name], file.name)

    def test_no_such_program(self):
        self.fails(["--xdp", bpf("drop") + ":other"], "other")

    def test_rps_without_a_worker_there(self):
        self.fails(["--rps", "63"], "--rps", "no worker runs on CPU 63")
        self.fails(["--rps", "first"], "--rps", "'first'", code=2)

    def test_no_such_port(self):
        self.fails(["--xdp", "7=" + bpf("drop")], "7")

    def test_unknown_map(self):
        self.fails(["--xdp", bpf("l2fwd"), "--map", "nothing:0=0"], "nothing")

    def test_bad_map_values(self):
        self.fails(["--xdp", bpf("l2fwd"), "--map", "tx_port:32=9"], "tx_port:32=9")
        self.fails(["--xdp", bpf("l2fwd"), "--map", "tx_port:99=1"], "tx_port:99=1")
        self.fails(["--xdp", bpf("l2fwd"), "--map", "tx_port:x=1"], "'x'")

    def test_mtu_above_the_frame_limit(self):
        self.fails(["--mtu", "9000", "--xdp", bpf("drop")], "MTU")

    def test_pool_too_small(self):
        self.fails(["--total-num-mbufs", "10"], "10")

    def test_device_that_does_not_open(self):
        self.fails([], "EAL", ports=["--vdev=net_nosuch0"])

    def test_no_port(self):
        self.fails([], "no ports", ports=["--no-pci"])

    def test_too_many_workers(self):
        self.fails(["--nb-cores", "5"], "5 workers")

    def test_wrong_usage(self):
        for options in (["--forward-mode", "teleport"], ["--burst", "65"], ["--nonsense"],
                        ["--map", "x"], ["--xdp", "0="]):
            self.fails(options, code=2)

    def test_help_is_no_error(self):
        result = subprocess.run([TESTPMD, "--help"], capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0)
        self.assertIn("--forward-mode", result.stdout)


if __name__ == "__main__":
    TESTPMD, OBJECTS = sys.argv[1], sys.argv[2]
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
