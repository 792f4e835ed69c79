#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""/crema endpoints of DPDK's telemetry, asked by stock dpdk-telemetry.py; metrics over HTTP, read by stock parsers.

usage: telemetry_test.py CASE CREMA CREMA_TESTPMD BUILD_DIR     cases: endpoints metrics hostile
"""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

from support.processes import check, run_test, skip

OPEN = "application/openmetrics-text; version=1.0.0"


class Forwarder:
    """crema-testpmd with a generator on port 0 whose frames l2fwd sends to port 1."""

    def __init__(self, testpmd, build, folder, *options, telemetry=False):
        cpus, self.prefix = sorted(os.sched_getaffinity(0)), f"telemetry{os.getpid()}"
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": folder, "RUNTIME_DIRECTORY": folder}
        self.socket, self.said = f"{folder}/bpf.sock", []
        self.process = subprocess.Popen(
            [testpmd, "--no-huge", "-m", "160", "--no-pci", "--log-level=error", *([] if telemetry else ["--no-telemetry"]),
             f"--file-prefix={self.prefix}", "--no-shconf", "--lcores", f"0@{cpus[0]},1@{cpus[-1]}",
             "--vdev=net_neta0,device=model,wire=gen", "--vdev=net_neta1,device=model,wire=null", "--", "--idle-sleep-us", "50",
             "--duration", "100", "--xdp", f"0={build}/bpf/l2fwd.bpf.o", "--map", "tx_port:32=1", "--bpf-socket", self.socket, *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=self.environment)
        threading.Thread(target=self.listen, daemon=True).start()
        end = time.monotonic() + 30
        while not os.path.exists(self.socket):
            check(time.monotonic() < end and self.process.poll() is None, f"it does not start: {self.said}")
            time.sleep(0.05)

    def listen(self):
        for line in self.process.stderr:
            self.said.append(line.rstrip())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        check(self.process.wait(30) == 0, f"it did not end well: {self.said}")


def stats(crema, forwarder):
    return json.loads(subprocess.run([crema, "stats", "-j", "--to", forwarder.socket], capture_output=True, text=True, check=True,
                                     timeout=30).stdout)


def endpoints(crema, testpmd, build, folder):
    tool = shutil.which("dpdk-telemetry.py", path=os.environ["PATH"] + ":/usr/bin:/usr/sbin")
    if tool is None:
        skip("no dpdk-telemetry.py (package dpdk)")
    with Forwarder(testpmd, build, folder, telemetry=True) as forwarder:
        def ask(*commands):
            done = subprocess.run([tool, "-f", forwarder.prefix], input="".join(f"{each}\n" for each in commands),
                                  capture_output=True, text=True, timeout=30, env=forwarder.environment, check=False)
            answers = {}
            for line in done.stdout.splitlines():
                line = line.removeprefix("--> ")
                if line.startswith("{"):
                    answers.update(json.loads(line))
            return answers, done.stdout + done.stderr

        time.sleep(1)
        known, said = ask("/")
        names = {"/crema/" + name for name in ("ports", "xdp", "programs", "maps", "cpumap", "page_pool")}
        check(names <= set(known.get("/", [])), f"endpoints are missing: {said}")
        before = stats(crema, forwarder)
        got, said = ask("/crema/ports", "/crema/programs", "/crema/maps", "/crema/page_pool", "/crema/cpumap")
        check(got["/crema/ports"] == [0, 1], said)
        check(got["/crema/programs"] == [each["id"] for each in before["programs"]], said)
        check(got["/crema/maps"] == [each["id"] for each in before["maps"]], said)
        check(sorted(got["/crema/page_pool"]) == sorted(each["name"] for each in before["page_pools"]), said)
        check(got["/crema/cpumap"] == [], said)

        port = ask("/crema/ports,0")[0]["/crema/ports"]
        check((port["name"], port["ifindex"], port["up"]) == ("net_neta0", 32, 1), port)
        verdicts = ask("/crema/xdp,0")[0]["/crema/xdp"]
        after = stats(crema, forwarder)
        counted = [each["ports"][0]["xdp"]["rx_xdp_redirect"] for each in (before, after)]
        check(counted[0] <= verdicts["rx_xdp_redirect"] <= counted[1], (counted, verdicts))
        check(verdicts["queue_0"]["rx_xdp_redirect"] == verdicts["rx_xdp_redirect"] or counted[0] != counted[1], verdicts)
        check(verdicts["programs"] == [before["programs"][0]["id"]], verdicts)
        program = ask(f"/crema/programs,{before['programs'][0]['id']}")[0]["/crema/programs"]
        check((program["name"], program["tag"]) == ("l2fwd", before["programs"][0]["tag"]), program)
        devmap = [each for each in before["maps"] if each["name"] == "tx_port"][0]
        entries = ask(f"/crema/maps,{devmap['id']}")[0]["/crema/maps"]
        check(entries["type"] == "devmap" and entries["entry_32"]["ifindex"] == 33, entries)
        check(entries["entry_32"]["packets"] >= devmap["entries"][0]["packets"] > 0, entries)
        pool = ask(f"/crema/page_pool,{before['page_pools'][0]['name']}")[0]["/crema/page_pool"]
        check(pool["pages"] == before["page_pools"][0]["pages"] and pool["rx_pp_alloc_fast"] > 0, pool)
        for wrong in ("/crema/ports,9", "/crema/xdp,x", "/crema/xdp,99999999999", "/crema/programs,0", "/crema/maps,77",
                      "/crema/page_pool,none", "/crema/cpumap,4000000", "/crema/xdp,-1", "/crema/maps,1,2"):
            answer, said = ask(wrong)
            check(answer.get(wrong.split(",")[0]) is None, said)
        forwarder.end()


def address_of(forwarder):
    for line in forwarder.said:
        if found := re.match(r"crema-testpmd: metrics at (.*)", line):
            return found.group(1)
    return None


def fetch(address, accept="", path="/metrics"):
    request = urllib.request.Request(f"http://{address}{path}", headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def raw(path, request):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    for _ in range(200):
        try:
            client.connect(path)
            break
        except BlockingIOError:  # so many wait to be accepted
            time.sleep(0.01)
    client.sendall(request)
    answer = b""
    while part := client.recv(65536):
        answer += part
    return answer


READER = """
import json, sys
from prometheus_client import parser
from prometheus_client.openmetrics import parser as open_parser
texts = json.load(sys.stdin)
for text, module in zip(texts, (open_parser, parser)):
    families = list(module.text_string_to_metric_families(text))
    print(json.dumps({family.name: [family.type, family.unit, len(family.samples)] for family in families}))
"""


def read_by_prometheus_client(text, plain):
    """Samples that a stock parser finds in either form. Debian's Python has the module, another one perhaps not."""
    for python in ("/usr/bin/python3", sys.executable):
        if subprocess.run([python, "-c", "import prometheus_client"], capture_output=True, check=False).returncode == 0:
            done = subprocess.run([python, "-c", READER], input=json.dumps([text, plain]), capture_output=True, text=True, check=False)
            check(done.returncode == 0, done.stderr)
            forms = [json.loads(line) for line in done.stdout.splitlines()]
            check(forms[0]["crema_program_run_seconds"][:2] == ["counter", "seconds"], forms[0])
            check(forms[0]["crema_port_rx_packets"][0] == "counter" and forms[0]["crema_port_up"][0] == "gauge", forms[0])
            check({name: (one[0], one[2]) for name, one in forms[0].items()} ==
                  {name: (one[0], one[2]) for name, one in forms[1].items()}, "the two forms differ")
            return sum(one[2] for one in forms[0].values())
    print("not read by prometheus_client (package python3-prometheus-client)")
    return 0


def metrics(crema, testpmd, build, folder):
    with Forwarder(testpmd, build, folder, "--metrics", "127.0.0.1:0") as forwarder:
        address = address_of(forwarder)
        check(address and address.startswith("127.0.0.1:"), forwarder.said)
        time.sleep(1)
        before = stats(crema, forwarder)
        kind, text = fetch(address, OPEN)
        check(kind.startswith("application/openmetrics-text; version=1.0.0"), kind)
        check(text.endswith("\n# EOF\n"), text[-100:])
        after = stats(crema, forwarder)
        sample = re.search(r'^crema_xdp_frames_total\{port="net_neta0",ifindex="32",queue="0",verdict="redirect"\} (\d+)$', text, re.M)
        counted = [each["ports"][0]["xdp"]["rx_xdp_redirect"] for each in (before, after)]
        check(sample and counted[0] <= int(sample.group(1)) <= counted[1], (counted, sample))
        check(re.search(r'^crema_map_entry_packets_total\{map_id="\d+",map="tx_port",type="devmap",key="32",to="33"\} [1-9]', text, re.M), text)
        plain_kind, plain = fetch(address)
        check(plain_kind.startswith("text/plain; version=0.0.4"), plain_kind)
        try:
            fetch(address, path="/")
            check(False, "/ is there")
        except urllib.error.HTTPError as error:
            check(error.code == 404, error)
        parsed = read_by_prometheus_client(text, plain)
        if promtool := shutil.which("promtool"):
            done = subprocess.run([promtool, "check", "metrics"], input=plain, capture_output=True, text=True, check=False)
            check(done.returncode == 0, done.stdout + done.stderr)
        else:
            print("not read by promtool (package prometheus)")
        forwarder.end()
    path = f"{folder}/metrics.sock"
    with Forwarder(testpmd, build, folder, "--metrics", f"unix:{path}") as forwarder:
        answer = raw(path, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        check(answer.startswith(b"HTTP/1.1 200 OK\r\n") and b"crema_port_up{" in answer, answer[:200])
        forwarder.end()
        check(not os.path.exists(path), "the socket is left behind")
    for wrong in ("x", "1.2.3:99999", "127.0.0.1:", "unix:", "unix:/nowhere/at/all"):
        done = subprocess.run([testpmd, "--no-huge", "-m", "64", "--no-pci", "--no-shconf", "--no-telemetry", "--log-level=error",
                               f"--file-prefix=m{os.getpid()}", "--lcores", "0@0,1@0", "--vdev=net_null0", "--", "--duration", "1",
                               "--metrics", wrong], capture_output=True, text=True, timeout=60, check=False)
        check(done.returncode == 1 and re.search(r"^crema-testpmd: --metrics .+$", done.stderr, re.M), (wrong, done.stderr))
    print(f"{parsed} samples were read by a stock parser")


def hostile(crema, testpmd, build, folder):
    path = f"{folder}/metrics.sock"
    with Forwarder(testpmd, build, folder, "--metrics", f"unix:{path}") as forwarder:
        files = len(os.listdir(f"/proc/{forwarder.process.pid}/fd"))
        clients = []
        for said in (b"", b"G", b"GET /metrics HTTP/1.1\r\n", b"GET /metrics HTTP/1.1\r\n\r\n", b"\0" * 100, b"\r\n\r\n" * 1000):
            for _ in range(10):
                client = socket.socket(socket.AF_UNIX)
                client.settimeout(5)
                try:
                    client.connect(path)
                    client.sendall(said)
                except OSError:  # thrown out for others, or the queue is full
                    pass
                clients.append(client)  # and never reads
        began = time.monotonic()
        check(raw(path, b"GET /metrics HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200"), "nobody else is served")
        check(time.monotonic() - began < 3, "others wait")
        for request, status in ((b"POST /metrics HTTP/1.1\r\n\r\n", 405), (b"nonsense\r\n\r\n", 400), (b"GET /metrics\r\n\r\n", 400),
                                (b"GET /metrics?x=1 HTTP/1.1\r\n\r\n", 200), (b"GET /etc/passwd HTTP/1.1\r\n\r\n", 404),
                                (b"GET /metrics HTTP/1.1\r\n" + b"A: " + b"b" * 8300, 431), (b" \r\n\r\n", 400), (b"HEAD /metrics HTTP/1.1\r\n\r\n", 200)):
            answer = raw(path, request)
            check(answer.startswith(f"HTTP/1.1 {status} ".encode()), (request[:40], answer[:100]))
        check(raw(path, b"HEAD /metrics HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n"), "HEAD has a body")
        # Byte by byte: thrown out after five seconds, whatever comes meanwhile.
        slow = socket.socket(socket.AF_UNIX)
        slow.connect(path)
        began = time.monotonic()
        try:
            while time.monotonic() - began < 15:
                slow.send(b"G")
                time.sleep(0.2)
        except OSError:
            pass
        check(4 < time.monotonic() - began < 10, f"a slow client had {time.monotonic() - began:.1f} s")
        for client in clients:
            client.close()
        end = time.monotonic() + 10
        while len(os.listdir(f"/proc/{forwarder.process.pid}/fd")) > files:
            check(time.monotonic() < end, "descriptors are left")
            time.sleep(0.1)
        check(stats(crema, forwarder)["ports"][0]["xdp"]["rx_xdp_redirect"] > 1000, "no traffic any more")
        forwarder.end()


def main():
    case, crema, testpmd, build = sys.argv[1:5]
    with tempfile.TemporaryDirectory(prefix="crema-telemetry-") as folder:
        {"endpoints": endpoints, "metrics": metrics, "hostile": hostile}[case](crema, testpmd, pathlib.Path(build).resolve(), folder)


if __name__ == "__main__":
    run_test(main)
