#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""crema neta probe as a user calls it: on the model in the process, in another process, and on what is no port.

  neta_probe_test.py CREMA BUILD_DIR

What each step sees of a broken device is in tests/driver/self_test_test.cpp.
"""
import json
import subprocess
import sys

from support.processes import NetaModel, check, run_test

STEPS = ["identity", "link", "phys", "loopback", "transmit cache", "receive cache", "interrupt", "registers"]


def probe(crema, *words):
    return subprocess.run([crema, "neta", "probe", *words], capture_output=True, text=True, timeout=60, check=False)


def check_report(done, device):
    check(done.returncode == 0, f"ended with {done.returncode}: {done.stdout}{done.stderr}")
    report = json.loads(done.stdout)
    check(sorted(report) == ["device", "passed", "steps"] and report["passed"] is True and device in report["device"], report)
    check([step["name"] for step in report["steps"]] == STEPS, report)
    check(all(sorted(step) == ["name", "result", "what"] and step["what"] for step in report["steps"]), report)
    check([step["name"] for step in report["steps"] if step["result"] != "ok"] == [], report)


def main():
    crema, build = sys.argv[1:]
    check_report(probe(crema, "model", "--json"), "model")
    text = probe(crema, "model", "--frames", "64", "--rounds", "4").stdout
    check(text.startswith("device: model") and text.count("\nok ") == len(STEPS) and "64 frames" in text, text)
    for cache in ("noncoherent", "evicting:7"):
        said = json.loads(probe(crema, "model", "--cache", cache, "--json").stdout)
        check(said["passed"], said)
        for step in said["steps"]:
            check(not step["name"].endswith(" cache") or step["what"].startswith("NOT coherent: "), f"{cache}: {step}")
    closed = probe(crema, "model", "--keep-windows")  # nobody opened one of the model before
    check(closed.returncode == 1 and "no address window is open" in closed.stdout, closed.stdout)
    with NetaModel(build, "null") as model:
        for _ in range(2):  # a port that was probed can be probed again
            check_report(probe(crema, f"user:{model.socket}", "--json"), model.socket)
        model.wait_for("0 messages refused, 0 driver faults", count=2)
    for words, code, says in ((("user:/nowhere",), 1, "/nowhere"), (("platform:none",), 1, "no such device"), (("x",), 1, "x"),
                              ((), 2, "DEVICE is required"), (("model", "--frames", "0"), 2, "--frames"),
                              (("model", "--wire", "moon"), 1, "moon")):
        done = probe(crema, *words)
        check(done.returncode == code and done.stdout == "" and done.stderr.startswith("crema") and says in done.stderr
              and done.stderr.count("\n") == 1, f"{words}: {done.returncode} {done.stdout} {done.stderr}")


if __name__ == "__main__":
    run_test(main)
