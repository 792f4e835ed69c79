#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""bpftool, unchanged, under the kernel and under `crema bpf --`, and the commands of docs/crema-bpf.md.

usage: crema_bpftool_test.py CREMA BUILD_DIR SOURCE_DIR

Each command's output and exit code must be the kernel's, but for what is anybody's own: object numbers, times, sizes of
machine code and memory. Comparisons are skipped by name where bpftool or the kernel's bpf(2) is missing.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

CREMA = ""
BUILD = SOURCE = pathlib.Path()
FOLDER = f"/sys/fs/bpf/crema_tool_{os.getpid()}"
BPFTOOL = shutil.which("bpftool", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")

# One shell command a line; $B is a folder in the BPF file system, $O the folder of objects.
COMMANDS = """
bpftool prog load $O/bpf/ssh_mirror.bpf.o $B/one type xdp
bpftool prog loadall $O/tests/conformance/hashes.bpf.o $B/all
ls $B $B/all
bpftool prog show pinned $B/one
bpftool -j prog show pinned $B/one
bpftool prog show name hash_count
bpftool prog pin pinned $B/one $B/again
bpftool prog pin pinned $B/one $B/again
bpftool prog run pinned $B/one data_in $T/zeros data_out $T/out repeat 3
cmp $T/zeros $T/out
bpftool -j prog run pinned $B/one data_in $T/zeros
bpftool prog run pinned $B/one data_in $T/short
bpftool prog load $O/tests/support/bpf/oracle_bad_oob_read.bpf.o $B/bad 2>&1 | tail -1
bpftool prog show name nothere
bpftool map create $B/h type hash key 4 value 8 entries 4 name h flags 1
bpftool map create $B/h type hash key 4 value 8 entries 4 name h flags 1
bpftool map update pinned $B/h key 1 0 0 0 value 1 2 3 4 5 6 7 8
bpftool map update pinned $B/h key hex ff 00 00 00 value hex 01 02 03 04 05 06 07 08 noexist
bpftool map update pinned $B/h key hex ff 00 00 00 value hex 01 02 03 04 05 06 07 08 noexist
bpftool map lookup pinned $B/h key 1 0 0 0
bpftool -j map lookup pinned $B/h key 1 0 0 0
bpftool map lookup pinned $B/h key 2 0 0 0
bpftool -j map dump pinned $B/h | tr '{' '\\n' | tr -d ',]' | sort
bpftool map dump pinned $B/h | sort
bpftool map getnext pinned $B/h | head -1
bpftool map delete pinned $B/h key 1 0 0 0
bpftool map delete pinned $B/h key 1 0 0 0
bpftool map freeze pinned $B/h
bpftool map update pinned $B/h key 1 0 0 0 value 1 2 3 4 5 6 7 8
bpftool map show pinned $B/h
bpftool -j map show pinned $B/h
bpftool map dump name h
bpftool map create $B/q type queue value 4 entries 4 name q
bpftool map push pinned $B/q value 1 0 0 0
bpftool map enqueue pinned $B/q value 2 0 0 0
bpftool map peek pinned $B/q
bpftool map dequeue pinned $B/q
bpftool map pop pinned $B/q
bpftool map pop pinned $B/q
bpftool map create $B/s type stack value 4 entries 4 name s
bpftool map push pinned $B/s value 1 0 0 0
bpftool map push pinned $B/s value 2 0 0 0
bpftool map pop pinned $B/s
bpftool map create $B/a type array key 4 value 4 entries 3 name a
bpftool map update pinned $B/a key 2 0 0 0 value 9 0 0 0
bpftool map dump pinned $B/a
bpftool -j map dump pinned $B/a
bpftool map getnext pinned $B/a
bpftool map getnext pinned $B/a key 1 0 0 0
bpftool map getnext pinned $B/a key 2 0 0 0
bpftool map delete pinned $B/a key 1 0 0 0
bpftool map create $B/c type percpu_array key 4 value 4 entries 2 name c
bpftool map dump pinned $B/c
bpftool map create $B/l type lpm_trie key 8 value 4 entries 2 name l flags 1
bpftool map update pinned $B/l key 16 0 0 0 10 1 0 0 value 5 0 0 0
bpftool map lookup pinned $B/l key 32 0 0 0 10 1 7 7
bpftool map create $B/l2 type lpm_trie key 8 value 4 entries 2 name l
bpftool map create $B/o type array_of_maps key 4 value 4 entries 2 name o inner_map pinned $B/a
bpftool map update pinned $B/o key 0 0 0 0 value pinned $B/a
bpftool map create $B/n type nothing key 4 value 4 entries 2 name n
bpftool map pin pinned $B/a $B/a2
ls -A $B
rm $B/a $B/a2
bpftool map show pinned $B/a
bpftool net show
bpftool link show
rm -r $B
"""

# How a map of each type is made where "key 4 value 4 entries 8" does not do, and what it is used for.
MAP_WORDS = {
    "lpm_trie": "key 8 value 4 entries 8 flags 1",
    "stack_trace": "key 4 value 8 entries 8",
    "array_of_maps": "key 4 value 4 entries 8 inner_map pinned $B/inner",
    "hash_of_maps": "key 4 value 4 entries 8 inner_map pinned $B/inner",
    "queue": "key 0 value 4 entries 8",
    "stack": "key 0 value 4 entries 8",
    "bloom_filter": "key 0 value 4 entries 8",
    "ringbuf": "key 0 value 0 entries 4096",
    "user_ringbuf": "key 0 value 0 entries 4096",
    "cgroup_storage": "key 8 value 4 entries 0",
    "percpu_cgroup_storage": "key 8 value 4 entries 0",
    "sk_storage": "key 4 value 4 entries 0 flags 1",
    "inode_storage": "key 4 value 4 entries 0 flags 1",
    "task_storage": "key 4 value 4 entries 0 flags 1",
    "cgrp_storage": "key 4 value 4 entries 0 flags 1",
}
MAP_USES = {
    **{name: ("update PIN key 1 0 0 0 value 1 2 3 4", "lookup PIN key 1 0 0 0", "dump PIN")
       for name in ("hash", "array", "lru_hash")},
    **{name: ("lookup PIN key 1 0 0 0", "dump PIN") for name in ("percpu_array",)},
    "lpm_trie": ("update PIN key 8 0 0 0 1 2 3 4 value 1 2 3 4", "lookup PIN key 32 0 0 0 1 2 3 4"),
    **{name: ("update PIN key 1 0 0 0 value pinned $B/inner", "lookup PIN key 1 0 0 0")
       for name in ("array_of_maps", "hash_of_maps")},
    **{name: ("push PIN value 1 2 3 4", "peek PIN") for name in ("queue", "stack")},
}

# Anybody's own: numbers, times, sizes.
OWN = [(re.compile(pattern), text) for pattern, text in (
    (r"^\d+: ", "ID: "),
    (r'"(id|btf_id|loaded_at|bytes_jited|bytes_xlated|bytes_memlock|duration)":\d+', r'"\1":N'),
    (r"\bbtf_id \d+", "btf_id N"),
    (r"loaded_at \S+", "loaded_at T"),
    (r"memlock \d+B", "memlock NB"),
    (r"jited \d+B", "jited NB"),
    (r"xlated \d+B", "xlated NB"),  # the kernel's has lookups inlined
    (r"\(average\): \d+ns", "(average): Nns"),
    (r"map_ids [\d,]+", "map_ids N"),
    (r'"map_ids":\[[\d,]+\]', '"map_ids":[N]'),
)]


def normalised(text):
    lines = []
    for line in text.splitlines():
        for pattern, own in OWN:
            line = pattern.sub(own, line)
        lines.append(line)
    return lines


def script(folder, temporary):
    """All commands in one shell, each followed by a line with its number and exit code."""
    lines = [f"B={folder} O={BUILD} T={temporary}", f"PATH=$PATH:{pathlib.Path(BPFTOOL).parent}", "mkdir $B"]
    for number, command in enumerate(COMMANDS.strip().splitlines()):
        lines.append(f"{{ {command}; }} 2>&1; echo \"== {number} $?\"")
    return "\n".join(lines)


def answers(output):
    """Output of each command, with its exit code as the last line."""
    found, current = [], []
    for line in output.splitlines():
        current.append(line)
        if line.startswith("== "):
            found.append(normalised("\n".join(current)))
            current = []
    return found


def run(*words, timeout=300, **kwargs):
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=timeout, check=False, **kwargs)


def under_crema(*words, **kwargs):
    return run(CREMA, "bpf", "--", *words, **kwargs)


@unittest.skipIf(BPFTOOL is None, "bpftool is not installed")
class Bpftool(unittest.TestCase):
    def test_commands_answer_as_under_the_kernel(self):
        if not os.access("/sys/fs/bpf", os.W_OK):
            self.skipTest("no BPF file system to pin in")
        with tempfile.TemporaryDirectory() as temporary:
            (pathlib.Path(temporary) / "zeros").write_bytes(bytes(64))
            (pathlib.Path(temporary) / "short").write_bytes(bytes(8))
            text = script(FOLDER, temporary)
            kernel = answers(run("sh", "-c", text).stdout)
            if not kernel or kernel[0][-1] != "== 0 0":
                self.skipTest("the kernel's bpf(2) is not allowed here")
            crema = answers(under_crema("sh", "-c", text).stdout)
        commands = COMMANDS.strip().splitlines()
        self.assertEqual(len(kernel), len(commands))
        for command, wanted, got in zip(commands, kernel, crema):
            with self.subTest(command):
                self.assertEqual(wanted, got)
        self.assertEqual(len(crema), len(commands))
        self.assertFalse(os.path.exists(FOLDER))

    @unittest.skipIf(os.geteuid() != 0, "no right to cover /sys/fs/bpf")
    def test_instructions_are_shown_with_the_names_of_calls_and_maps(self):
        text = f"{BPFTOOL} prog loadall {BUILD}/tests/conformance/hashes.bpf.o /sys/fs/bpf/x && " \
               f"{BPFTOOL} prog dump xlated name hash_count && {BPFTOOL} -j map show name plain"
        shown = under_crema("sh", "-c", text)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        number = re.search(r'"id":(\d+)', shown.stdout).group(1)
        self.assertIn(f"map[id:{number}]", shown.stdout)
        self.assertIn("int hash_count(struct xdp_md * ctx):", shown.stdout)
        with open("/proc/kallsyms", encoding="ascii") as symbols:
            if any(line.split()[0].strip("0") and " __bpf_call_base" in line for line in symbols):
                self.assertIn("call bpf_map_lookup_elem#", shown.stdout)

    def probe(self):
        if os.geteuid() != 0:
            self.skipTest("bpftool probes all features for root only")
        probe = under_crema(BPFTOOL, "-j", "feature", "probe", "full")
        self.assertEqual(probe.returncode, 0, probe.stderr)
        return json.loads(probe.stdout)

    def test_map_types_are_there_if_the_feature_probe_says_so(self):
        said = {name.removeprefix("have_").removesuffix("_map_type"): there
                for name, there in self.probe()["map_types"].items()}
        self.assertGreater(len(said), 25)
        script_lines = [f"PATH=$PATH:{pathlib.Path(BPFTOOL).parent} B=/sys/fs/bpf",
                        "bpftool map create $B/inner type array key 4 value 4 entries 1 name inner"]
        for name in said:
            words = MAP_WORDS.get(name, "key 4 value 4 entries 8")
            script_lines.append(f"bpftool map create $B/{name} type {name} {words} name m >/dev/null 2>&1; echo {name} $?")
            for use in MAP_USES.get(name, ()):
                use = use.replace("PIN", f"pinned $B/{name}")
                script_lines.append(f"bpftool map {use} >/dev/null 2>&1; echo {name} $?")
        done = under_crema("sh", "-c", "\n".join(script_lines))
        answers_of = {}
        for line in done.stdout.splitlines():
            answers_of.setdefault(line.split()[0], []).append(line.split()[1])
        for name, there in said.items():
            with self.subTest(name):
                self.assertEqual(set(answers_of[name]) == {"0"}, there, answers_of[name])

    def test_program_types_are_what_the_page_says(self):
        there = {name for name, is_there in self.probe()["program_types"].items() if is_there}
        # The four that libbpf loads to learn what a kernel can do: they load and never run.
        empty = {f"have_{name}_prog_type" for name in ("socket_filter", "kprobe", "tracepoint", "cgroup_sock")}
        self.assertEqual(there, empty | {"have_xdp_prog_type", "have_ext_prog_type"})
        page = (SOURCE / "docs/crema-bpf.md").read_text(encoding="utf-8")
        for name in empty:
            self.assertIn(f"`{name.removeprefix('have_').removesuffix('_prog_type')}`", page)
        with tempfile.TemporaryDirectory() as temporary:
            (pathlib.Path(temporary) / "zeros").write_bytes(bytes(64))
            text = f"{BPFTOOL} prog load {BUILD}/bpf/pass.bpf.o /sys/fs/bpf/p && " \
                   f"{BPFTOOL} prog run pinned /sys/fs/bpf/p data_in {temporary}/zeros"
            done = under_crema("sh", "-c", text)
        self.assertIn("Return value: 2", done.stdout, done.stderr)

    def test_limits_and_instructions_are_those_of_the_probe(self):
        misc = self.probe()["misc"]
        self.assertEqual(misc, {"have_large_insn_limit": True, "have_bounded_loops": True,
                                "have_v2_isa_extension": True, "have_v3_isa_extension": True})
        for isa in ("", ".v1", ".v2"):
            loaded = under_crema(BPFTOOL, "prog", "load", BUILD / f"tests/support/bpf/oracle_loop{isa}.bpf.o", "/sys/fs/bpf/loop")
            self.assertEqual(loaded.returncode, 0, loaded.stderr)

    def test_helpers_are_told_as_by_the_kernel(self):
        kernel = run(BPFTOOL, "-j", "feature", "probe", "full")
        if kernel.returncode != 0 or '"have_xdp_prog_type":true' not in kernel.stdout:
            self.skipTest("the kernel's bpf(2) is not allowed here")
        wanted = json.loads(kernel.stdout)["helpers"]["xdp_available_helpers"]
        self.assertGreater(len(wanted), 100)
        self.assertEqual(self.probe()["helpers"]["xdp_available_helpers"], wanted)


class Command(unittest.TestCase):
    def test_exit_code_is_the_commands(self):
        self.assertEqual(under_crema("sh", "-c", "exit 7").returncode, 7)
        self.assertEqual(under_crema("sh", "-c", "kill -TERM $$").returncode, 128 + 15)
        self.assertEqual(under_crema("true").returncode, 0)

    def test_what_cannot_be_run_is_one_line(self):
        missing = under_crema("/nowhere/at/all")
        self.assertEqual(missing.returncode, 127)
        self.assertEqual(missing.stderr.count("\n"), 1)
        self.assertIn("/nowhere/at/all", missing.stderr)
        wrong = run(CREMA, "bpf")
        self.assertEqual(wrong.returncode, 2)
        self.assertEqual(wrong.stderr.count("\n"), 1)

    def test_nothing_is_left_behind(self):
        with tempfile.TemporaryDirectory() as temporary:
            under_crema("true", env={**os.environ, "TMPDIR": temporary, "XDG_RUNTIME_DIR": temporary})
            self.assertEqual(os.listdir(temporary), [])

    def test_one_inside_of_another_is_refused(self):
        nested = under_crema(CREMA, "bpf", "--", "true")
        self.assertEqual(nested.returncode, 1)
        self.assertIn("supervised already", nested.stderr)

    def test_documented_commands_run(self):
        text = (SOURCE / "docs/crema-bpf.md").read_text(encoding="utf-8")
        commands = re.findall(r"^\$ (crema bpf .*)$", text, re.MULTILINE)
        self.assertGreaterEqual(len(commands), 4)
        for command in commands:
            if "bpftool" in command and BPFTOOL is None:
                continue
            if "/sys/fs/bpf" in command and os.geteuid() != 0:
                continue  # no right to cover it
            if "feature probe" in command and os.geteuid() != 0:
                continue  # bpftool does it for root only
            with self.subTest(command):
                path = f"{pathlib.Path(CREMA).parent}:{os.environ.get('PATH', '')}:/usr/sbin"
                done = run("sh", "-c", command, cwd=BUILD.parent if (BUILD.parent / "build").exists() else BUILD,
                           env={**os.environ, "PATH": path})
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    CREMA = sys.argv[1]
    BUILD, SOURCE = map(pathlib.Path, sys.argv[2:4])
    unittest.main(argv=sys.argv[:1], verbosity=2)
