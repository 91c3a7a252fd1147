#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# tests/stack/live_devices.sh PROBE SAMPLE [--full]: the probe on every kind of device that needs no NIC.
#
#   dpdk-testpmd: net_pcap (SAMPLE's head, once) -> peer device        device -> spanward-probe
#
# Each case is one line at the end. Holds when the probe was offered what was sent, to the packet, and could read as
# much of it as in the file, whatever the device, the number of workers and the way of waiting; when a filter leaves
# exactly what tcpdump's leaves; and when the link's changes are events. All of it in a network namespace of its own.
# What is sent fits every device's ring, so that a busy machine cannot make it drop. --full: all cases, not the main ones.
# Exit 77: cannot run here, with the reason. A case that this kernel cannot do says why and is left out.
set -euo pipefail

skip() { echo "skipped: $*"; exit 77; }
(($# >= 2)) || { sed -n '4s/^# //p' "$0" >&2; exit 2; }
((EUID == 0)) || skip "interfaces and packet sockets need root"
for tool in ip unshare tcpdump dpdk-testpmd redis-server; do
    command -v "$tool" >/dev/null || skip "no $tool here"
done
if [[ -z ${SPANWARD_IN_NAMESPACE:-} ]]; then
    unshare --net true 2>/dev/null || skip "cannot make a network namespace"
    SPANWARD_IN_NAMESPACE=1 exec unshare --net bash "$0" "$@"
fi
probe=$1 sample=$2 full=${3:-}
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
export HOME=$scratch
failures=0 done_cases=0 left_out=0
fail() {
    echo "FAILED: $case_name: $*"
    tail -n 12 "$scratch/probe.log" "$scratch/peer.log"
    failures=$((failures + 1))
}

tcpdump -r "$sample" -c 1500 -w "$scratch/in.pcap" 2>"$scratch/tcpdump.log"
count() { tcpdump -nr "$scratch/in.pcap" "$@" 2>/dev/null | wc -l; }
total=$(count)
((total == 1500)) || { echo "FAILED: only $total packets in $sample"; exit 1; }

cat >"$scratch/common.yaml" <<END
sensor:
  name: devices
  state_dir: $scratch/state
window:
  length: 1s
capture:
  mbufs: 16384
END

ip link set lo up
sysctl -qw net.ipv6.conf.default.disable_ipv6=1
veth() { # a fresh pair v0 - v1 without addresses or chatter
    ip link del v0 2>/dev/null || true
    ip link add v0 numrxqueues 1 numtxqueues 1 type veth peer name v1 numrxqueues 1 numtxqueues 1
    for i in v0 v1; do
        ip link set "$i" mtu 2000 up
    done
}

# ---- one case ----

number() { # NAME: from the ledger of the last run
    grep '"type":"ledger"' "$scratch/records" | grep -oE "\"$1\":[0-9]+" | head -n 1 | grep -oE '[0-9]+$' || echo none
}

start_probe() { # DEVICE CONFIG-LINES...
    cp "$scratch/common.yaml" "$scratch/spanward.yaml"
    printf '  %s\n' "${@:2}" >>"$scratch/spanward.yaml"
    rm -f "$scratch/records" "$scratch/probe.log"
    "$probe" --config "$scratch/spanward.yaml" --port "$1" --records "$scratch/records" --duration 60s \
        >"$scratch/probe.log" 2>&1 &
    probe_pid=$!
    started+=("$probe_pid")
    for _ in {1..200}; do
        grep -q 'captures on' "$scratch/probe.log" 2>/dev/null && return 0
        kill -0 "$probe_pid" 2>/dev/null || return 1
        sleep 0.05
    done
    return 1
}

stop_probe() {
    kill -TERM "$probe_pid" 2>/dev/null || true
    for _ in {1..100}; do
        kill -0 "$probe_pid" 2>/dev/null || break
        sleep 0.05
    done
    kill -0 "$probe_pid" 2>/dev/null && fail "still running 5 s after SIGTERM"
    code=0
    wait "$probe_pid" || code=$?
    ((code == 0)) || fail "exit $code"
}

send() { # PEER-VDEV: the sample once; testpmd ends with its input, after all is forwarded
    mkfifo "$scratch/enter"
    timeout 60 dpdk-testpmd --no-huge --no-shconf --no-telemetry --no-pci -m 192 --lcores 0@0,1@0 \
        --vdev "net_pcap0,rx_pcap=$scratch/in.pcap" --vdev "$1" -- --no-mlockall --no-flush-rx \
        --total-num-mbufs=16384 --forward-mode=io --stats-period=1 <"$scratch/enter" >"$scratch/peer.log" 2>&1 &
    peer_pid=$!
    started+=("$peer_pid")
    exec 9>"$scratch/enter"
    for _ in {1..500}; do
        grep -q "RX-packets: $total " "$scratch/peer.log" && break
        kill -0 "$peer_pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -INT "$peer_pid" 2>/dev/null || true
    exec 9>&-
    wait "$peer_pid" || true
    rm -f "$scratch/enter"
    grep -q "TX-packets: $total  *TX-dropped: 0 " "$scratch/peer.log" || fail "the sender itself did not send all"
}

check() { # WANTED: packets that pass the filter
    local offered processed duplicate filtered dropped
    offered=$(number offered) processed=$(number processed) duplicate=$(number duplicate) filtered=$(number filtered)
    [[ $offered == "$total" ]] || fail "offered $offered of $total"
    [[ $filtered == $((total - $1)) ]] || fail "filtered $filtered, not $((total - $1))"
    dropped=$(grep '"type":"ledger"' "$scratch/records" | grep -oE '"drops":\{[^}]*' | grep -oE ':[0-9]+' |
        tr -d : | awk '{ sum += $1 } END { print sum + 0 }')
    ((offered == processed + dropped)) || fail "$offered offered, $processed processed and $dropped dropped"
    if [[ $1 == "$total" ]]; then
        ((processed + duplicate == readable)) || fail "$processed and $duplicate copies, $readable in the file"
    fi
}

run_case() { # NAME DEVICE PEER CONFIG-LINES...
    case_name=$1
    if ! start_probe "$2" "${@:4}"; then
        echo "left out: $1: $(grep -v 'captures on' "$scratch/probe.log" | tail -n 1)"
        left_out=$((left_out + 1))
        return
    fi
    ${before_send:-true}
    send "$3"
    sleep 0.3
    stop_probe
    check "${wanted:-$total}"
    done_cases=$((done_cases + 1))
    echo "$1: $(grep -oE ', [0-9]+ queues? of.*' "$scratch/probe.log" | head -n 1 | cut -c3-)"
}

# ---- the cases ----

# What is a copy also depends on times, which are others live; what can be read does not.
case_name='the file'
"$probe" --read "$scratch/in.pcap" --records "$scratch/records" 2>"$scratch/probe.log"
readable=$(($(number processed) + $(number duplicate)))

memif() { echo "net_memif$1,role=$2,id=0,socket=$scratch/memif.sock,socket-abstract=no,rsize=11"; }
run_memif() { run_case "$1" "$(memif 0 server)" "$(memif 1 client)" "${@:2}"; }
run_memif 'memif'
for event in link_down link_up; do
    grep -q "\"mirror.$event\"" "$scratch/records" || fail "no event mirror.$event though the peer came and went"
done
wanted=$(count 'tcp and port 445')
((wanted > 100 && wanted < total)) || fail "the filter's case would prove little: $wanted of $total"
run_memif 'memif, filter, 3 workers, naps' 'filter: tcp and port 445' 'workers: 3' 'rx: adaptive'
unset wanted
if [[ $full == --full ]]; then
    run_memif 'memif, 2 workers' 'workers: 2'
    run_memif 'memif, interrupts' 'rx: interrupt'
    wanted=0
    run_memif 'memif, filter that nothing passes' 'filter: ether proto 0x1234'
    unset wanted
fi

# Nobody sends: how much does it cost to wait? In hundredths of a second of CPU time per thread, over IDLE_S seconds.
IDLE_S=3
idle() { # WAY LIMIT-OF-READING-THREAD LIMIT-OF-THE-OTHERS-TOGETHER
    case_name="idle, rx: $1"
    start_probe "$(memif 0 server)" "rx: $1" || { fail "does not start"; return; }
    sleep 1.5 # past the short naps
    usage() { # thread, its CPU time, its name
        for task in "/proc/$probe_pid/task"/*; do
            echo "${task##*/} $(sed 's/.*) //' "$task/stat" | awk '{ print $12 + $13 }') $(cat "$task/comm")"
        done | sort
    }
    usage >"$scratch/before"
    sleep "$IDLE_S"
    usage >"$scratch/after"
    read -r reading others < <(join "$scratch/before" "$scratch/after" | awk '
        $3 ~ /worker|lcore/ { reading += $4 - $2; next } { others += $4 - $2 } END { print reading + 0, others + 0 }')
    stop_probe
    ((reading <= $2)) || fail "the reading thread took $reading hundredths of a second in $IDLE_S s"
    ((others <= $3)) || fail "the other threads took $others hundredths of a second in $IDLE_S s"
    echo "$case_name: $reading and $others hundredths of a second of CPU in $IDLE_S s"
}
idle adaptive 30 20
if [[ $full == --full ]]; then
    idle interrupt 30 20
    idle poll 310 20
fi

veth
ring=blocksz=65536,framesz=2048,framecnt=4096
run_case 'af_packet' "net_af_packet0,iface=v1,$ring" "net_af_packet1,iface=v0,$ring"
run_case 'af_packet, fan-out' "net_af_packet0,iface=v1,qpairs=2,$ring" "net_af_packet1,iface=v0,$ring" 'workers: 2'
veth
run_case 'af_xdp' 'net_af_xdp0,iface=v1' "net_af_packet1,iface=v0,$ring"
# Somebody takes the XDP program away: the device gets nothing, and that is in the ledger.
robbed() {
    case_name='af_xdp, robbed'
    start_probe 'net_af_xdp0,iface=v1' || { echo "left out: $case_name"; return; }
    ip link set v1 xdp off
    send "net_af_packet1,iface=v0,$ring"
    sleep 0.5
    stop_probe
    [[ $(number offered) == "$total" && $(number nic_missed) == "$total" ]] ||
        fail "offered $(number offered), missed $(number nic_missed) of $total that the interface received"
    echo "$case_name: all missed, and counted"
}
veth
robbed
# A tap device shows what the kernel sends into it; it is there once the probe runs. It interrupts, so the reading thread
# sleeps until then, or for a hundredth of a second, where naps would be a thousand a second.
tap() {
    ip link set tap0 mtu 2000 txqueuelen 4096 up
}
sleeps() {
    for task in "/proc/$probe_pid/task"/*; do
        if [[ $(cat "$task/comm") == *worker* ]]; then
            grep ^voluntary "$task/status" | grep -oE '[0-9]+'
        fi
    done
}
tap_asleep() {
    local before after
    tap
    sleep 1.5
    before=$(sleeps)
    sleep 2
    after=$(sleeps)
    ((after - before < 500)) || fail "slept $((after - before)) times in 2 s: those were naps"
}
before_send=tap_asleep
run_case 'tap, interrupts' net_tap0,iface=tap0 "net_af_packet1,iface=tap0,$ring" 'rx: interrupt'
unset before_send
if [[ $full == --full ]]; then
    veth
    run_case 'af_packet, 2 workers' "net_af_packet0,iface=v1,$ring" "net_af_packet1,iface=v0,$ring" 'workers: 2'
    veth
    run_case 'pcap on an interface' 'net_pcap1,rx_iface_in=v1' "net_af_packet1,iface=v0,$ring"
    before_send=tap
    run_case 'tap' net_tap0,iface=tap0 "net_af_packet1,iface=tap0,$ring"
    unset before_send
fi

echo "$done_cases devices, $left_out left out, $failures failures, $total packets each"
((failures == 0 && done_cases >= 4))
