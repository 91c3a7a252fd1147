#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# redis_cluster.sh BUILD SOURCE: probe, control and CLI on a Redis Cluster of three masters. What they show must be what
# they show on a single Redis: the same rows, from slots on several nodes.
set -euo pipefail
build=$1 source=$2
for tool in redis-server redis-cli; do
    command -v "$tool" >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
dir=$(mktemp -d "${TMPDIR:-/tmp}/spanward-test-XXXXXX")
pids=()
finish() {
    for pid in "${pids[@]}"; do { kill -KILL "$pid" && wait "$pid"; } 2>/dev/null || true; done
    rm -rf "$dir"
}
trap finish EXIT
export TMPDIR=$dir HOME=$dir NO_COLOR=1
unset SPANWARD_REDIS SPANWARD_CONFIG COLUMNS
PATH=$build:$PATH
sample=$source/docs/samples/branch.pcapng config=$source/docs/samples/branch.yaml

failures=0 checks=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
run() { # CODE COMMAND...
    local want=$1 got=0
    shift
    checks=$((checks + 1))
    "$@" >"$dir/out" 2>"$dir/err" </dev/null || got=$?
    ((got == want)) || fail "exit $got instead of $want: $* -- $(head -c 300 "$dir/err")"
}
is_free() { ! { exec 9<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null; }

ports=()
for ((port = 21000 + $$ % 400 * 7; ${#ports[@]} < 3; port++)); do
    if ! is_free "$port" || ! is_free $((port + 10000)); then continue; fi
    redis-server --port "$port" --bind 127.0.0.1 --dir "$dir" --save '' --cluster-enabled yes \
        --cluster-config-file "nodes-$port.conf" >"$dir/redis-$port.log" 2>&1 &
    pids+=($!) ports+=("$port")
done
redis-server --port 0 --unixsocket "$dir/single.sock" --dir "$dir" --save '' >"$dir/single.log" 2>&1 &
pids+=($!)
sleep 0.3
redis-cli --cluster create "${ports[@]/#/127.0.0.1:}" --cluster-yes >"$dir/create" 2>&1 ||
    { cat "$dir/create"; exit 1; }
for port in "${ports[@]}"; do
    for ((i = 0; i < 100; i++)); do
        [[ $(redis-cli -p "$port" CLUSTER INFO) != *cluster_state:ok* ]] || break
        sleep 0.1
    done
done
cluster=redis+cluster://127.0.0.1:${ports[0]},127.0.0.1:${ports[1]}
single=unix:$dir/single.sock

for url in "$cluster" "$single"; do
    for name in tap-1 tap-2 tap-3 tap-4; do
        run 0 spanward-probe --read "$sample" --config "$config" --redis "$url" --name "$name"
    done
    run 0 spanward-control --once --dry-run --config "$config" --redis "$url"
done
checks=$((checks + 1))
used=0
for port in "${ports[@]}"; do (($(redis-cli -p "$port" DBSIZE) < 5)) || used=$((used + 1)); done
((used >= 2)) || fail "everything is on one node"

# The same rows, but for wall clocks and ids.
for command in sensors paths services flows events incidents problems tickets; do
    for url in "$cluster" "$single"; do
        run 0 spanward "$command" --redis "$url" --json
        sed -E 's/"[a-z_]*wall[a-z_]*": ?[0-9]+//g; s/"(id|heartbeat|started|lag|age)[a-z_]*": ?("[^"]*"|[0-9.]+)//g' "$dir/out" |
            sort >"$dir/rows-${url%%:*}"
    done
    checks=$((checks + 1))
    diff "$dir/rows-redis+cluster" "$dir/rows-unix" >"$dir/diff" || fail "$command differs: $(head -c 400 "$dir/diff")"
    [[ $command != @(sensors|paths|flows) || -s $dir/rows-unix ]] || fail "$command shows nothing"
done
run 1 spanward sensors --redis "redis://127.0.0.1:${ports[0]}"
checks=$((checks + 1))
grep -q 'use redis+cluster://' "$dir/err" || fail "no advice: $(cat "$dir/err")"

echo "Checks: $checks, Failures: $failures, Errors: 0"
((failures == 0))
