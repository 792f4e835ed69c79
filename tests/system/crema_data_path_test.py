#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""crema map and crema xdp attach, detach, status on a running crema-testpmd; beside bpftool where that is installed.

usage: crema_data_path_test.py CREMA CREMA_TESTPMD BUILD_DIR
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from support.data_path import DataPath

CREMA = TESTPMD = ""
BUILD = pathlib.Path()
# Types of maps with keys: bytes of a key, bytes of a value, flags.
KEYED = {"hash": (4, 8, 0), "array": (4, 12, 0), "percpu_hash": (4, 8, 0), "percpu_array": (4, 12, 0), "lru_hash": (4, 8, 0),
         "lru_percpu_hash": (4, 8, 0), "lpm_trie": (8, 4, 1), "devmap": (4, 4, 0), "devmap_hash": (4, 4, 0), "cpumap": (4, 4, 0),
         "prog_array": (4, 4, 0), "xskmap": (4, 4, 0)}
BPFTOOL = shutil.which("bpftool", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class Remote(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def start(self, *options, wire="gen"):
        self.path = DataPath(CREMA, TESTPMD, self.folder.name, *options, wire=wire)
        for step in (self.path.process.wait, self.path.process.kill, self.path.process.stdout.close,
                     self.path.process.stderr.close):
            self.addCleanup(step)
        return self.path

    def end(self):
        code, last, error = self.path.close()
        self.assertEqual(code, 0, error)
        self.assertEqual(last["buffers_missing"], 0)

    def crema(self, *words, code=0):
        done = subprocess.run([CREMA, *map(str, words), "--to", self.path.socket], capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        if code == 1:
            self.assertRegex(done.stderr, r"\Acrema: [^\n]+\n\Z")
        return done.stdout if code == 0 else done.stderr

    def test_maps(self):
        path = self.start("--xdp", f"0={BUILD}/bpf/l2fwd.bpf.o")
        path.port(lambda xdp: xdp["rx_xdp_aborted"] > 100)  # no target yet
        listed = {one["name"]: one for one in json.loads(self.crema("map", "show", "-j"))}
        self.assertEqual(listed["tx_port"]["type"], "devmap")
        self.assertEqual(listed["rx_counters"]["type"], "percpu_array")
        self.assertEqual(json.loads(self.crema("map", "list", "tx_port", "-j")), listed["tx_port"])
        self.assertIn("tx_port", self.crema("map", "show", listed["tx_port"]["id"]))
        self.assertIn("Found 0 elements", self.crema("map", "dump", "tx_port"))
        self.crema("map", "update", "tx_port", "32", "33")
        path.port(lambda xdp: xdp["rx_xdp_redirect"] > 100)
        self.assertEqual(json.loads(self.crema("map", "lookup", "tx_port", "32", "-j")),
                         {"key": ["0x20", "0x00", "0x00", "0x00"],
                          "value": ["0x21", "0x00", "0x00", "0x00"] + ["0x00"] * (listed["tx_port"]["bytes_value"] - 4)})
        self.assertIn("key: 20 00 00 00  value: 21 00 00 00", self.crema("map", "dump", "tx_port"))
        self.crema("map", "update", "rx_counters", "5", "hex:" + "01" * 16, "--if", "exist")
        entry = json.loads(self.crema("map", "lookup", "rx_counters", "5", "-j"))
        self.assertEqual({tuple(each["value"]) for each in entry["values"]}, {("0x01",) * 16})
        counted = json.loads(self.crema("map", "lookup", "rx_counters", "32", "-j"))["values"]
        self.assertGreater(sum(int.from_bytes(bytes(int(byte, 16) for byte in each["value"][:8]), "little") for each in counted), 100)
        self.crema("map", "delete", "tx_port", "32")
        self.assertIn("No such file", self.crema("map", "lookup", "tx_port", "32", code=1))
        self.assertIn("no map is called", self.crema("map", "dump", "nothing", code=1))
        self.assertIn("exists", self.crema("map", "update", "rx_counters", "5", "hex:" + "01" * 16, "--if", "noexist", code=1))
        self.assertIn("no number", self.crema("map", "lookup", "tx_port", "x", code=1))
        self.crema("map", "lookup", "tx_port", code=2)
        self.end()

    def same(self, ours, theirs, told=True):
        """`crema WORDS` and `bpftool WORDS` say the same in JSON. told: something."""
        said = json.loads(self.crema(*ours, "-j"))
        done = self.path.run(BPFTOOL, "-j", *theirs)
        known = json.loads(done.stdout)
        for one in known if isinstance(known, list) else [known]:
            for extra in ("formatted", "pids"):
                (one or {}).pop(extra, None)
        self.assertEqual(said, known, (ours, theirs))
        self.assertTrue(said or not told, ours)
        pretty = self.crema(*ours, "-p")
        self.assertEqual(json.loads(pretty), said)

    @unittest.skipIf(BPFTOOL is None, "bpftool is not installed")
    def test_maps_of_every_type_as_bpftool_shows_them(self):
        self.start()
        for name, (key, value, flags) in KEYED.items():
            self.assertEqual(self.path.run(BPFTOOL, "map", "create", f"/sys/fs/bpf/{name}", "type", name, "key", key, "value", value,
                                           "entries", 4, "name", name[:15], "flags", flags).stderr, "")
        for name in ("hash", "percpu_hash", "lru_hash", "lru_percpu_hash"):
            for number in (1, 2, 3):
                self.crema("map", "update", name[:15], number, f"hex:{number:02x}" + "00" * 6 + "99")
        for name in ("array", "percpu_array"):
            self.crema("map", "update", name, 2, "hex:" + "0102030405060708" + "090a0b0c")
        self.crema("map", "update", "lpm_trie", "hex:080000000a000000", 77)
        self.crema("map", "update", "/sys/fs/bpf/lpm_trie", "hex:100000000a0a0000", 78)
        self.crema("map", "update", "devmap", 1, 33)
        self.crema("map", "update", "devmap_hash", 900, 32)
        for name in KEYED:
            path = f"/sys/fs/bpf/{name}"
            with self.subTest(name):
                self.same(("map", "show", path), ("map", "show", "pinned", path))
                self.same(("map", "dump", path), ("map", "dump", "pinned", path), told=name != "prog_array")
        self.same(("map", "show"), ("map", "show"))
        self.same(("map", "list"), ("map", "list"))
        for name, key, words in (("hash", 1, (1, 0, 0, 0)), ("percpu_array", 2, (2, 0, 0, 0)), ("devmap", 1, (1, 0, 0, 0))):
            self.same(("map", "lookup", name, key), ("map", "lookup", "name", name, "key", *words))
            if name != "hash":  # in which it may be the last one
                self.same(("map", "getnext", name, key), ("map", "getnext", "name", name, "key", *words))
            self.same(("map", "getnext", name), ("map", "getnext", "name", name))
        self.assertIn("no key behind", self.crema("map", "getnext", "array", 3, code=1))
        self.end()

    @unittest.skipIf(BPFTOOL is None, "bpftool is not installed")
    def test_queues_and_stacks_as_bpftool_shows_them(self):
        self.start()
        for name in ("queue", "stack"):
            self.assertEqual(json.loads(self.crema("map", "create", name, "--type", name, "--value", 4, "--entries", 8, "-j")), None)
            ours, theirs = ("map", "peek", name), ("map", "peek", "name", name)
            self.assertIn("No such file", self.crema(*ours, code=1))
            for value in (7, 7, 9, 9):
                self.crema("map", "enqueue" if name == "queue" else "push", name, value)
            self.same(ours, theirs)
            taking = ("dequeue" if name == "queue" else "pop", name)
            first = json.loads(self.crema("map", *taking, "-j"))
            second = json.loads(self.path.run(BPFTOOL, "-j", "map", taking[0], "name", name).stdout)
            self.assertEqual(first, second)
            self.assertEqual(first["value"][0], "0x07" if name == "queue" else "0x09")
            self.assertIn("09 00 00 00" if name == "queue" else "07 00 00 00", self.crema("map", "pop", name))
            self.assertIn("has no keys", self.crema("map", "dump", name, code=1))
        self.end()

    def test_maps_are_made_pinned_and_frozen(self):
        self.start()
        made = ("map", "create", "blocked", "--type", "hash", "--key", 4, "--value", 8, "--entries", 16)
        self.assertEqual(self.crema(*made), "")
        shown = json.loads(self.crema("map", "show", "blocked", "-j"))
        self.assertEqual((shown["type"], shown["bytes_key"], shown["bytes_value"], shown["max_entries"], shown["frozen"]),
                         ("hash", 4, 8, 16, 0))
        self.assertIn("File exists", self.crema(*made, code=1))
        self.crema("map", "pin", "blocked", "/sys/fs/bpf/again")
        self.assertEqual(json.loads(self.crema("map", "show", "/sys/fs/bpf/again", "-j")), shown)
        if BPFTOOL:
            theirs = json.loads(self.path.run(BPFTOOL, "-j", "map", "show", "pinned", "/sys/fs/bpf/again").stdout)
            self.assertEqual(theirs["id"], shown["id"])
        self.crema("map", "update", "blocked", 1, 2)
        self.assertEqual(json.loads(self.crema("map", "freeze", "blocked", "-j")), None)
        self.assertEqual(json.loads(self.crema("map", "show", "blocked", "-p"))["frozen"], 1)
        self.assertIn("not permitted", self.crema("map", "update", "blocked", 1, 3, code=1))
        for wrong, why in ((("create", "x", "--type", "nothing", "--entries", 1), "no type of maps"),
                           (("create", "x", "--type", "hash", "--entries", 1), "Invalid argument"),
                           (("create", "/tmp/x", "--type", "array", "--key", 4, "--value", 4, "--entries", 1), "below /sys/fs/bpf"),
                           (("create", "../x", "--type", "array", "--key", 4, "--value", 4, "--entries", 1), "below /sys/fs/bpf"),
                           (("pin", "blocked", "/sys/fs/bpf/../x"), "no name of a pin"),
                           (("pin", "blocked", "/sys/fs/bpf/no/folder"), "No such file"),
                           (("show", "/sys/fs/bpf/nothing"), "No such file"),
                           (("show", "4294967295"), "No such file"),
                           (("push", "blocked", 1), "neither stack nor queue"),
                           (("lookup", "blocked", "hex:12"), "is not 4 bytes"),
                           (("lookup", "blocked", 1 << 33), "does not fit")):
            with self.subTest(wrong):
                self.assertIn(why, self.crema("map", *wrong, code=1))
        for wrong in (("create", "x"), ("nothing",), ("update", "blocked", 1), ("update", "blocked", 1, 1, "--if", "so"), ("pin", "blocked")):
            with self.subTest(wrong):
                self.crema("map", *wrong, code=2)
        self.end()

    def status(self, port="net_neta0"):
        """Its programs in the order they run, by `crema xdp status`: as text and as JSON the same."""
        rows = self.crema("xdp", "status").splitlines()[2:]
        at = next(i for i, row in enumerate(rows) if f": {port} " in row)
        listed = []
        for row in rows[at + 1:]:
            if not row.startswith(" =>"):
                break
            _, prio, name, number, tag, *actions = row.split()
            listed.append({"prio": int(prio), "name": name, "id": int(number), "tag": tag,
                           "chain_call_actions": actions[0] if actions else ""})
        told = [one for one in json.loads(self.crema("xdp", "status", "-j"))[0]["xdp"] if one["devname"] == port]
        self.assertEqual([one["programs"] for one in told], [listed] if listed else [])
        return listed

    def test_programs(self):
        path = self.start()
        head, line, *rows = self.crema("xdp", "status").splitlines()
        self.assertEqual(head.split(), ["Interface", "Prio", "Program", "name", "Mode", "ID", "Tag", "Chain", "actions"])
        self.assertEqual(set(line), {"-"})
        self.assertEqual([row.split() for row in rows],
                         [["32:", "net_neta0", "<No", "XDP", "program", "loaded!>"], ["33:", "net_neta1", "<No", "XDP", "program", "loaded!>"]])
        self.crema("xdp", "attach", "net_neta0", f"{BUILD}/bpf/drop.bpf.o")
        path.port(lambda xdp: xdp["program"] == "drop" and xdp["rx_xdp_drop"] > 1000)
        shown = json.loads(self.crema("xdp", "status", "-j"))[0]["xdp"]
        programs = shown[0].pop("programs")
        self.assertEqual([{**one, "id": 0} for one in shown],
                         [{"devname": "net_neta0", "ifindex": 32, "mode": "driver", "id": 0}])
        self.assertEqual([(one["prio"], one["name"], one["id"], one["chain_call_actions"]) for one in programs],
                         [(50, "drop", shown[0]["id"], "XDP_PASS")])
        if BPFTOOL:
            theirs = json.loads(path.run(BPFTOOL, "-j", "net", "show").stdout)[0]["xdp"]
            self.assertEqual([one for one in theirs if one["ifindex"] >= 32], shown)
            loaded = json.loads(path.run(BPFTOOL, "-j", "prog", "show", "id", shown[0]["id"]).stdout)
            self.assertEqual(loaded["tag"], programs[0]["tag"])
        self.crema("xdp", "attach", "32", f"{BUILD}/bpf/cpumap_5tuple.bpf.o", "--program", "steer", "--replace", code=1)
        self.crema("xdp", "attach", "32", f"{BUILD}/bpf/pass.bpf.o", "--replace")
        path.port(lambda xdp: xdp["program"] == "pass" and xdp["rx_xdp_pass"] > 1000)
        self.crema("xdp", "detach", "net_neta0")
        path.port(lambda xdp: xdp["program"] is None)
        self.assertIn("no program is attached", self.crema("xdp", "detach", "net_neta0", code=1))
        self.crema("xdp", "attach", "net_neta0", f"{BUILD}/bpf/pass.bpf.o", "--mode", "generic")
        self.assertIn("generic", self.crema("xdp", "status"))
        self.assertIn("can't be active at the same time", self.crema("xdp", "attach", "net_neta0", f"{BUILD}/bpf/drop.bpf.o", code=1))
        self.crema("xdp", "detach", "net_neta0", "--all")
        self.assertIn("there is net_neta0, net_neta1", self.crema("xdp", "detach", "eth0", code=1))
        self.assertIn("nothere.o", self.crema("xdp", "attach", "net_neta0", "/nothere.o", code=1))
        bad = BUILD / "tests/support/bpf/oracle_bad_oob_read.bpf.o"
        if bad.exists():
            self.assertIn("offset is outside of the packet", self.crema("xdp", "attach", "net_neta0", bad, code=1))
        self.end()

    def test_several_programs_on_one_port(self):
        path = self.start()
        passing, dropping = f"{BUILD}/bpf/pass.bpf.o", f"{BUILD}/bpf/drop.bpf.o"
        self.crema("xdp", "attach", "net_neta0", passing)
        path.port(lambda xdp: xdp["rx_xdp_pass"] > 100)
        self.crema("xdp", "attach", "net_neta0", dropping, "--prio", 60)
        xdp = path.port(lambda xdp: xdp["rx_xdp_drop"] > 100)
        self.assertEqual([(one["name"], one["prio"], one["chain_call_actions"]) for one in xdp["programs"]],
                         [("pass", 50, "XDP_PASS"), ("drop", 60, "XDP_PASS")])
        self.assertEqual(xdp["program"], "pass, drop")
        first, second = self.status()
        self.assertEqual((first["name"], second["name"], first["id"] < second["id"]), ("pass", "drop", True))
        # In front, and it does not go on: who drops sees nothing any more.
        self.crema("xdp", "attach", "net_neta0", passing, "--prio", 5, "--chain-call", "none")
        self.assertEqual([(one["prio"], one["name"], one["chain_call_actions"]) for one in self.status()],
                         [(5, "pass", ""), (50, "pass", "XDP_PASS"), (60, "drop", "XDP_PASS")])
        self.assertEqual(path.growth("rx_xdp_drop"), 0)
        self.assertGreater(path.growth("rx_xdp_pass"), 100)
        third = self.status()[0]["id"]
        self.assertIn("3 programs are attached", self.crema("xdp", "detach", "net_neta0", code=1))
        self.assertIn("no program with id 4294967295", self.crema("xdp", "detach", "net_neta0", "--id", 4294967295, code=1))
        # One goes on under another's feet: here the one in front, for one that drops and goes on.
        self.crema("xdp", "attach", "net_neta0", f"{dropping},prio=7,chain-call=drop,tx", "--instead-of", third)
        self.assertEqual([(one["prio"], one["name"], one["chain_call_actions"]) for one in self.status()],
                         [(7, "drop", "XDP_DROP,XDP_TX"), (50, "pass", "XDP_PASS"), (60, "drop", "XDP_PASS")])
        self.assertEqual(path.growth("rx_xdp_pass"), 0)
        self.crema("xdp", "detach", "net_neta0", "--id", second["id"])
        path.port(lambda xdp: len(xdp["programs"]) == 2)
        # The last of several goes on, too: then the frame is passed.
        self.assertEqual(path.growth("rx_xdp_drop"), 0)
        self.assertGreater(path.growth("rx_xdp_pass"), 100)
        # Several at once, and as many as there is room for.
        self.crema("xdp", "attach", "net_neta0", *[f"{passing},prio={prio}" for prio in range(100, 108)])
        self.assertEqual([one["prio"] for one in self.status()], [7, 50, *range(100, 108)])
        self.assertIn("at most 10", self.crema("xdp", "attach", "net_neta0", passing, code=1))
        # To the kernel's ways it is one program, which goes with all the others.
        if BPFTOOL:
            shown = json.loads(path.run(BPFTOOL, "-j", "net", "show").stdout)[0]["xdp"]
            self.assertEqual([one["id"] for one in shown if one["ifindex"] == 32], [self.status()[0]["id"]])
            self.assertEqual(path.run(BPFTOOL, "net", "detach", "xdpdrv", "dev", "net_neta0").returncode, 0)
            self.assertEqual(self.status(), [])
            self.crema("xdp", "attach", "net_neta0", passing, dropping)
        self.crema("xdp", "detach", "net_neta0", "--all")
        self.assertEqual(self.status(), [])
        for wrong in (("attach", "net_neta0"), ("attach", "net_neta0", passing, "--chain-call", "maybe"),
                      ("attach", "net_neta0", passing, "--prio", "-1"), ("attach", "net_neta0", passing, "--replace", "--instead-of", 1),
                      ("detach", "net_neta0", "--id", 1, "--all")):
            with self.subTest(wrong):
                self.crema("xdp", *wrong, code=2)
        for wrong, why in ((f"{passing},prio=x", "below 2^32"), (f"{passing},chain-call=maybe", "is no verdict"),
                           (f"0={passing}", "the port comes before it"), ("", "is not of the form")):
            with self.subTest(wrong):
                self.assertIn(why, self.crema("xdp", "attach", "net_neta0", wrong, code=1))
        self.end()

    def test_a_links_program_is_alone(self):
        path = self.start()
        if BPFTOOL is None or os.geteuid() != 0:
            self.skipTest("the link of another tool needs bpftool and root")
        holds = f"""
import ctypes, os, struct, sys, time
sys.path.insert(0, {str(pathlib.Path(__file__).resolve().parent / "support")!r})
from extensions import BPF, SILENT, bpf, load
BPF.libbpf_set_print(SILENT)
program, log = load({str(BUILD / "bpf/drop.bpf.o")!r}, "drop")
link = bpf(28, struct.pack("=IIII", program, 32, 37, 0))[0]
print(link >= 0, flush=True)
time.sleep(60)
"""
        holder = subprocess.Popen([CREMA, "bpf", "--to", path.socket, "--", sys.executable, "-c", holds], stdout=subprocess.PIPE, text=True)
        self.addCleanup(holder.stdout.close)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        self.assertEqual(holder.stdout.readline(), "True\n")
        self.assertEqual([one["name"] for one in self.status()], ["drop"])
        self.assertIn("active BPF XDP link", self.crema("xdp", "attach", "net_neta0", f"{BUILD}/bpf/pass.bpf.o", code=1))
        self.assertIn("active BPF XDP link", self.crema("xdp", "detach", "net_neta0", code=1))
        self.assertIn("active BPF XDP link", self.crema("xdp", "detach", "net_neta0", "--id", self.status()[0]["id"], code=1))
        self.end()


if __name__ == "__main__":
    CREMA, TESTPMD = sys.argv[1:3]
    BUILD = pathlib.Path(sys.argv[3])
    unittest.main(argv=sys.argv[:1], verbosity=2)
