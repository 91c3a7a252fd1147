#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# reload.sh BUILD: SIGHUP makes probe and control read their configuration again. What may change changes, what may not
# stays and is named, a file with a mistake changes nothing, and neither ends. Nothing is restored under a control that
# runs, and a second one is noticed.
set -euo pipefail
build=$1
command -v redis-server >/dev/null || { echo 'skipped: no redis-server here'; exit 77; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/spanward-test-XXXXXX")
redis_pid='' control_pid='' second_pid='' probe_pid=''
finish() {
    local pid
    for pid in $control_pid $second_pid $probe_pid $redis_pid; do
        { kill "$pid" && wait "$pid"; } 2>/dev/null || true
    done
    rm -rf "$dir"
}
trap finish EXIT
export TMPDIR=$dir HOME=$dir
unset SPANWARD_REDIS SPANWARD_CONFIG COLUMNS JOURNAL_STREAM
failures=0 checks=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
# says FILE TEXT: the text comes within ten seconds
says() {
    checks=$((checks + 1))
    for ((i = 0; i < 100; i++)); do
        grep -qF -- "$2" "$dir/$1" 2>/dev/null && return
        sleep 0.1
    done
    fail "'$2' is not in $1: $(tail -n 5 "$dir/$1")"
}
silent() { # FILE TEXT
    checks=$((checks + 1))
    ! grep -qF -- "$2" "$dir/$1" || fail "'$2' is in $1"
}
runs() { # NAME PID
    checks=$((checks + 1))
    kill -0 "$2" 2>/dev/null || fail "$1 has ended"
}
write_config() { # LEVEL MORE: of both programs
    printf 'log: {level: %s}\nstore: {redis: "unix:%s"}\n%s\n' "$1" "$dir/redis.sock" "$2" >"$dir/new.yaml"
    mv "$dir/new.yaml" "$dir/spanward.yaml"
}

redis-server --port 0 --unixsocket "$dir/redis.sock" --dir "$dir" --save '' --appendonly no >"$dir/redis.log" 2>&1 &
redis_pid=$!
for ((i = 0; i < 100; i++)); do
    [[ ! -S $dir/redis.sock ]] || break
    sleep 0.05
done

# ---- control ----
write_config info 'tickets: {mode: dry-run}'
"$build/spanward-control" --config "$dir/spanward.yaml" >"$dir/control.log" 2>&1 &
control_pid=$!
says control.log 'following the sensors'

write_config info 'tickets: {mode: dry-run, max_per_hour: "many"}'
kill -HUP "$control_pid"
says control.log "the configuration is not taken over, the old one stays: $dir/spanward.yaml:3:"
silent control.log 'was read again'

write_config info 'tickets: {mode: file, webhook: {url: "http://127.0.0.1:1/hook", secret_file: /nowhere}}'
kill -HUP "$control_pid"
says control.log '/nowhere'
silent control.log 'was read again'

write_config info $'tickets: {mode: file}\ndetect: {scopes: "path service", rtt_factor: 4}\nwindow: {length: 20s}'
kill -HUP "$control_pid"
says control.log 'detect.scopes has changed, which needs a restart'
says control.log 'window.length has changed, which needs a restart'
says control.log 'the configuration was read again'
silent control.log 'detect.rtt_factor has changed'
silent control.log 'tickets.mode has changed'
runs control "$control_pid"

write_config error ''
kill -HUP "$control_pid"
sleep 1
write_config error 'nonsense: 1' # still told, since it is an error; what follows it would not be
kill -HUP "$control_pid"
says control.log "unknown key 'nonsense'"
checks=$((checks + 1))
(($(grep -c 'was read again' "$dir/control.log") == 1)) || fail 'log.level was not taken over by control'
runs control "$control_pid"

# ---- who runs here ----
run() { # CODE COMMAND...
    local want=$1 got=0
    shift
    checks=$((checks + 1))
    "$@" >"$dir/out" 2>&1 || got=$?
    ((got == want)) || fail "exit $got instead of $want: $* -- $(head -c 300 "$dir/out")"
}
run 0 "$build/spanward" backup "$dir/state.backup" --redis "unix:$dir/redis.sock"
run 1 "$build/spanward" restore "$dir/state.backup" --replace --redis "unix:$dir/redis.sock"
says out "process $control_pid"
says out 'nothing was changed'
write_config error ''
"$build/spanward-control" --config "$dir/spanward.yaml" >"$dir/second.log" 2>&1 &
second_pid=$!
says control.log 'another spanward-control works on this Redis'
kill "$second_pid"
wait "$second_pid" || fail "the second control ended with $?"
second_pid=''
kill "$control_pid"
checks=$((checks + 1))
wait "$control_pid" || fail "control ended with $? after a reload"
control_pid=''
run 0 "$build/spanward" restore "$dir/state.backup" --replace --redis "unix:$dir/redis.sock"

# ---- probe ----
export ASAN_OPTIONS=detect_leaks=0 # DPDK keeps the arguments of its devices
write_config info 'capture: {rx: adaptive}'
"$build/spanward-probe" --config "$dir/spanward.yaml" --name reload --port net_null0,no-rx=1 \
    >"$dir/probe.log" 2>&1 &
probe_pid=$!
says probe.log 'captures on'
if kill -0 "$probe_pid" 2>/dev/null; then
    write_config info $'capture: {flows: 4096}\nsites: [{name: HQ, prefixes: [10.0.0.0/8]}]'
    kill -HUP "$probe_pid"
    says probe.log 'capture.flows has changed, which needs a restart'
    says probe.log 'sites has changed, which needs a restart'
    says probe.log 'the configuration was read again'
    write_config error 'flow: 5'
    kill -HUP "$probe_pid"
    says probe.log 'the configuration is not taken over, the old one stays'
    runs probe "$probe_pid"
    kill "$probe_pid"
    checks=$((checks + 1))
    wait "$probe_pid" || fail "the probe ended with $? after a reload: $(tail -n 5 "$dir/probe.log")"
fi
probe_pid=''
echo "$checks checks, $failures failed"
((failures == 0))
