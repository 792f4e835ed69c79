#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Debian's own dpdk-testpmd, a program that we did not write, drives ports of net_neta. No root, no hugepages.

  stock_testpmd_test.py BUILD_DIR plain|features|modes|control|flows
"""
import os
import pathlib
import re
import struct
import sys
import tempfile
import time

from support.processes import check, run_test
from support.stock import StockTestpmd

MBUFS = ("--total-num-mbufs=8192",)


def expect(text, what, pattern):
    check(re.search(pattern, text, re.MULTILINE), f"{what}: no line matches '{pattern}' in:\n{text}")


def pair(build, options=MBUFS, more=""):
    """Two ports on one wire: what one sends, the other receives."""
    wire = f"device=model,wire=pair:stock{os.getpid()}{more}"
    return StockTestpmd(build, [wire, wire], options)


def travelled(testpmd, frames=100):
    """Frames have gone both ways, and none was lost."""
    for port in (0, 1):
        now = testpmd.wait_for_statistics(port, lambda now: now["RX-packets"] >= frames and now["TX-packets"] >= frames)
        check(now["RX-missed"] == 0 and now["RX-errors"] == 0 and now["TX-errors"] == 0, f"losses on port {port}: {now}")


def plain(build):
    """Link, forwarding, every kind of counter, stop and start of ports, a clean end."""
    with pair(build, ("--total-num-mbufs=4096",)) as testpmd:
        text = testpmd.tell("show port info 0")
        for what, pattern in (("driver", "Driver name: net_neta"), ("link", "Link status: up"), ("speed", "Link speed: 1 Gbps")):
            expect(text, what, pattern)
        testpmd.tell("set fwd io", "start tx_first")
        travelled(testpmd)
        testpmd.tell("stop")
        text = testpmd.tell("show port xstats 0")
        for what, pattern in (("MIB counter", "^good_frames_received: [1-9]"), ("page pool counter", "^rx_pp_alloc_fast: [1-9]"),
                              ("program counter", "^rx_xdp_drop: 0"), ("no refused frame", "^tx_refused: 0")):
            expect(text, what, pattern)
        testpmd.tell("port stop all", "port start all", "clear port stats all", "start tx_first")
        travelled(testpmd)
        testpmd.quit()


def features(build):
    """Checksum offloads both ways (the csum engine calls tx_prepare), jumbo frames over several buffers, queues stopped and started,
    descriptor status, flow control, port reset. --tx-offloads: IPv4, UDP and TCP checksums, several segments."""
    options = (*MBUFS, "--enable-rx-cksum", "--enable-scatter", "--max-pkt-len=9040", "--tx-offloads=0x800e")
    with pair(build, options) as testpmd:
        expect(testpmd.tell("show port info 0"), "jumbo MTU", "^MTU: 9018")
        text = testpmd.tell("show rxq info 0 0", "show txq info 0 0", "show port 0 ptypes")
        for what, pattern in (("scattered RX", "^RX scattered packets: on"),
                              ("burst mode of RX", "^Burst mode: scalar, scattered, packet types and checksums"),
                              ("burst mode of TX", "^Burst mode: scalar, checksums"), ("packet types", "^L4_UDP")):
            expect(text, what, pattern)
        testpmd.tell("set fwd csum", "start tx_first")
        travelled(testpmd)
        expect(testpmd.tell("stop"), "no bad checksum", "Bad-ipcsum: 0 .*Bad-l4csum: 0 ")
        expect(testpmd.tell("show port 0 rxq 0 desc 5 status", "show port 0 txq 0 desc 5 status"), "descriptor", "Desc status = DONE")
        testpmd.tell("port 0 rxq 0 stop")
        expect(testpmd.tell("show rxq info 0 0"), "stopped queue", "^Rx queue state: stopped")
        testpmd.tell("port 0 rxq 0 start", "port 0 txq 0 stop", "port 0 txq 0 start",
                     "set flow_ctrl rx on tx on 0 0 0 0 mac_ctrl_frame_fwd off autoneg off 0")
        expect(testpmd.tell("show port 0 flow_ctrl"), "flow control", "Rx pause: on")
        expect(testpmd.tell("show port xstats 0"), "sums were left to the chip", "^tx_csum_software: 0$")
        testpmd.tell("set txpkts 2000,2000,2000", "set fwd io", "clear port stats all", "clear port xstats all", "start tx_first")
        travelled(testpmd)
        testpmd.tell("stop")
        now = testpmd.statistics(0)
        check(now["RX-bytes"] / now["RX-packets"] > 5900, f"frames of 6000 bytes did not arrive whole: {now}")
        text = testpmd.tell("show port xstats 0")
        for what, pattern in (("jumbo frames", "^frames_1024_to_max_octets: [1-9]"), ("no refused frame", "^tx_refused: 0$"),
                              ("no liar", "^device_count_errors: 0$")):
            expect(text, what, pattern)
        testpmd.tell("port stop all", "port reset all", "port start all", "clear port stats all", "start tx_first")
        travelled(testpmd)
        testpmd.quit()


def echo_request():
    def checksum(data):
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        total = (total >> 16) + (total & 0xFFFF)
        return ~(total + (total >> 16)) & 0xFFFF

    icmp = struct.pack("!BBHHH", 8, 0, 0, 0x1234, 1) + bytes(range(32))
    icmp = icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(icmp), 1, 0, 64, 1, 0, bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return bytes.fromhex("020000000002020000000001") + b"\x08\x00" + ip + icmp


def captured(path):
    """Frames of a capture file."""
    data, frames, at = pathlib.Path(path).read_bytes(), [], 24
    while at + 16 <= len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        frames.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return frames


def icmpecho(build, folder):
    """A recorded request comes in; its reply must be what RFC 792 says."""
    request, answers = echo_request(), f"{folder}/out.pcap"
    pathlib.Path(f"{folder}/in.pcap").write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
                                                  + struct.pack("<IIII", 0, 0, len(request), len(request)) + request)
    with StockTestpmd(build, [f"device=model,wire=pcap:{folder}/in.pcap:{answers}"], (*MBUFS, "--no-flush-rx")) as testpmd:
        testpmd.tell("set fwd icmpecho", "start")
        testpmd.wait_for_statistics(0, lambda now: now["TX-packets"] == 1)
        testpmd.quit()
    replies = captured(answers)
    check(len(replies) == 1, f"{len(replies)} replies")
    reply = replies[0][:len(request)]
    check(reply[:12] == request[6:12] + request[:6] and reply[26:34] == request[30:34] + request[26:30], f"addresses: {reply.hex()}")
    check(reply[34] == 0 and reply[38:] == request[38:], f"not the echo of {request.hex()}: {reply.hex()}")
    check(sum(struct.unpack(f"!{len(reply[34:]) // 2}H", reply[34:])) % 0xFFFF == 0, f"checksum of ICMP: {reply.hex()}")


def modes(build):
    """Every engine that needs no other hardware than a NIC."""
    with pair(build) as testpmd:
        for mode in ("io", "mac", "macswap", "csum", "5tswap", "noisy"):
            testpmd.tell(f"set fwd {mode}", "clear port stats all", "start tx_first")
            travelled(testpmd)
            testpmd.tell("stop")
        # What was on the way when the last engine stopped is received first.
        testpmd.tell("set fwd rxonly", "start")
        time.sleep(0.3)
        testpmd.tell("stop", "clear port stats all", "start tx_first")
        for port in (0, 1):  # one burst each way, and nothing comes of it
            now = testpmd.wait_for_statistics(port, lambda now: now["RX-packets"] == 32)
            check(now["TX-packets"] == 32 and now["RX-missed"] == 0, f"rxonly, port {port}: {now}")
        testpmd.tell("stop", "set fwd flowgen", "clear port stats all", "start")
        travelled(testpmd, 10_000)
        testpmd.quit()
    # A model without a thread of its own lives in the driver's register accesses; here a port receives that nobody polls.
    with pair(build, more=",engine=thread") as testpmd:
        testpmd.tell("set fwd txonly", "start")
        for port in (0, 1):
            testpmd.wait_for_statistics(port, lambda now: now["TX-packets"] > 10_000 and now["RX-missed"] > 1_000)
        testpmd.quit()
    with tempfile.TemporaryDirectory(prefix="crema-stock-") as folder:
        icmpecho(build, folder)


def control(build):
    """Ports and queues are changed while frames go round; traffic returns each time."""
    with StockTestpmd(build, [f"device=model,wire=pair:control{os.getpid()},mac=02:00:00:00:01:0{port}" for port in (0, 1)],
                      MBUFS) as testpmd:
        def goes_on():
            # What was on the way in a moment without link or with another filter is lost; a new burst goes round for ever.
            testpmd.tell("stop", "clear port stats all", "start tx_first")
            for port in (0, 1):
                testpmd.wait_for_statistics(port, lambda now: now["RX-packets"] > 100 and now["TX-packets"] > 100)

        testpmd.tell("set fwd mac", "set eth-peer 0 02:00:00:00:01:01", "set eth-peer 1 02:00:00:00:01:00", "start tx_first")
        goes_on()
        for command, shown in (("set promisc 0 off", "Promiscuous mode: disabled"), ("set promisc 0 on", "Promiscuous mode: enabled"),
                               ("set allmulti 0 on", "Allmulticast mode: enabled"), ("set allmulti 0 off", "Allmulticast mode: disabled"),
                               ("port config mtu 0 2000", "^MTU: 2000"), ("port config mtu 0 1500", "^MTU: 1500")):
            testpmd.tell(command)
            expect(testpmd.tell("show port info 0"), command, shown)
            goes_on()
        testpmd.tell("set link-down port 0")
        expect(testpmd.tell("show port info 0"), "link down", "Link status: down")
        testpmd.tell("set link-up port 0")
        expect(testpmd.tell("show port info 0"), "link up", "Link status: up")
        goes_on()
        for command in ("mac_addr add 0 02:00:00:00:01:09", "mac_addr remove 0 02:00:00:00:01:09",
                        "mcast_addr add 0 01:00:5e:00:00:07", "mcast_addr remove 0 01:00:5e:00:00:07"):
            answer = testpmd.tell(command)
            check("rror" not in answer and "ailed" not in answer, f"{command}: {answer}")
        testpmd.tell("stop", "port 0 rxq 0 stop", "port 0 rxq 0 start", "port 0 txq 0 stop", "port 0 txq 0 start")
        goes_on()
        for _ in range(5):
            testpmd.tell("stop", "port stop 0", "port start 0")
            goes_on()
        testpmd.tell("stop", "port stop all", "port config all rxq 2", "port config all txq 2", "port config all rxd 256", "port start all")
        goes_on()
        testpmd.tell("stop", "port stop all", "port close 1", "show port info 0")
        # While the MTU changes, a queue is off for a moment and frames that are sent wait; the model tells of it.
        testpmd.quit(allowed=["doorbell for a disabled TX queue"])


def flows(build):
    """Rules at testpmd's prompt steer what comes to queues. (dpdk-test-flow-perf asks every NIC for a hash and refuses to start without.)"""
    with StockTestpmd(build, ["device=model,wire=gen:rate=20000;flows=2;proto=udp+arp"], (*MBUFS, "--rxq=3", "--txq=3")) as testpmd:
        def shares():
            """Frames per queue within a moment."""
            testpmd.tell("clear port xstats 0")
            testpmd.wait_for_statistics(0, lambda now: now["RX-packets"] > 500)
            text = testpmd.tell("show port xstats 0")
            return [int(re.search(rf"^rx_q{queue}_packets: (\d+)", text, re.MULTILINE).group(1)) for queue in range(3)]

        testpmd.tell("set fwd rxonly", "start")
        before = shares()
        check(before[1] == before[2] == 0, f"without rules all goes to queue 0: {before}")
        for rule in ("0 ingress pattern eth type is 0x0806 / end actions queue index 1 / end",
                     "0 ingress pattern eth / ipv4 / udp / end actions queue index 2 / end"):
            expect(testpmd.tell(f"flow validate {rule}"), rule, "Flow rule validated")
            expect(testpmd.tell(f"flow create {rule}"), rule, r"Flow rule #\d created")
        steered = shares()
        check(steered[0] < 100 < min(steered[1:]), f"ARP to queue 1 and UDP to queue 2: {steered}")
        for rule, says in (("0 ingress pattern eth / ipv4 src is 10.0.0.1 / end actions queue index 1 / end", "Caught PMD error"),
                           ("0 ingress pattern eth / ipv4 / udp / end actions queue index 7 / end", "Caught PMD error"),
                           ("0 egress pattern eth type is 0x0806 / end actions queue index 1 / end", "Caught PMD error")):
            expect(testpmd.tell(f"flow create {rule}"), rule, says)
        expect(testpmd.tell("flow list 0"), "the rules", "ETH.*QUEUE")
        expect(testpmd.tell("flow destroy 0 rule 0"), "one rule less", "Flow rule #0 destroyed")
        testpmd.tell("flow flush 0")
        after = shares()
        check(after[1] < 100 and after[2] < 100 < after[0], f"all rules are gone: {after}")
        testpmd.quit()


def main():
    {"plain": plain, "features": features, "modes": modes, "control": control, "flows": flows}[sys.argv[2]](sys.argv[1])


if __name__ == "__main__":
    run_test(main)
