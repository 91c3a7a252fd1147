#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# tests/stack/live_veth.sh PROBE CLI: a live run of the probe on a mirror of a veth pair under iperf3.
#
#   client namespace        server namespace              probe namespace
#   c0 10.77.0.1 ---------- s0 10.77.0.2
#                           | tc mirred, both directions
#                           m0 -------------------------- m1 <- spanward-probe, net_af_packet
#
# Holds when the ledger's "offered" is what the kernel counted into m1, nothing was dropped, `spanward status --json`
# shows the sensor while it runs, and SIGTERM ends it with exit 0 within 5 s, its private Redis too. The namespaces have
# no names: they are held by sleeping processes that die with this script. Exit 77: cannot run here, with the reason.
set -euo pipefail

skip() { echo "skipped: $*"; exit 77; }
fail() {
    echo "FAILED: $*"
    for log in "$scratch"/*.log; do
        echo "--- ${log##*/}"
        tail -n 20 "$log"
    done
    exit 1
}

(($# == 2)) || { sed -n '4s/^# //p' "$0" >&2; exit 2; }
probe=$1 cli=$2
((EUID == 0)) || skip "network namespaces and packet sockets need root"
for tool in ip tc iperf3 redis-server unshare nsenter setpriv; do
    command -v "$tool" >/dev/null || skip "no $tool here"
done
for program in "$probe" "$cli"; do
    [[ -x $program ]] || skip "no $program here"
done

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

# ---- namespaces ----

hold_namespace() { # sets $held to the pid of a process in a new network namespace
    setpriv --pdeathsig KILL unshare --net sleep 300 &
    held=$!
    started+=("$held")
    for _ in {1..100}; do
        [[ $(readlink "/proc/$held/ns/net") != "$(readlink /proc/$$/ns/net)" ]] && return
        sleep 0.02
    done
    skip "cannot make a network namespace"
}
hold_namespace; client=$held
hold_namespace; server=$held
hold_namespace; sensor=$held
at() { # PID COMMAND...: runs it in the namespace of PID
    nsenter --target "$1" --net "${@:2}"
}
for ns in "$client" "$server" "$sensor"; do
    at "$ns" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
    at "$ns" ip link set lo up
done

# One segment per frame: what is mirrored shall fit the probe's buffers as on a real wire.
at "$client" ip link add c0 gso_max_segs 1 type veth peer name s0 netns "$server"
at "$client" ip addr add 10.77.0.1/24 dev c0
at "$client" ip link set c0 up
at "$server" ip link set s0 gso_max_segs 1
at "$server" ip addr add 10.77.0.2/24 dev s0
at "$server" ip link set s0 up
at "$server" ip link add m0 type veth peer name m1 netns "$sensor"
at "$server" ip link set m0 up
at "$sensor" ip link set m1 up promisc on
at "$server" tc qdisc add dev s0 clsact || skip "this kernel has no clsact"
for direction in ingress egress; do
    at "$server" tc filter add dev s0 "$direction" protocol all u32 match u32 0 0 action \
        mirred egress mirror dev m0 ||
        skip "this kernel cannot mirror"
done

received() { # frames that the kernel counted into m1, and those that it dropped there
    # shellcheck disable=SC2016 # awk's fields
    at "$sensor" awk '$1 == "m1:" { print $3, $5 }' /proc/net/dev
}

# ---- the probe ----

cat >"$scratch/spanward.yaml" <<END
sensor:
  name: veth-test
  state_dir: $scratch/state
window:
  length: 1s
END
read -r before _ < <(received)
# nsenter itself, not at(): in the background a function is a subshell, and $! must be the program.
nsenter --target "$sensor" --net "$probe" --config "$scratch/spanward.yaml" --port 'net_af_packet0,iface=m1,framecnt=8192' \
    --duration 120s >"$scratch/probe.log" 2>&1 &
probe_pid=$!
started+=("$probe_pid")

status() { "$cli" status --json --config "$scratch/spanward.yaml" >"$scratch/status.json" 2>"$scratch/status.log"; }
number() { grep -oE "\"$1\": ?[0-9]+" "$scratch/status.json" | head -n 1 | grep -oE '[0-9]+$' || true; }
for ((tick = 0; ; tick++)); do
    kill -0 "$probe_pid" 2>/dev/null || fail "the probe ended before it was ready"
    status && grep -q '"veth-test"' "$scratch/status.json" && break
    ((tick < 100)) || fail "no sensor in \"spanward status --json\" after 20 s"
    sleep 0.2
done

# ---- traffic ----

for options in "-b 80M -t 3" "-b 40M -t 2 -R" "-u -b 20M -t 2"; do
    nsenter --target "$server" --net iperf3 -s -1 -B 10.77.0.2 >"$scratch/iperf-server.log" 2>&1 &
    iperf_pid=$!
    started+=("$iperf_pid")
    for _ in {1..100}; do
        at "$server" ss -Hltn 'sport = :5201' | grep -q . && break
        sleep 0.05
    done
    # shellcheck disable=SC2086 # words on purpose
    at "$client" iperf3 -c 10.77.0.2 $options >"$scratch/iperf-client.log" 2>&1 || fail "iperf3 $options"
    wait "$iperf_pid" || true
done

# ---- what was counted ----

for ((tick = 0; tick < 75; tick++)); do
    read -r after dropped < <(received)
    wanted=$((after - before))
    status && [[ $(number offered) == "$wanted" ]] && break
    sleep 0.2
done
((wanted > 10000)) || fail "only $wanted frames came through the mirror: this test would prove little"
((dropped == 0)) || fail "the kernel dropped $dropped frames at m1"
[[ $(number offered) == "$wanted" ]] || fail "offered $(number offered), but the interface counted $wanted"
[[ $(number processed) == "$wanted" ]] || fail "processed $(number processed) of $wanted"
grep -qE '"dropped_pct": ?0(\.0)?[,}]' "$scratch/status.json" || fail "frames were dropped: $(cat "$scratch/status.json")"

# ---- the end ----

begin=$EPOCHREALTIME
kill -TERM "$probe_pid"
for _ in {1..250}; do
    kill -0 "$probe_pid" 2>/dev/null || break
    sleep 0.02
done
kill -0 "$probe_pid" 2>/dev/null && fail "still running 5 s after SIGTERM"
code=0
wait "$probe_pid" || code=$?
((code == 0)) || fail "exit $code after SIGTERM"
[[ -S $scratch/state/redis.sock ]] && fail "its private Redis is still there"
awk -v a="$begin" -v b="$EPOCHREALTIME" -v n="$wanted" \
    'BEGIN { printf "%d frames offered and counted, none lost, ended %.2f s after SIGTERM\n", n, b - a }'
