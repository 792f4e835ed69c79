#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The features table names features of DPDK's matrix, each once, and tests that exist.

usage: features_table_test.py TABLE TEST_FOLDER
"""
import pathlib
import re
import sys
import unittest

# The matrix of 22.11 without its rows about processors and operating systems.
MATRIX = """Speed capabilities|Link status|Link status event|Removal event|Queue status event|Rx interrupt|
Lock-free Tx queue|Fast mbuf free|Free Tx mbuf on demand|Queue start/stop|Runtime Rx queue setup|
Runtime Tx queue setup|Shared Rx queue|Burst mode info|Power mgmt address monitor|MTU update|Buffer split on Rx|
Scattered Rx|LRO|TSO|Promiscuous mode|Allmulticast mode|Unicast MAC filter|Multicast MAC filter|RSS hash|
RSS key update|RSS reta update|Inner RSS|VMDq|SR-IOV|DCB|VLAN filter|Flow control|Rate limitation|Traffic manager|
Inline crypto|Inline protocol|CRC offload|VLAN offload|QinQ offload|FEC|IP reassembly|L3 checksum offload|
L4 checksum offload|Timestamp offload|MACsec offload|Inner L3 checksum|Inner L4 checksum|Packet type parsing|Timesync|
Rx descriptor status|Tx descriptor status|Basic stats|Extended stats|Stats per queue|Congestion management|FW version|
EEPROM dump|Module EEPROM dump|Registers dump|LED|Multiprocess aware|Usage doc|Design doc|Perf doc"""
# Of its parts about flow rules, what a network card of this kind may be asked for.
FLOW = """item eth|item vlan|item arp_eth_ipv4|item ipv4|item ipv6|item tcp|item udp|item icmp|item sctp|item raw|
action queue|action drop|action count|action mark|action rss|action flag|action passthru"""
TABLE = pathlib.Path()
TESTS = pathlib.Path()


def rows():
    """[feature, here, how, tests] of each line of the table."""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and not line.startswith("| feature "):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def tests_that_exist():
    found = set()
    for path in TESTS.glob("*.cpp"):
        found.update(".".join(pair) for pair in
                     re.findall(r"^TEST_[FP]\((\w+), (\w+)\)", path.read_text(encoding="utf-8"), re.MULTILINE))
    for path in (TESTS.parent / "system").glob("*_test.py"):  # a case of a program's test is a function of it
        found.update(f"{path.stem}.{name}" for name in re.findall(r"^def (\w+)\(build", path.read_text(encoding="utf-8"), re.MULTILINE))
    return found


class FeaturesTable(unittest.TestCase):
    def test_rows_are_of_the_matrix_and_appear_once(self):
        known = [name.strip() for name in f"{MATRIX}|{FLOW}".split("|")]
        names = [row[0] for row in rows()]
        self.assertGreater(len(names), 30)
        self.assertEqual([name for name in names if name not in known], [])
        self.assertEqual([name for name in names if names.count(name) > 1], [])

    def test_what_is_claimed_has_its_test(self):
        existing = tests_that_exist()
        for feature, here, how, tests in rows():
            with self.subTest(feature=feature):
                self.assertIn(here, ("yes", "partly", "no"))
                named = re.findall(r"`([\w.]+)`", tests)
                self.assertEqual([name for name in named if name not in existing], [])
                if here == "no":
                    self.assertEqual(named, [])
                    self.assertTrue(how, "says why not")
                elif not feature.endswith(" doc"):
                    self.assertTrue(named, "claims something without a test")


if __name__ == "__main__":
    TABLE, TESTS = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    unittest.main(argv=sys.argv[:1], verbosity=2)
