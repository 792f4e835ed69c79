#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Debian's own dpdk-testpmd asks for what the driver can do beyond plain frames: checksum offloads
# both ways with its csum engine (which calls tx_prepare), jumbo frames over several buffers, queues
# stopped and started, descriptor status, flow control, a register, port reset. No root, no hugepages.
# usage: stock_testpmd_features.sh FOLDER-OF-PLUG-IN. Exit 77: dpdk-testpmd is not installed.
set -u
folder=$1
command -v dpdk-testpmd >/dev/null || { echo "skip: no dpdk-testpmd (package dpdk-dev)"; exit 77; }
out=$(mktemp)
trap 'rm -f "$out"' EXIT
say() {
  for command in "$@"; do echo "$command"; done
}
# --tx-offloads: IPv4, UDP and TCP checksums, several segments.
{
  sleep 1
  say 'show port info 0' 'show rxq info 0 0' 'show txq info 0 0' 'show port 0 ptypes' 'set fwd csum' 'start tx_first'
  sleep 1
  say stop 'show port 0 rxq 0 desc 5 status' 'show port 0 txq 0 desc 5 status'
  say 'port 0 rxq 0 stop' 'show rxq info 0 0' 'port 0 rxq 0 start' 'port 0 txq 0 stop' 'port 0 txq 0 start'
  say 'set flow_ctrl rx on tx on 0 0 0 0 mac_ctrl_frame_fwd off autoneg off 0' 'show port 0 flow_ctrl'
  say 'set txpkts 2000,2000,2000' 'set fwd io' 'clear port stats all' 'start tx_first'
  sleep 1
  say stop 'show port stats 0' 'show port xstats 0' 'port stop all' 'port reset all' 'port start all' 'start tx_first'
  sleep 1
  say stop quit
} | env ${CREMA_ASAN_PRELOAD:+"LD_PRELOAD=$CREMA_ASAN_PRELOAD" ASAN_OPTIONS=detect_leaks=0} \
  LD_LIBRARY_PATH="$folder" timeout 90 dpdk-testpmd --no-pci --no-huge -m 200 --no-shconf \
  --file-prefix="features$$" -l 0-1 -d librte_net_neta.so \
  --vdev=net_neta0,device=model,wire="pair:features$$" \
  --vdev=net_neta1,device=model,wire="pair:features$$" \
  -- -i --total-num-mbufs=8192 --enable-rx-cksum --enable-scatter --max-pkt-len=9040 --tx-offloads=0x800e >"$out" 2>&1
rc=$?
failures=0
check() { # what pattern
  grep -qE "$2" "$out" || { echo "FAIL: $1: no line matches: $2"; failures=1; }
}
[ "$rc" -eq 0 ] || { echo "FAIL: dpdk-testpmd ended with $rc"; failures=1; }
check 'jumbo MTU' '^MTU: 9018'
check 'scattered RX' '^RX scattered packets: on'
check 'burst mode of RX' '^Burst mode: scalar, scattered, packet types and checksums'
check 'burst mode of TX' '^Burst mode: scalar, checksums'
check 'packet types' '^L4_UDP'
check 'no bad checksum' 'Bad-ipcsum: 0 .*Bad-l4csum: 0 '
check 'sums were left to the chip' '^tx_csum_software: 0$'
check 'descriptor status' 'Desc status = DONE'
check 'stopped queue' '^Rx queue state: stopped'
check 'flow control' 'Rx pause: on'
check 'jumbo frames' '^frames_1024_to_max_octets: [1-9]'
check 'nothing missed' 'RX-missed: 0 '
check 'no bad frame' 'RX-errors: 0'
check 'no refused frame' '^tx_refused: 0'
check 'no liar' '^device_count_errors: 0'
check 'clean end' '^Bye'
# Frames of 6000 bytes: the mean says that they came whole.
awk '/RX-packets: .*RX-missed/ { if ($2 > 100 && $6 / $2 > 5900) ok = 1 } END { exit !ok }' "$out" ||
  { echo 'FAIL: frames of 6000 bytes did not arrive whole'; failures=1; }
if grep -nE 'still in use|bug:|crema: .*(error|fail)|Segmentation|PANIC|Fail to|Failed' "$out"; then
  echo 'FAIL: an error was reported'
  failures=1
fi
[ $failures -eq 0 ] || { echo '--- output'; cat "$out"; }
exit $failures
