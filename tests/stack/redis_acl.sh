#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# redis_acl.sh BUILD SOURCE: probe, control and CLI with the users that scripts/redis-acl prints, against a real
# redis-server that lets nobody else in. Each does its work and Redis notes no refusal; what a role must not do is
# refused; a missing right, a wrong password and a wrong role are told in one line; no password shows anywhere.
set -euo pipefail
build=$1 source=$2
command -v redis-server >/dev/null || { echo 'skipped: no redis-server here'; exit 77; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/spanward-test-XXXXXX")
redis_pid=''
finish() {
    [[ -z $redis_pid ]] || { kill "$redis_pid" && wait "$redis_pid"; } 2>/dev/null || true
    rm -rf "$dir"
}
trap finish EXIT
export TMPDIR=$dir HOME=$dir NO_COLOR=1
unset SPANWARD_REDIS SPANWARD_CONFIG SPANWARD_REDIS_PASSWORD COLUMNS
PATH=$build:$PATH
sample=$source/docs/samples/branch.pcapng

failures=0 checks=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
run() { # CODE COMMAND...
    local want=$1 got=0
    shift
    checks=$((checks + 1))
    "$@" >"$dir/out" 2>"$dir/err" </dev/null || got=$?
    ((got == want)) || fail "exit $got instead of $want: $* -- $(head -c 300 "$dir/err")"
}
says() { # FILE TEXT
    checks=$((checks + 1))
    grep -qF -- "$2" "$dir/$1" || fail "'$2' is not in $1: $(head -c 400 "$dir/$1")"
}
admin() { redis-cli -s "$dir/redis.sock" --user boss --pass boss-secret --no-auth-warning "$@"; }
as() { # ROLE COMMAND...: one Redis command under the role's user
    local role=$1
    shift
    redis-cli -s "$dir/redis.sock" --user "spanward-$role" --pass "$(cat "$dir/pass/$role.pass")" --no-auth-warning "$@" 2>&1
}
no_refusals() {
    checks=$((checks + 1))
    local log
    log=$(admin ACL LOG)
    [[ -z $log ]] || fail "$1 was refused something: $log"
    admin ACL LOG RESET >/dev/null
}
refused() { # ROLE COMMAND...
    checks=$((checks + 1))
    [[ $(as "$@") == *NOPERM* ]] || fail "not refused: $*"
}

# A server whose default user is off; the roles' users come from the script, as an aclfile and by commands.
{
    echo 'user default off'
    echo 'user boss on >boss-secret allkeys allchannels +@all'
    "$source/scripts/redis-acl" --aclfile --passwords "$dir/pass" --sensor acl-sensor probe control
} >"$dir/users.acl"
redis-server --port 0 --unixsocket "$dir/redis.sock" --dir "$dir" --save '' --appendonly no --aclfile "$dir/users.acl" \
    >"$dir/redis.log" 2>&1 &
redis_pid=$!
for ((i = 0; i < 100; i++)); do
    [[ ! -S $dir/redis.sock ]] || break
    sleep 0.05
done
"$source/scripts/redis-acl" --passwords "$dir/pass" cli operator admin | admin >"$dir/out"
checks=$((checks + 1))
[[ $(sort -u "$dir/out") == OK && $(stat -c %a "$dir/pass/cli.pass") == 600 ]] || fail "redis-acl: $(cat "$dir/out")"

config_of() { # ROLE: the sample's configuration with this user
    {
        cat "$source/docs/samples/branch.yaml"
        printf '\nstore:\n  redis: unix:%s\n  user: spanward-%s\n  password_file: %s\n' "$dir/redis.sock" "$1" "$dir/pass/$1.pass"
    } >"$dir/$1.yaml"
}
grep -q '^store:' "$source/docs/samples/branch.yaml" && fail 'the sample has a store section; this test appends one'
for role in probe control cli operator admin; do config_of "$role"; done

# ---- each does its work ----
run 0 spanward-probe --read "$sample" --config "$dir/probe.yaml" --redis "unix:$dir/redis.sock" --name acl-sensor
no_refusals probe
run 0 spanward-control --once --dry-run --config "$dir/control.yaml"
no_refusals control
for command in status sensors paths services flows events incidents problems tickets; do
    run 0 spanward "$command" --config "$dir/cli.yaml" --json
done
run 0 spanward sensors --config "$dir/cli.yaml"
says out acl-sensor
run 0 spanward paths 'Branch-12~DC' --config "$dir/cli.yaml" --since 10m
no_refusals cli
checks=$((checks + 1))
(($(admin DBSIZE) > 20)) || fail "only $(admin DBSIZE) keys in the store"

# ---- and nothing else ----
refused probe SET 'sw1:{ctl}:meta' x
refused probe HSET 'sw1:{other}:sensor' a b
refused probe FLUSHALL
refused control HSET 'sw1:{acl-sensor}:sensor' a b
refused control DEL 'sw1:sensors'
refused control CONFIG GET dir
set -f # a * is a *
for command in 'SET x y' "HSET sw1:{ctl}:problem a b" "XADD sw1:{ctl}:inbox * a b" 'DEL sw1:sensors' 'KEYS *' 'EVAL return 0' 'ACL LIST'; do
    # shellcheck disable=SC2086 # words are meant to be split
    refused cli $command
done
set +f
refused cli GET other:key
refused operator XADD 'sw1:{ctl}:other' '*' a b
checks=$((checks + 1))
[[ $(as operator XADD 'sw1:{ctl}:inbox' '*' a b) == *-* ]] || fail 'operator cannot write to the inbox'
admin ACL LOG RESET >/dev/null

# All sensors but control: the patterns of a probe without a name.
"$source/scripts/redis-acl" --passwords "$dir/pass" probe | admin >/dev/null
for name in a c ct cta ctlx dctl 'B%C3'; do
    checks=$((checks + 1))
    [[ $(as probe HSET "sw1:{$name}:sensor" a b) == 1 ]] || fail "a probe may not be called $name"
done
refused probe HSET 'sw1:{ctl}:sensor' a b
refused probe HSET 'sw1:{ctl}:x}:y' a b
admin ACL LOG RESET >/dev/null

# ---- what is wrong is told, in one line, without a secret ----
echo 'not-the-password' >"$dir/wrong.pass"
chmod 600 "$dir/wrong.pass"
sed "s|password_file: .*|password_file: $dir/wrong.pass|" "$dir/cli.yaml" >"$dir/wrong.yaml"
run 1 spanward status --config "$dir/wrong.yaml"
says err WRONGPASS
checks=$((checks + 2))
(($(wc -l <"$dir/err") == 1)) || fail "not one line: $(cat "$dir/err")"
! grep -q not-the-password "$dir/err" || fail 'the password is in the message'
sed '/password_file/d' "$dir/cli.yaml" >"$dir/env.yaml"
run 0 env SPANWARD_REDIS_PASSWORD="$(cat "$dir/pass/cli.pass")" spanward status --config "$dir/env.yaml"
run 1 spanward status --config "$dir/env.yaml"
says err NOAUTH
chmod 644 "$dir/wrong.pass"
run 1 spanward status --config "$dir/wrong.yaml"
says err 'open to everybody'
run 1 spanward status --redis 'redis://u:hidden-word@127.0.0.1:1'
says err 'a password in --redis is seen by everybody'
checks=$((checks + 1))
! grep -q hidden-word "$dir/err" || fail 'the password is in the message'
run 1 spanward-probe --read "$sample" --redis 'redis://u:hidden-word@127.0.0.1:1'
says err 'a password in --redis is seen by everybody'
# A probe that may only read: told, counted, and its windows are not thrown away silently.
sed "s|spanward-probe|spanward-cli|; s|probe.pass|cli.pass|" "$dir/probe.yaml" >"$dir/mixed.yaml"
run 1 spanward-probe --read "$sample" --config "$dir/mixed.yaml" --redis "unix:$dir/redis.sock" --name acl-sensor
says err NOPERM
says err scripts/redis-acl

echo "Checks: $checks, Failures: $failures, Errors: 0"
((failures == 0))
