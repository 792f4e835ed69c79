#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""crema xdp as its user meets it: documented commands, JSON, errors, and the kernel's answers beside ours.

usage: crema_xdp_test.py CREMA BUILD_DIR SOURCE_DIR

Needs no root and no device; the comparison with the kernel is skipped where bpf(2) or bpftool is missing.
"""
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

CREMA = ""
BUILD = pathlib.Path()
SOURCE = pathlib.Path()


def run(*words, cwd=None):
    return subprocess.run([CREMA, "xdp", *map(str, words)], capture_output=True, text=True, timeout=120, check=False, cwd=cwd)


def bpf(name):
    return BUILD / "bpf" / f"{name}.bpf.o"


def test_object(name):
    return BUILD / "tests/support/bpf" / f"{name}.o"


# --- packets and captures -------------------------------------------------------------------------

def ethernet(kind, payload):
    return bytes.fromhex("020000000002020000000001") + struct.pack("!H", kind) + payload


def vlan(number, kind, payload):
    return struct.pack("!HH", number, kind) + payload


def ipv4(protocol, payload):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0x4000, 64, protocol, 0,
                       bytes([192, 0, 2, 1]), bytes([198, 51, 100, 2]))
    total = sum(struct.unpack("!10H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:] + payload


def tcp(source, destination):
    return struct.pack("!HHIIBBHHH", source, destination, 1, 2, 0x50, 0x10, 512, 0, 0) + bytes(10)


def udp(source, destination):
    return struct.pack("!HHHH", source, destination, 26, 0) + bytes(18)


PACKETS = [
    ethernet(0x0800, ipv4(6, tcp(40000, 22))),
    ethernet(0x0800, ipv4(6, tcp(22, 40000))),
    ethernet(0x0800, ipv4(17, udp(40000, 53))),
    ethernet(0x8100, vlan(7, 0x0800, ipv4(6, tcp(40000, 22)))),
    ethernet(0x8100, vlan(7, 0x8100, vlan(8, 0x0806, bytes(46)))),
    ethernet(0x86DD, bytes(60)),
    ethernet(0x0806, bytes(28)),
    ethernet(0x0800, bytes(3)),
    ethernet(0x0800, b""),
]


def write_pcap(path, packets, link_type=1):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, link_type))
        for number, packet in enumerate(packets):
            file.write(struct.pack("<IIII", 1000 + number, 123456789, len(packet), len(packet)) + packet)


def read_pcap(path):
    data = pathlib.Path(path).read_bytes()
    assert data[:4] == struct.pack("<I", 0xA1B23C4D), "not a capture with nanoseconds"
    packets, at = [], 24
    while at < len(data):
        seconds, nanoseconds, length, _ = struct.unpack("<IIII", data[at:at + 16])
        packets.append((seconds, nanoseconds, data[at + 16:at + 16 + length]))
        at += 16 + length
    return packets


class InFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.pcap = self.folder / "in.pcap"
        write_pcap(self.pcap, PACKETS)

    def run_json(self, *words, code=0):
        done = run(*words, "--json")
        self.assertEqual(done.returncode, code, done.stderr)
        return json.loads(done.stdout)


# --- the documentation is true ----------------------------------------------------------------------

def documented():
    """verb -> (commands, JSON keys) of docs/crema-xdp.md."""
    text = (SOURCE / "docs/crema-xdp.md").read_text(encoding="utf-8")
    verbs = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        name = section.split("\n", 1)[0].strip()
        commands = [line.strip() for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
                    for line in block.splitlines() if line.strip()]
        keys = set()
        for row in re.findall(r"^\| (`.*?) \|", section, flags=re.MULTILINE):
            first = None
            for key in re.findall(r"`([^`]+)`", row):
                if key.startswith("..."):  # another leaf beside the one before
                    key = first.rsplit(".", 1)[0] + "." + key[3:]
                first = key
                keys.add(key)
        verbs[name] = (commands, keys)
    return verbs


def key_paths(value, path=""):
    if isinstance(value, dict):
        for key, inner in value.items():
            # Names in these two are data; the documentation calls them NAME.
            key = "NAME" if path in ("ns_per_packet", "ratios") else key
            yield from key_paths(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        if not value:
            yield path
        for inner in value:
            yield from key_paths(inner, path + "[]")
    else:
        yield path


def is_documented(path, keys):
    """An empty list stands for what it could hold, a null for the object it replaces."""
    return any(key == path or key.startswith((path + "[]", path + ".")) for key in keys)


class Documentation(InFolder):
    def test_every_command_does_what_it_says(self):
        (self.folder / "build").symlink_to(BUILD)
        bin_folder = self.folder / "bin"
        bin_folder.mkdir()
        (bin_folder / "crema").symlink_to(CREMA)
        environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
        verbs = documented()
        self.assertEqual(set(verbs), {"verify", "disasm", "run", "bench"})
        for verb, (commands, keys) in verbs.items():
            self.assertGreaterEqual(len(commands), 3, verb)
            for command in commands:
                done = subprocess.run(["sh", "-c", command], cwd=self.folder, env=environment, text=True,
                                      capture_output=True, timeout=120, check=False)
                with self.subTest(command=command):
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertTrue(done.stdout or done.stderr)
                    if "--json" in command:
                        for path in key_paths(json.loads(done.stdout)):
                            self.assertTrue(is_documented(path, keys), f"{verb}: {path} is not documented")

    def test_every_documented_key_occurs(self):
        broken = self.folder / "short.pcap"
        write_pcap(broken, [bytes(5), *PACKETS])
        devmap = ["--map", "tx_port:1=2", "--maps"]
        seen = {
            "verify": [run("verify", test_object("mixed"), "--json")],
            "disasm": [run("disasm", bpf("vlan_pop"), "--json")],
            "run": [run("run", bpf("l2fwd"), "--pcap", broken, *devmap, "--json"),
                    run("run", test_object("redirects"), "--pcap", self.pcap, "--json")],
            "bench": [run("bench", bpf("drop"), "--seconds", "0.1", "--json")],
        }
        for verb, (_, keys) in documented().items():
            found = {path for done in seen[verb] for path in key_paths(json.loads(done.stdout))}
            missing = {key for key in keys if key not in found and key.removesuffix("[]") not in found
                       and not key.startswith("ratios.")}
            self.assertFalse(missing, verb)

    def test_help_has_an_example(self):
        for words in ([], ["verify"], ["disasm"], ["run"], ["bench"]):
            done = run(*words, "--help")
            self.assertEqual(done.returncode, 0)
            self.assertIn("Example: crema xdp " + " ".join(words), done.stdout)


class Errors(InFolder):
    def check_line(self, done, code, *wanted):
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith("crema"), lines[0])
        for word in wanted:
            self.assertIn(word, lines[0])

    def test_wrong_usage_is_one_helpful_line(self):
        self.check_line(run(), 2, "crema xdp --help")
        self.check_line(run("frob"), 2, "no command 'frob'", "verify, disasm, run, bench")
        self.check_line(run("verify"), 2, "OBJECT is required")
        self.check_line(run("verify", bpf("pass"), "--log", "9"), 2, "--log")
        self.check_line(run("verify", bpf("pass"), "--frob"), 2, "--frob")
        self.check_line(run("run", bpf("pass")), 2, "--pcap is required")
        self.check_line(run("run", bpf("pass"), "--pcap", "x", "--map", "a=b"), 2, "MAP:KEY=VALUE")
        self.check_line(run("run", bpf("pass"), "--pcap", "x", "--repeat", "0"), 2, "--repeat")
        self.check_line(run("bench", bpf("pass"), "--size", "64", "--pcap", "x"), 2, "--size")

    def test_what_cannot_be_done_is_one_line(self):
        nothing = self.folder / "nothing.o"
        for verb in (["verify"], ["disasm"], ["run", "--pcap", self.pcap], ["bench"]):
            self.check_line(run(verb[0], nothing, *verb[1:]), 1, str(nothing), "No such file")
            self.check_line(run(verb[0], self.pcap, *verb[1:]), 1, "ELF")
            self.check_line(run(verb[0], bpf("pass"), *verb[1:], "--program", "frob"), 1, "'frob'", "it has pass")
        self.check_line(run("run", test_object("mixed"), "--pcap", self.pcap), 1, "first_is_refused",
                        "invalid access to packet")
        self.check_line(run("run", bpf("l2fwd"), "--pcap", self.pcap, "--map", "frob:1=1"), 1, "no map 'frob'")
        self.check_line(run("run", bpf("l2fwd"), "--pcap", self.pcap, "--map", "tx_port:1=99"), 1, "'99'", "1 to 32")

    def test_captures_that_cannot_be_read_or_written(self):
        self.check_line(run("run", bpf("pass"), "--pcap", self.folder / "none"), 1, "No such file")
        self.check_line(run("run", bpf("pass"), "--pcap", bpf("pass")), 1, "not a capture")
        self.check_line(run("run", bpf("pass"), "--pcap", self.pcap, "--out", self.folder / "no/out"), 1, "No such file")
        self.check_line(run("run", bpf("pass"), "--pcap", self.pcap, "--out", self.pcap), 1, "another name")
        self.assertEqual(len(read_pcap(self.pcap)), len(PACKETS), "the input was written over")
        other = self.folder / "raw.pcap"
        write_pcap(other, PACKETS, link_type=101)
        self.check_line(run("run", bpf("pass"), "--pcap", other), 1, "only Ethernet")
        cut = self.folder / "cut.pcap"
        cut.write_bytes(self.pcap.read_bytes()[:-5])
        done = run("run", bpf("pass"), "--pcap", cut)
        self.check_line(done, 1, "damaged behind packet 8")
        self.assertIn("8 packets", done.stdout, "what came before the damage was run")

    def test_packets_out_of_range_do_not_stop_the_others(self):
        mixed = self.folder / "mixed.pcap"
        write_pcap(mixed, [PACKETS[0], bytes(13), bytes(3521), PACKETS[1]])
        done = run("run", bpf("pass"), "--pcap", mixed)
        self.check_line(done, 1, "1 of 4 packets", "packet 2", "at least 14")
        self.assertIn("4 packets, 3 run", done.stdout)


class Verify(InFolder):
    def test_judges_every_program(self):
        done = run("verify", test_object("mixed"))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(re.findall(r"^(\w+) \(\S+\): (\w+)", done.stdout, re.MULTILINE),
                         [("first_is_refused", "refused"), ("second_passes", "accepted"),
                          ("third_drops", "accepted"), ("of_devmap_is_refused", "refused")])
        errors = done.stderr.splitlines()
        self.assertEqual(len(errors), 2, done.stderr)
        self.assertRegex(errors[0], r"^crema: \S+mixed\.o: program first_is_refused: instruction 1 \(\S*mixed\.bpf\.c:\d+\): "
                                    r"invalid access to packet")

    def test_one_program_alone(self):
        done = run("verify", test_object("mixed"), "--program", "third_drops")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(len(done.stdout.splitlines()), 1)

    def test_log_levels(self):
        states = run("verify", bpf("drop"), "--log", "2").stdout
        self.assertIn("R1=ctx", states)
        statistics = run("verify", bpf("drop"), "--log", "4").stdout
        self.assertNotIn("R1=ctx", statistics)
        self.assertRegex(statistics, r"processed \d+ insns")
        refused = run("verify", test_object("out_of_bounds"), "--log", "0")
        self.assertEqual(len(refused.stdout.splitlines()), 1)
        self.assertEqual(refused.returncode, 1)


class Disasm(InFolder):
    def check_code(self, function):
        """Every byte of the function's machine code is shown exactly once."""
        self.assertEqual(function["unmapped"], [], "machine code was not mapped")
        lowered = [one for line in function["instructions"] for one in line["lowered"]] + function["around"]
        native = [insn for one in lowered for insn in one["native"]] + function["prologue"]
        at = 0
        for insn in sorted(native, key=lambda insn: insn["offset"]):
            self.assertEqual(insn["offset"], at)
            at += len(insn["bytes"]) // 2
        self.assertEqual(at, function["native_bytes"])

    def test_every_instruction_has_its_code(self):
        program = self.run_json("disasm", bpf("ssh_mirror"))["programs"][0]
        self.assertEqual(len(program["functions"]), 1)
        self.assertGreater(sum("source" in line for line in program["functions"][0]["instructions"]), 10)
        self.check_code(program["functions"][0])

    def test_functions_have_their_names_and_code(self):
        functions = self.run_json("disasm", test_object("functions"))["programs"][0]["functions"]
        self.assertEqual([function["name"] for function in functions], ["calls", "length_of", "is_long"])
        for function in functions:
            self.check_code(function)
        text = run("disasm", test_object("functions"), "--bpf").stdout
        self.assertRegex(text, r"call pc\+\d+ ; function length_of")

    def test_levels_and_refused_programs(self):
        bpf_only = run("disasm", bpf("vlan_pop"), "--bpf").stdout
        self.assertIn("call bpf_xdp_adjust_head#44", bpf_only)
        self.assertNotIn("|", re.sub(r"; .*", "", bpf_only).replace("|=", ""))
        self.assertIn("ret", run("disasm", bpf("vlan_pop"), "--native").stdout)
        refused = run("disasm", test_object("out_of_bounds"))
        self.assertEqual(refused.returncode, 0)
        self.assertIn("refused", refused.stdout)
        self.assertEqual(run("disasm", test_object("out_of_bounds"), "--native").returncode, 1)


class Run(InFolder):
    def test_counts_and_writes_what_came_out(self):
        out = self.folder / "out.pcap"
        document = self.run_json("run", bpf("vlan_pop"), "--pcap", self.pcap, "--out", out)
        self.assertEqual(document["packets"], len(PACKETS))
        self.assertEqual(sum(document["verdicts"].values()), len(PACKETS))
        left = [packet for packet in document["per_packet"] if packet["retval"] in (2, 3, 4)]
        written = read_pcap(out)
        self.assertEqual([packet["data"] for packet in left], [data.hex() for _, _, data in written])
        self.assertEqual([(1000 + packet["packet"] - 1, 123456789) for packet in left],
                         [(seconds, nanoseconds) for seconds, nanoseconds, _ in written])
        self.assertEqual(written[3][2], PACKETS[0], "the tag is gone")

    def test_shows_targets_and_maps(self):
        done = run("run", bpf("l2fwd"), "--pcap", self.pcap, "--map", "tx_port:1=2", "-v", "--maps")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"packet 1: XDP_REDIRECT, \d+ bytes in, \d+ out, to map tx_port key 1")
        self.assertIn("map tx_port:\n  1: ifindex 2\n", done.stdout)

    def test_repeat_goes_on_with_what_the_run_before_left(self):
        twice = self.run_json("run", bpf("ssh_mirror"), "--pcap", self.pcap, "--repeat", "2")
        self.assertEqual(twice["per_packet"][0]["data"], PACKETS[0].hex(), "swapped twice")
        once = self.run_json("run", bpf("ssh_mirror"), "--pcap", self.pcap)
        self.assertNotEqual(once["per_packet"][0]["data"], PACKETS[0].hex())

    def test_equals_the_kernels_test_run(self):
        bpftool = shutil.which("bpftool")
        if bpftool is None or os.geteuid() != 0:
            self.skipTest("needs bpftool and root")
        for name in ("pass", "drop", "ssh_mirror", "vlan_pop", "proto_counters"):
            for number, packet in enumerate(PACKETS):
                (self.folder / f"{number}.bin").write_bytes(packet)
            # A BPF file system of its own, in a mount namespace of its own.
            script = ["set -e", "mount -t bpf bpf fs", f"{bpftool} prog load {bpf(name)} fs/prog type xdp"]
            script += [f"{bpftool} -j prog run pinned fs/prog data_in {number}.bin data_out {number}.out "
                       f"data_size_out 4096 repeat 1 && echo" for number in range(len(PACKETS))]
            (self.folder / "fs").mkdir()
            done = subprocess.run(["unshare", "-m", "sh", "-c", "\n".join(script)], cwd=self.folder, text=True,
                                  capture_output=True, timeout=60, check=False)
            (self.folder / "fs").rmdir()
            if done.returncode != 0:
                self.skipTest("bpftool prog run: " + (done.stderr + done.stdout).strip())
            answers = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
            self.assertEqual(len(answers), len(PACKETS), done.stdout)
            ours = self.run_json("run", bpf(name), "--pcap", self.pcap)["per_packet"]
            for number, (kernel, packet) in enumerate(zip(answers, ours)):
                with self.subTest(program=name, packet=number):
                    self.assertEqual(packet["retval"], kernel["retval"])
                    self.assertEqual(packet["data"], (self.folder / f"{number}.out").read_bytes().hex())


class Bench(InFolder):
    def test_measures_what_there_is(self):
        document = self.run_json("bench", bpf("drop"), "--pcap", self.pcap, "--seconds", "0.1")
        self.assertEqual(document["packets"], len(PACKETS))
        times = document["ns_per_packet"]
        self.assertGreater(times["crema"]["min"], 0)
        self.assertLessEqual(times["crema"]["min"], times["crema"]["median"])
        self.assertLessEqual(times["crema"]["median"], times["crema"]["max"])
        if "kernel" in times:
            self.assertEqual(document["not_measured"], [])
            self.assertIn("crema/kernel", document["ratios"])
        else:
            self.assertIn("bpf(2)", document["not_measured"][0])

    def test_without_bpf_it_says_what_is_missing(self):
        if os.geteuid() != 0 or shutil.which("setpriv") is None:
            self.skipTest("needs root to give up rights")
        done = subprocess.run(["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--reuid=65534", "--clear-groups",
                               CREMA, "xdp", "bench", str(bpf("drop")), "--seconds", "0.1"],
                              capture_output=True, text=True, timeout=60, check=False)
        if done.returncode in (126, 127) or "cannot open" in done.stderr or "denied" in done.stderr:
            self.skipTest("another user cannot read the build: " + done.stderr.strip())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("not measured: kernel: bpf(2) is refused", done.stdout)


if __name__ == "__main__":
    CREMA, BUILD, SOURCE = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve(), pathlib.Path(sys.argv[3]).resolve()
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]], verbosity=2)
