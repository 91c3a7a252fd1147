#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# tests/stack/live_lab.sh PROBE LAB: what the probe says of a live mirror is what it says of the capture.
#
# The lab's relay sends each frame that it captures to a device, too, when it captures it; the probe listens at the other
# end. Two flows lose in both ways, and the mirror misses. Then the probe reads the capture. Holds when nothing was dropped
# and both say the same of every flow: packets, bytes, all verdicts on losses, and as many round trips. Times differ: a
# live frame has the kernel's time, the capture that of the relay's plan. So the mirror makes no copies here: on a busy
# machine a relay may be held up between a frame and its copy for longer than a copy may take. Exit 77: cannot run here.
set -euo pipefail

skip() { echo "skipped: $*"; exit 77; }
fail() {
    echo "FAILED: $*"
    tail -n 12 "$scratch/probe.log" "$scratch/lab.log" 2>/dev/null || true
    exit 1
}

(($# == 2)) || { sed -n '4s/^# //p' "$0" >&2; exit 2; }
((EUID == 0)) || skip "network namespaces and packet sockets need root"
for tool in ip unshare redis-server; do
    command -v "$tool" >/dev/null || skip "no $tool here"
done
[[ -n ${LIVE_LAB_INSIDE:-} ]] || LIVE_LAB_INSIDE=1 exec unshare --net "$0" "$@" || skip "cannot make a network namespace"
probe=$1 lab=$2

scratch=$(mktemp -d)
probe_pid=
finish() {
    [[ -z $probe_pid ]] || kill -KILL "$probe_pid" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$scratch"
}
trap finish EXIT
export HOME=$scratch

ip link set lo up
sysctl -qw net.ipv6.conf.default.disable_ipv6=1 2>/dev/null || true
ip link add lab0 type veth peer name lab1 || skip "no veth here"
ip link set lab0 mtu 2000 up
ip link set lab1 mtu 2000 up

printf 'sensor:\n  name: lab\n  state_dir: %s/state\nwindow:\n  length: 1s\ncapture:\n  mbufs: 16384\n' "$scratch" \
    >"$scratch/spanward.yaml"
"$probe" --config "$scratch/spanward.yaml" --port net_af_packet0,iface=lab1 --records "$scratch/live" --duration 120s \
    >"$scratch/probe.log" 2>&1 &
probe_pid=$!
for _ in {1..200}; do
    grep -q 'captures on' "$scratch/probe.log" && break
    if ! kill -0 "$probe_pid" 2>/dev/null; then
        code=0
        wait "$probe_pid" || code=$?
        ((code < 128)) || fail "the probe died of signal $((code - 128))"
        skip "the probe cannot capture here: $(tail -n 1 "$scratch/probe.log")"
    fi
    sleep 0.05
done

code=0
"$lab" --out "$scratch/x" -e 'delay left 12ms' -e 'delay right 8ms' -e 'tail-loss-probe off' -e 'mirror lab0' \
    -e 'rule lose-up kind=data every=97' -e 'rule lose-down kind=data every=89' -e 'rule miss kind=data every=211' \
    -e 'traffic bulk client=10.0.0.1*2 server=192.0.2.1 resp=1500k' \
    >"$scratch/lab.log" 2>&1 || code=$?
((code != 77)) || skip "$(tail -n 1 "$scratch/lab.log")"
((code == 0)) || fail "the lab: exit $code"
sleep 1
kill -TERM "$probe_pid"
wait "$probe_pid" || fail "the probe: exit $?"
probe_pid=
"$probe" --read "$scratch/x.pcapng" --records "$scratch/file" >"$scratch/read.log" 2>&1 || fail "the capture: exit $?"

# Of each flow all that does not depend on when a frame was stamped, one line each.
said() {
    grep '"type":"flow"' "$1" | grep '"proto":"tcp"' | while IFS= read -r flow; do
        grep -oE '"(client|client_port|server_port|pkts|bytes|dup_pkts|retrans_pkts|lost_[a-z]+_pkts|spurious_pkts|reordered_pkts|capture_lost_bytes|capture_gaps)":[^,}]*' \
            <<<"$flow" | tr '\n' ' '
        echo
    done | sort
}
round_trips() { grep -oE '"rtt_(server|client)_us":\{[^}]*\}' "$1" | grep -oE '"n":[0-9]+' | tr -dc '0-9\n' | awk '{ s += $1 } END { print s + 0 }'; }

said "$scratch/live" >"$scratch/live.said"
said "$scratch/file" >"$scratch/file.said"
grep -q '"drops":{' "$scratch/live" || fail "no ledger of the live run"
grep '"type":"ledger"' "$scratch/live" | grep -qE '"(nic_missed|no_mbuf|ring_full)":[1-9]' && fail "the live run dropped frames"
(($(wc -l <"$scratch/file.said") == 2)) || fail "$(wc -l <"$scratch/file.said") flows in the capture, not 2"
diff "$scratch/file.said" "$scratch/live.said" >"$scratch/difference" || { cat "$scratch/difference"; fail "live and capture differ"; }
grep -qE '"lost_upstream_pkts":[1-9]' "$scratch/live.said" || fail "no loss upstream: this test would prove little"
grep -qE '"lost_downstream_pkts":[1-9]' "$scratch/live.said" || fail "no loss downstream: this test would prove little"
grep -qE '"capture_lost_bytes":[1-9]' "$scratch/live.said" || fail "nothing was missed: this test would prove little"
[[ $(round_trips "$scratch/live") == "$(round_trips "$scratch/file")" ]] || fail "round trips: $(round_trips "$scratch/live") and $(round_trips "$scratch/file")"
echo "2 flows, $(round_trips "$scratch/live") round trips: the same live and from the capture"
