#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# tests/stack/live_memif.sh PROBE BLAST [DEPARTURES]: the probe under peers that behave badly.
#
#   blast (a generator that counts what its device took) -> memif -> spanward-probe
#
#   departures   the peer leaves in full flow, again and again: the probe lives on, and its ledger has every packet that
#                memif took, also those that nobody had read when the peer left
#   overload     more than one worker can take, and more than three can behind one reading thread: offered is what memif
#                took, every drop has its cause (the lanes: ring_full), and once the storm is over nothing is lost any more
#   asleep       rx: interrupt and rx: adaptive: after a second of silence a burst is taken whole, without delay
#
# The worker must not be starved for this: it is about what is counted, not about how fast. Exit 77: cannot run here.
set -euo pipefail

skip() { echo "skipped: $*"; exit 77; }
(($# >= 2)) || { sed -n '4s/^# //p' "$0" >&2; exit 2; }
((EUID == 0)) || skip "DPDK needs root here"
command -v redis-server >/dev/null || skip "no redis-server here"
probe=$1 blast=$2 departures=${3:-10}
scratch=$(mktemp -d)
started=()
finish() {
    for pid in "${started[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    rm -rf "$scratch"
}
trap finish EXIT
fail() {
    echo "FAILED: $case_name: $*"
    tail -n 12 "$scratch"/*.log
    exit 1
}

memif() { echo "net_memif$1,role=$2,id=0,socket=$scratch/memif.sock,socket-abstract=no,rsize=11"; }
start_probe() { # CONFIG-LINES...
    printf 'sensor:\n  name: memif\n  state_dir: %s\nwindow:\n  length: 1s\ncapture:\n' "$scratch/state" >"$scratch/spanward.yaml"
    printf '  %s\n' 'mbufs: 16384' "$@" >>"$scratch/spanward.yaml"
    rm -f "$scratch/records" "$scratch/probe.log"
    "$probe" --config "$scratch/spanward.yaml" --port "$(memif 0 server)" --records "$scratch/records" \
        >"$scratch/probe.log" 2>&1 &
    probe_pid=$!
    started+=("$probe_pid")
    for _ in {1..400}; do
        grep -q 'captures on' "$scratch/probe.log" 2>/dev/null && return
        kill -0 "$probe_pid" 2>/dev/null || fail "does not start"
        sleep 0.05
    done
    fail "does not start in 20 s"
}
stop_probe() {
    kill -TERM "$probe_pid" 2>/dev/null || fail "gone"
    wait "$probe_pid" || fail "exit $?"
    offered=$(number offered) processed=$(number processed) ring_full=$(number ring_full)
    dropped=$(grep '"type":"ledger"' "$scratch/records" | grep -oE '"drops":\{[^}]*' | grep -oE ':[0-9]+' | tr -d : |
        awk '{ sum += $1 } END { printf "%d", sum }')
    ((offered == taken && offered == processed + dropped)) ||
        fail "memif took $taken; $offered offered, $processed processed, $dropped dropped"
}
number() { grep '"type":"ledger"' "$scratch/records" | grep -oE "\"$1\":[0-9]+" | head -n 1 | cut -d: -f2 || echo 0; }
taken=0
send() { # MPPS SECONDS FLOWS: adds to taken, sets refused
    "$blast" "$(memif 1 client)" "$@" 0 >"$scratch/blast.log" 2>&1 || fail "the sender"
    taken=$((taken + $(grep -oE '"sent":[0-9]+' "$scratch/blast.log" | cut -d: -f2)))
    refused=$(grep -oE '"refused":[0-9]+' "$scratch/blast.log" | cut -d: -f2)
}

# ---- departures ----
case_name=departures
start_probe
for ((i = 0; i < departures; i++)); do
    send 0 -0.1 256 # leaves right behind its last packet
    kill -0 "$probe_pid" 2>/dev/null || fail "the probe died when a peer left"
done
stop_probe
echo "$departures departures in full flow: $offered of $taken packets in the ledger"

# ---- overload ----
overload() { # WORKERS
    case_name="overload, $1 worker(s)"
    taken=0
    start_probe "workers: $1"
    send 0 1 100000
    local storm_refused=$refused storm_taken=$taken
    sleep 1
    send 0.002 1 256
    local calm_refused=$refused
    stop_probe
    ((storm_refused + ring_full > 0)) || fail "that was no overload: this test would prove nothing"
    ((calm_refused == 0)) || fail "$calm_refused packets found no room after the storm"
    echo "$case_name: $storm_taken taken, $storm_refused refused by the ring, $ring_full dropped behind it; then nothing"
}
overload 1
overload 3

# ---- asleep ----
asleep() { # WAY
    case_name="rx: $1"
    taken=0
    start_probe "rx: $1"
    for _ in 1 2; do
        sleep 1.2 # long naps by now
        send 0.002 0.05 16
        ((refused == 0)) || fail "$refused packets found no room"
    done
    stop_probe
    ((dropped == 0)) || fail "$dropped dropped"
    echo "$case_name: $offered packets after silence, none lost"
}
asleep adaptive
asleep interrupt
