#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Linux's own mvneta, unmodified, drives the device model: the oracle for what the registers mean.

  linux_mvneta_test.py fixed|phy|iommu BUILD_DIR

A guest with Debian's arm64 kernel has the model as its NIC, and its wire leads to a host of its own. fixed: the
link is said to be there; all that ethtool and ip can ask. phy: the link is what a PHY behind the SMI register
says, and a cable is pulled; behind an IOMMU. iommu: all of fixed, and every buffer is mapped for the device when it is
used, in its direction only.
Whatever Linux does must not be a fault to the model. Skips without scripts/guests, and without root (TAP).
"""
import pathlib
import re
import subprocess
import sys
import time

from machine import BoardGuest, check, why_no_guests  # first: it knows where the others are
from support.hosts import Host, why_no_hosts
from support.processes import NetaModel, run_test, skip

SUPPORT = pathlib.Path(__file__).resolve().parent.parent / "system" / "support"
HERE, THERE = "192.168.7.2", "192.168.7.1"  # the host, the guest
STARTED = time.monotonic()


def say(text):
    print(f"{time.monotonic() - STARTED:5.1f} s  {text}", flush=True)


def load(guest):
    """The PCI function is switched on, as a bus driver would; then mvneta finds its platform device."""
    function = "/sys/bus/pci/devices/0000:00:01.0"
    check(guest.run(f"head -n 1 {function}/resource").split()[0] == "0x0000000010000000", "the BAR is elsewhere")
    guest.run(f"echo 1 > {function}/enable")
    guest.run(r"printf '\006\000' | dd of=" + f"{function}/config bs=2 seek=2 conv=notrunc 2>/dev/null")
    for module in guest.modules:
        guest.run(f"insmod /m/{module}")
    check("02:00:00:00:37:00" in guest.run("cat /sys/class/net/eth0/address"), "not the device tree's address")


CARRIER = "/sys/class/net/eth0/carrier"
# By the shell alone: a process for each look would cost the guest more than what it waits for.
WAIT_FOR_CARRIER = (f"i=0; until read -r c 2>/dev/null < {CARRIER} && [ $c = 1 ]; do i=$((i + 1)); [ $i = 400 ] && break; sleep 0.05; "
                    "done; [ $i != 400 ]")


def up(guest):
    check(guest.attempt(f"ip link set eth0 up; {WAIT_FOR_CARRIER}")[0] == 0, "no carrier: " + guest.run("dmesg | tail -n 5"))


def ping_both(guest, host, size=56, count=3):
    said = guest.run(f"ping -c {count} -i 0.02 -W 2 -s {size} {HERE}")
    check(f"{count} packets received" in said, said)
    # This ping waits for its last answer no longer than twice what the others took: one more than asked for.
    said = host.run("ping", "-c", str(count + 1), "-i", "0.02", "-W", "2", "-s", str(size), THERE).stdout
    check(int(re.search(r" (\d+) received", said).group(1)) >= count, said)


def tcp(guest, host, megabytes):
    """To the guest and back: it makes no data and sums none, which would cost it more than to carry them."""
    size = megabytes * 1_000_000
    guest.run("nc -l -p 5002 < /dev/null > /tmp/data & until grep -q :138A /proc/net/tcp*; do :; done")
    sent = host.run(sys.executable, SUPPORT / "tcp.py", "send", THERE, "5002", str(size)).stdout.split()
    guest.run("wait")
    listener = host.python(SUPPORT / "tcp.py", "receive", "5001", stdout=subprocess.PIPE)
    listener.stdout.readline()
    guest.start(f"nc {HERE} 5001 < /tmp/data; rm /tmp/data")
    received = listener.communicate(timeout=240)[0].split()
    guest.finish("nc", 60)
    check(received == sent and int(received[0]) == size, f"TCP: sent {sent}, received {received}")
    say(f"TCP: {megabytes} MB each way, SHA-256 as sent")


def statistics(guest):
    lines = guest.run("ethtool -S eth0").splitlines()
    return {name.strip(): int(value) for name, value in (line.split(":") for line in lines[1:])}


def check_statistics(guest, host):
    before = statistics(guest)
    host.run("ping", "-c", "10", "-i", "0.05", "-s", "1000", THERE)
    after = statistics(guest)
    for name, least in (("good_frames_received", 10), ("good_frames_sent", 10), ("good_octets_received", 10460),
                        ("good_octets_sent", 10460), ("frames_1024_to_max_octets", 20)):
        grown = after[name] - before[name]
        check(least <= grown < 2 * least, f"{name} grew by {grown}, expected {least} and a little")
    for name, value in after.items():
        check(not value or not re.search(r"bad|error|err$|collision|fragment|jabber|crc|discard|overrun", name),
              f"{name} is {value}")
    say(f"ethtool -S: {len(after)} counters, those of ten pings as sent")


def check_registers(guest):
    """Linux's mvneta has no dump of registers, and Debian's kernel no other way to them."""
    code, said = guest.attempt("ethtool -d eth0")
    check(code != 0 and "not supported" in said, f"ethtool -d, exit code {code}: {said}")
    said = guest.run("ethtool eth0")
    check("Speed: 1000Mb/s" in said and "Duplex: Full" in said and "Link detected: yes" in said, said)
    say("ethtool: 1000 full; -d is refused by the driver, which has none")


def received_frames(guest):
    return int(guest.run("cat /sys/class/net/eth0/statistics/rx_packets"))


def reaches(guest, host, to):
    """Does the guest take frames to this address? Frames to its own come behind them: then all is seen."""
    count, own, before = 5, 8, received_frames(guest)
    head = bytes.fromhex("020000000099" + "88b5")
    frames = [bytes.fromhex(to.replace(":", "")) + head + bytes(46)] * count
    frames += [bytes.fromhex("020000003700") + head + bytes(46)] * own
    host.run(sys.executable, SUPPORT / "frames.py", "send", host.interface,
             input="\n".join(frame.hex() for frame in frames))
    deadline = time.monotonic() + 10
    while received_frames(guest) - before < own:
        check(time.monotonic() < deadline, "frames to its own address do not arrive")
    return received_frames(guest) - before >= count + own


def check_filters(guest, host):
    own, other, special, group = "02:00:00:00:37:00", "02:00:00:00:37:01", "01:00:5e:00:00:37", "03:00:00:00:00:37"
    check(reaches(guest, host, own) and reaches(guest, host, "ff:ff:ff:ff:ff:ff"), "not even its own frames")
    for address in (other, special, group):
        check(not reaches(guest, host, address), f"frames to {address} although nobody asked")
    guest.run("ip link set eth0 promisc on")
    check(all(reaches(guest, host, address) for address in (other, special, group)), "promiscuous mode is none")
    guest.run("ip link set eth0 promisc off")
    check(not reaches(guest, host, other), "promiscuous mode stays")
    guest.run("ip link set eth0 allmulticast on")
    check(reaches(guest, host, special) and reaches(guest, host, group) and not reaches(guest, host, other),
          "allmulticast")
    guest.run("ip link set eth0 allmulticast off")
    for address in (special, group):
        guest.run(f"ip maddr add {address} dev eth0")
        check(reaches(guest, host, address), f"frames to {address} are not taken")
        guest.run(f"ip maddr del {address} dev eth0")
        check(not reaches(guest, host, address), f"frames to {address} are still taken")
    say("multicast and promiscuous changes")


def interrupts(guest):
    return int(guest.run("grep eth0 /proc/interrupts").split()[1])


def check_coalescing(guest, host):
    guest.run("ethtool -C eth0 rx-usecs 0 rx-frames 1")
    check("rx-frames:\t1" in guest.run("ethtool -c eth0"), "ethtool -c does not say what -C was told")
    host.run("ping", "-c", "3", "-i", "0.05", THERE)
    before = interrupts(guest)
    host.run("ping", "-c", "20", "-i", "0.02", THERE)
    single = interrupts(guest) - before
    guest.run("ethtool -C eth0 rx-usecs 60000 rx-frames 32")
    before = interrupts(guest)
    host.run("ping", "-c", "20", "-i", "0.005", THERE)
    slow = interrupts(guest) - before
    check(slow < single, f"{single} interrupts for 20 pings without coalescing, {slow} with 60 ms")
    guest.run("ethtool -C eth0 rx-usecs 100 rx-frames 32")
    guest.run("ethtool -G eth0 rx 256 tx 256")
    check(re.search(r"RX:\s+256", guest.run("ethtool -g eth0")), "ethtool -g does not say what -G was told")
    up(guest)
    ping_both(guest, host)
    guest.run("ethtool -G eth0 rx 512 tx 532")
    up(guest)
    say(f"coalescing: {single} interrupts for 20 pings, {slow} with 60 ms; rings of 256 and back")


def set_mtu(host, outer, mtu):
    host.run("ip", "link", "set", host.interface, "mtu", mtu)
    if host.interface != outer:  # a cable has two ends
        subprocess.run(["ip", "link", "set", outer, "mtu", mtu], check=True)


def check_jumbo(guest, host, outer):
    set_mtu(host, outer, "9000")
    guest.run("ip link set eth0 mtu 9000")
    up(guest)
    for size in (1472, 1473, 4000, 8000, 8972):
        ping_both(guest, host, size, 2)
    set_mtu(host, outer, "1500")
    guest.run("ip link set eth0 mtu 1500")
    up(guest)
    ping_both(guest, host)
    say("MTU 9000: pings of up to 8972 bytes both ways, and back to 1500")


def check_down_up(guest, host, times):
    guest.run(f"for n in $(seq {times}); do ip link set eth0 down; ip link set eth0 up; {WAIT_FOR_CARRIER} || exit 1; done", 120)
    ping_both(guest, host)
    say(f"{times} times down and up")


def check_cable(guest, host, outer):
    """The cable is pulled at the other end: the PHY says so, and Linux hears it."""
    for state in ("0", "1", "0", "1"):
        host.run("ip", "link", "set", "eth0", "up" if state == "1" else "down")
        deadline = time.monotonic() + 20
        while guest.run("cat /sys/class/net/eth0/carrier") != state:
            check(time.monotonic() < deadline, f"carrier of {outer} is not {state}: " + guest.run("dmesg | tail -n 5"))
            time.sleep(0.1)
    ping_both(guest, host)
    said = guest.run("ethtool eth0")
    check("Speed: 1000Mb/s" in said and "Duplex: Full" in said and "Link detected: yes" in said, said)
    say("link flaps by the PHY")


def unload(guest, model):
    guest.run("ip link set eth0 down; rmmod mvneta")
    check("eth0" not in guest.run("ls /sys/class/net"), "the interface is left")
    trouble = guest.run("dmesg | grep -iE 'timeout|error|warn|bug|mvneta.*(fail|bad|unable|not )' | "
                        "grep -v 'Kernel command line' || true")
    check(not trouble, f"the kernel complained:\n{trouble}")
    guest.power_off()
    model.wait_for("client 1 gone")
    said = model.said()
    check(re.search(r"\b0 messages refused, 0 driver faults", said), f"Linux made mistakes, says the model:\n{said}")
    say(said.strip().splitlines()[-1])


def run_but_down_up(guest, host, outer):
    tcp(guest, host, 20)
    check_statistics(guest, host)
    check_registers(guest)
    check_filters(guest, host)
    check_coalescing(guest, host)
    check_jumbo(guest, host, outer)


def run_fixed(guest, host, outer):
    run_but_down_up(guest, host, outer)
    check_down_up(guest, host, 20)


def run_phy(guest, host, outer):
    check_cable(guest, host, outer)
    check("88E1510" in guest.run("dmesg | grep -i phy"), "no driver knows the PHY")


def run_iommu(guest, host, outer):
    # Each opening maps all buffers of eight rings, one message each, each closing unmaps them, and each frame sent is
    # two messages. So the rings are short when the port goes down and up twenty times; all others were with long ones.
    run_but_down_up(guest, host, outer)
    guest.run("ethtool -G eth0 rx 64")
    up(guest)
    check_down_up(guest, host, 20)


WITH_PHY = ["mvmdio", "marvell", "mvneta"]
VARIANTS = {"fixed": (run_fixed, ["mvneta"], {}), "phy": (run_phy, WITH_PHY, {"phy": True, "iommu": True}),
            "iommu": (run_iommu, ["mvneta"], {"iommu": True})}


def main():
    variant, build = sys.argv[1:3]
    reason = why_no_guests() or why_no_hosts()
    if reason:
        skip(reason)
    checks, modules, machine = VARIANTS[variant]
    with Host(variant) as host:
        outer = f"crg{host.name.rsplit('-', maxsplit=1)[1]}"
        wire = "packet" if "phy" in machine else "tap"
        if wire == "packet":
            host.add_cable("eth0", outer, f"{HERE}/24")
        with NetaModel(build, f"{wire}:{outer}", ["--pci"]) as model:
            if wire == "tap":
                host.take(outer, f"{HERE}/24")
            with BoardGuest(model.socket, modules, **machine) as guest:
                say("the guest is up")
                load(guest)
                guest.run(f"ip addr add {THERE}/24 dev eth0")
                up(guest)
                ping_both(guest, host)
                say("probe, link up, ping both ways")
                checks(guest, host, outer)
                unload(guest, model)


if __name__ == "__main__":
    run_test(main)
