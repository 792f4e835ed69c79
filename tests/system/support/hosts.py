# SPDX-License-Identifier: BSD-3-Clause
"""Real Linux hosts for tests and for the demo: network namespaces with one interface each.

A Host is a namespace that is joined to the others only by what the test puts between them. Names carry the
process id, so runs beside each other do not meet; everything is removed on exit, also after a failure.
Needs root, iproute2 and ethtool.
"""
import os
import subprocess
import sys


def sh(*words, check=True, **more):
    """Runs a command to its end; raises with its own words when it fails."""
    done = subprocess.run(words, text=True, capture_output=True, check=False, **more)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {(done.stderr or done.stdout).strip()}")
    return done


def inside(namespace):
    """Prefix of a command that runs in the namespace. Not `ip netns exec`: that remounts /sys, which
    a root that is no mount point (a chroot) refuses."""
    return ("nsenter", f"--net=/run/netns/{namespace}", "--")


def why_no_hosts():
    """The reason why this process cannot make hosts, or an empty string."""
    if os.geteuid() != 0:
        return "needs root (network namespaces, TAP)"
    probe = f"crp{os.getpid()}"
    made = sh("ip", "netns", "add", probe, check=False)
    if made.returncode != 0:
        return f"no network namespaces here: {made.stderr.strip()}"
    entered = sh(*inside(probe), "true", check=False)
    sh("ip", "netns", "del", probe, check=False)
    if entered.returncode != 0:
        return f"network namespaces cannot be entered here: {entered.stderr.strip()}"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "no /dev/net/tun here"
    return ""


class Host:
    """One network namespace. Use with `with`, or call close()."""

    def __init__(self, label):
        self.name = f"crema-{label}-{os.getpid()}"
        self.interface = None
        self._outer = []
        sh("ip", "netns", "add", self.name)
        self.run("ip", "link", "set", "lo", "up")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def run(self, *words, check=True, **more):
        return sh(*inside(self.name), *words, check=check, **more)

    def start(self, *words, **more):
        """Starts a command in the host; the caller owns the process."""
        return subprocess.Popen([*inside(self.name), *words], text=True, **more)

    def python(self, *words, **more):
        return self.start(sys.executable, *words, **more)

    def take(self, interface, address):
        """Moves a TAP that a running program holds open into the host and gives it an address."""
        sh("ip", "link", "set", interface, "netns", self.name)
        self._configure(interface, address)

    def add_cable(self, interface, outer, address):
        """A veth pair: `interface` in here, `outer` outside for a packet: wire."""
        sh("ip", "link", "add", outer, "type", "veth", "peer", "name", interface, "netns", self.name)
        self._outer.append(outer)
        # veth leaves checksums and segmentation to whoever takes the frame off the wire; a wire
        # carries what a real cable would.
        for where in ((), inside(self.name)):
            sh(*where, "ethtool", "-K", interface if where else outer, "tx", "off", "tso", "off", "gso", "off",
               "gro", "off")
        sh("ip", "link", "set", outer, "addrgenmode", "none")
        sh("ip", "link", "set", outer, "up")
        self._configure(interface, address)

    def _configure(self, interface, address):
        self.interface = interface
        # No link-local address, so no neighbour discovery of its own: tests count frames.
        self.run("ip", "link", "set", interface, "addrgenmode", "none")
        if address:
            self.run("ip", "address", "add", address, "dev", interface)
        self.run("ip", "link", "set", interface, "up")

    def processes(self):
        return pids_in(self.name)

    def close(self):
        for pid in pids_in(self.name):
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        for outer in self._outer:
            sh("ip", "link", "del", outer, check=False)
        sh("ip", "netns", "del", self.name, check=False)


def pids_in(name):
    listed = sh("ip", "netns", "pids", name, check=False)
    return [int(word) for word in listed.stdout.split()]
