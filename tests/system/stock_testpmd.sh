#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Debian's own dpdk-testpmd loads the plug-in, brings up two ports on one wire, forwards what it
# sent first, shows link, statistics and xstats, and stops cleanly. No root, no hugepages.
# usage: stock_testpmd.sh FOLDER-OF-PLUG-IN. Exit 77: dpdk-testpmd is not installed.
set -u
folder=$1
command -v dpdk-testpmd >/dev/null || { echo "skip: no dpdk-testpmd (package dpdk-dev)"; exit 77; }
out=$(mktemp)
trap 'rm -f "$out"' EXIT
# By bare name: the EAL refuses a path below a world-writable folder.
{
  sleep 1
  for command in 'show port info 0' 'set fwd io' 'start tx_first' ; do echo "$command"; done
  sleep 2
  for command in stop 'show port stats all' 'show port xstats 0' 'port stop all' 'port start all' \
    'start tx_first'; do echo "$command"; done
  sleep 1
  for command in stop quit; do echo "$command"; done
} | env ${CREMA_ASAN_PRELOAD:+"LD_PRELOAD=$CREMA_ASAN_PRELOAD" ASAN_OPTIONS=detect_leaks=0} \
  LD_LIBRARY_PATH="$folder" timeout 90 dpdk-testpmd --no-pci --no-huge -m 160 --no-shconf \
  --file-prefix="stock$$" -l 0-1 -d librte_net_neta.so \
  --vdev=net_neta0,device=model,wire="pair:stock$$" \
  --vdev=net_neta1,device=model,wire="pair:stock$$" \
  -- -i --total-num-mbufs=4096 >"$out" 2>&1
rc=$?
failures=0
check() { # what pattern
  grep -qE "$2" "$out" || { echo "FAIL: $1: no line matches: $2"; failures=1; }
}
[ "$rc" -eq 0 ] || { echo "FAIL: dpdk-testpmd ended with $rc"; failures=1; }
check 'driver name' 'Driver name: net_neta'
check 'link' 'Link status: up'
check 'link speed' 'Link speed: 1 Gbps'
check 'received' 'RX-packets: [1-9][0-9]* '
check 'sent' 'TX-packets: [1-9][0-9]* '
check 'nothing missed' 'RX-missed: 0 '
check 'MIB counter' '^good_frames_received: [1-9]'
check 'page pool counter' '^rx_pp_alloc_fast: [1-9]'
check 'program counter' '^rx_xdp_drop: 0'
check 'no refused frame' '^tx_refused: 0'
check 'clean end' '^Bye'
if grep -nE 'still in use|bug:|crema: .*(error|fail)|Segmentation|PANIC' "$out"; then
  echo 'FAIL: an error was reported'
  failures=1
fi
[ $failures -eq 0 ] || { echo '--- output'; cat "$out"; }
exit $failures
