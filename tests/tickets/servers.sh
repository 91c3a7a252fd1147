# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# For scripts that need real ticketing systems: each start_NAME runs a private instance on loopback with its database in
# $dir, and skips (77) when it is not installed. Sourced with $dir set; everything started here ends with stop_all.
started=()
tickets_lib=/usr/share/request-tracker5

skip() { echo "skipped: $*"; exit 77; }
note() { echo "$(basename "$0" .sh): $*"; }

start() { # NAME COMMAND...: in the background, log in $dir/NAME.log; $pid
    setsid "${@:2}" >>"$dir/$1.log" 2>&1 </dev/null &
    pid=$!
    started+=("$pid")
}
stop() { # PID: with all its children, which share its process group
    kill -TERM -- "-$1" 2>/dev/null || true
    for _ in {1..50}; do
        kill -0 -- "-$1" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL -- "-$1" 2>/dev/null || true
}
stop_all() {
    local one
    for one in "${started[@]}"; do kill -TERM -- "-$one" 2>/dev/null || true; done
    for one in "${started[@]}"; do stop "$one"; done
    wait 2>/dev/null || true
}
free_port() { # a port that nobody listens on just now
    local port
    for _ in {1..200}; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
    return 1
}
wait_port() { # PORT SECONDS
    for ((i = 0; i < $2 * 10; i++)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0
        sleep 0.1
    done
    return 1
}
wait_http() { # SECONDS CURL-ARGUMENT...
    for ((i = 0; i < $1 * 5; i++)); do
        curl -sf -o /dev/null --max-time 5 "${@:2}" && return 0
        sleep 0.2
    done
    return 1
}

start_redis() { # sets $redis_url
    command -v redis-server >/dev/null || skip 'no redis-server'
    mkdir -p "$dir/redis"
    start redis redis-server --port 0 --unixsocket "$dir/redis/sock" --dir "$dir/redis" --save '' --appendonly yes
    for _ in {1..100}; do [[ -S $dir/redis/sock ]] && break; sleep 0.05; done
    redis_url=unix:$dir/redis/sock
}

# Request Tracker 5 with SQLite. Sets $rt_port, $rt_token (a file); RT's own tools see it by RT_SITE_CONFIG.
make_rt() { # SOURCE
    [[ -x $tickets_lib/libexec/rt-server ]] || skip 'no request-tracker5, rt5-db-sqlite, rt5-standalone'
    rt_port=$(free_port)
    mkdir -p "$dir/rt/d"
    cat >"$dir/rt/RT_SiteConfig.pm" <<-END
	Set(\$rtname, 'rt.test');
	Set(\$Organization, 'test');
	Set(\$WebDomain, '127.0.0.1');
	Set(\$WebPort, $rt_port);
	Set(\$WebPath, '');
	Set(\$WebBaseURL, 'http://127.0.0.1:$rt_port');
	Set(\$DatabaseType, 'SQLite');
	Set(\$DatabaseName, '$dir/rt/db');
	Set(\$Timezone, 'UTC');
	Set(\$LogToSyslog, undef);
	Set(\$LogToSTDERR, 'error');
	Set(\$MailCommand, 'testfile');
	1;
	END
    export RT_SITE_CONFIG=$dir/rt/RT_SiteConfig.pm RT_SITE_CONFIG_DIR=$dir/rt/d
    rt-setup-database-5 --action init --skip-create >"$dir/rt/setup.log" 2>&1 || { tail "$dir/rt/setup.log"; return 1; }
    rt_token=$dir/rt/token
    "$1/scripts/setup-rt" --token-file "$rt_token" >"$dir/rt/spanward.log" 2>>"$dir/rt/setup.log" ||
        { tail "$dir/rt/setup.log"; return 1; }
}
start_rt() { # starts it, again if need be; sets $rt_pid
    start rt "$tickets_lib/libexec/rt-server" --port "$rt_port" --host 127.0.0.1 --max-workers "${1:-2}"
    rt_pid=$pid
    wait_http 60 -H "Authorization: token $(<"$rt_token")" "http://127.0.0.1:$rt_port/REST/2.0/rt" ||
        { tail "$dir/rt.log"; return 1; }
}
rt_sql() { # SQL: rows from RT's own database, columns separated by tabs
    # shellcheck disable=SC2016 # perl's variables
    perl -MDBI -e '
        my $db = DBI->connect("dbi:SQLite:dbname=$ARGV[0]", "", "", {RaiseError => 1});
        $db->do("PRAGMA busy_timeout = 10000");
        print join("\t", map { $_ // "" } @$_), "\n" for @{$db->selectall_arrayref($ARGV[1])};' "$dir/rt/db" "$1"
}
