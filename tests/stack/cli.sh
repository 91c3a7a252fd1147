#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# cli.sh BUILD SOURCE: `spanward read` and the look into Redis, with the real programs on the sample capture and on broken
# input. Every failure must be one line that says what and where, with its exit code, and leave nothing behind.
set -euo pipefail
build=$1 source=$2
dir=$(mktemp -d "${TMPDIR:-/tmp}/spanward-test-XXXXXX")
redis_pid=''
finish() {
    [[ -z $redis_pid ]] || { kill "$redis_pid" && wait "$redis_pid"; } 2>/dev/null || true
    rm -rf "$dir"
}
trap finish EXIT
export TMPDIR=$dir HOME=$dir NO_COLOR=1
unset SPANWARD_REDIS SPANWARD_CONFIG COLUMNS
PATH=$build:$PATH
sample=$source/docs/samples/branch.pcapng config=$source/docs/samples/branch.yaml

failures=0 checks=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }

# run CODE COMMAND...: runs it with stdout in out and stderr in err and checks the exit code
run() {
    local want=$1 got=0
    shift
    checks=$((checks + 1))
    "$@" >"$dir/out" 2>"$dir/err" </dev/null || got=$?
    ((got == want)) || fail "exit $got instead of $want: $* -- $(head -c 300 "$dir/err")"
}
says() { # FILE TEXT: the last run's out or err holds the text
    checks=$((checks + 1))
    grep -qF -- "$2" "$dir/$1" || fail "'$2' is not in $1: $(head -c 400 "$dir/$1")"
}
one_line() { # the last run said one line on stderr, and it names $1
    checks=$((checks + 1))
    (($(wc -l <"$dir/err") == 1)) || fail "not one line: $(cat "$dir/err")"
    [[ ! -s $dir/out ]] || fail "output with an error: $(head -c 200 "$dir/out")"
    says err "$1"
}
clean() { # nothing but our own files is left in the temporary directory, no child runs on
    checks=$((checks + 1))
    local left
    left=$(find "$dir" -mindepth 1 -maxdepth 1 -name 'spanward-*' | wc -l)
    ((left == 0)) || fail "$left temporary directories left"
}

# ---- a whole capture ----
run 0 spanward read "$sample" --config "$config" --utc
clean
for text in 'both directions' 'packets offered' 'Branch-12~DC' 'Branch-07~DC' intranet 'Worst flows' 'Next'; do
    says out "$text"
done
run 0 env COLUMNS=80 spanward read "$sample" --config "$config" --no-next
checks=$((checks + 1))
width=$(LC_ALL=C.UTF-8 wc -L <"$dir/out")
((width <= 80)) || fail "$width columns wide instead of 80"

run 0 spanward read "$sample" --config "$config" --json
cp "$dir/out" "$dir/json"
[[ ! -s $dir/err ]] || fail "--json wrote on stderr: $(cat "$dir/err")"
for type in flow path service ledger verdict; do
    says out "{\"type\":\"$type\","
done
run 0 spanward-probe --read "$sample" --config "$config" --json
checks=$((checks + 1))
cmp -s "$dir/json" "$dir/out" || fail "spanward read --json differs from the probe's records"

from_stdin() { "${@:2}" <"$1"; }
run 0 from_stdin "$sample" spanward read - --config "$config" --json
checks=$((checks + 1))
diff <(grep -v '"type":"\(event\|mirror\|ledger\|verdict\)"' "$dir/json") <(grep -v '"type":"\(event\|mirror\|ledger\|verdict\)"' "$dir/out") >/dev/null ||
    fail 'the records of standard input differ from those of the file'
mkfifo "$dir/fifo"
cat "$sample" >"$dir/fifo" &
run 0 spanward read "$dir/fifo" --config "$config"
says out 'Branch-12~DC'

# ---- bad input ----
run 1 spanward read "$dir/missing.pcap"
one_line "$dir/missing.pcap"
: >"$dir/empty.pcap"
run 1 spanward read "$dir/empty.pcap"
one_line "$dir/empty.pcap"
head -c 5000 /bin/sh >"$dir/program.pcap"
run 1 spanward read "$dir/program.pcap"
one_line "$dir/program.pcap"
run 1 spanward read "$dir/program.pcap" --json
one_line "$dir/program.pcap"
clean

head -c 700000 "$sample" >"$dir/cut.pcapng"
run 3 spanward read "$dir/cut.pcapng" --config "$config"
says err "$dir/cut.pcapng"
says out 'Branch-12~DC'
checks=$((checks + 1))
(($(wc -l <"$dir/err") == 1)) || fail "a cut capture is one warning: $(cat "$dir/err")"
run 3 spanward read "$dir/cut.pcapng" --json
says out '"type":"ledger"'

printf 'capture:\n  flow: 1024\n' >"$dir/wrong.yaml"
run 1 spanward read "$sample" --config "$dir/wrong.yaml"
one_line "$dir/wrong.yaml:2"
run 1 spanward read "$sample" --config "$dir/none.yaml"
one_line "$dir/none.yaml"
run 1 spanward read "$sample" --redis "unix:$dir/none.sock"
says err "$dir/none.sock"
run 2 spanward read "$sample" --colour
one_line '--colour'
clean

# ---- output that cannot be written ----
to_full() { "$@" >/dev/full; }
first_line() { { "$@" || true; } | head -n 1; }
run 1 to_full spanward read "$sample" --json
says err 'No space left on device'
run 1 to_full spanward read "$sample"
says err 'No space left on device'
run 1 spanward-probe --read "$sample" --records /dev/full
says err 'No space left on device'
for form in --json --utc; do
    run 0 first_line spanward read "$sample" $form
    checks=$((checks + 1))
    [[ ! -s $dir/err ]] || fail "a reader that goes away is no error: $(cat "$dir/err")"
done
clean

# ---- the same through Redis ----
redis-server --port 0 --unixsocket "$dir/redis.sock" --dir "$dir" --save '' --appendonly no >"$dir/redis.log" 2>&1 &
redis_pid=$!
for ((i = 0; i < 100; i++)); do
    [[ ! -S $dir/redis.sock ]] || break
    sleep 0.05
done
url=unix:$dir/redis.sock
run 0 spanward read "$sample" --config "$config" --redis "$url" --name test-sensor
for command in status sensors paths services flows; do
    run 0 spanward $command --redis "$url" --json
    says out test-sensor
    run 0 spanward $command --redis "$url" --sensor test-sensor
done
run 0 spanward paths --redis "$url" --tier base
run 0 spanward paths 'Branch-12~DC' --redis "$url" --since 10m
says out TIME
run 0 spanward status --redis "$url"
says out 'both directions'
for command in events incidents problems tickets; do
    run 0 spanward $command --redis "$url" --json
done

# ---- starts at once ----
# What makes a program slow to start is what it is linked with; how long that takes is the machine's affair.
checks=$((checks + 1))
if ldd "$build/spanward" | grep -q librte_; then fail 'spanward is linked with DPDK'; fi
checks=$((checks + 1))
libraries=$(ldd "$build/spanward" | wc -l)
((libraries <= 20)) || fail "spanward is linked with $libraries libraries"

echo "$checks checks, $failures failures"
((failures == 0))
