# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables of those who source it
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
    local i
    for ((i = 0; i < $2 * 10; i++)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0
        sleep 0.1
    done
    return 1
}
wait_http() { # SECONDS CURL-ARGUMENT...
    local i
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

# Request Tracker 5 with SQLite. Sets $rt_port, $rt_token (a file); RT's own tools see it by RT_SITE_CONFIG. BcryptCost
# is the least, since RT verifies the token anew with each request: 0.25 s of CPU at its default of 12, of 0.27 s in all.
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
	Set(\$BcryptCost, 4);
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

# Redmine with SQLite: a copy of Debian's, with the empty database that the package made. Sets $redmine_port and
# $redmine_key (a file), $redmine_alice_key (a person's). One start of Rails makes the project and everything in it.
start_redmine() {
    local i home=$dir/redmine db=/var/lib/dbconfig-common/sqlite3/redmine/instances/default/redmine_default site
    [[ -d /usr/share/redmine && -r $db ]] || skip 'no redmine, redmine-sqlite'
    redmine_port=$(free_port) redmine_key=$dir/redmine.key
    cp -a /usr/share/redmine "$home"
    rm "$home/instances" "$home/config/database.yml" "$home/Gemfile.lock"
    cp -L /usr/share/redmine/Gemfile.lock "$home/"
    site=$home/instances/default
    mkdir -p "$site"/{config,files,log,tmp,public/plugin_assets}
    cp "$db" "$dir/redmine.db"
    printf 'production:\n  adapter: sqlite3\n  database: %s\n  timeout: 10000\n' "$dir/redmine.db" >"$site/config/database.yml"
    cp "$site/config/database.yml" "$home/config/database.yml"
    head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$site/config/secret_key.txt"
    cat >"$home/test.ru" <<-'END'
	require File.expand_path('config/environment', __dir__)
	Setting.rest_api_enabled = 1
	def person(login, last, admin = false)
	  u = User.new(firstname: last, lastname: last, mail: "#{login}@example.org", admin: admin)
	  u.login = login
	  u.password = u.password_confirmation = 'long-password-1'
	  u.save!
	  u
	end
	p = Project.create!(name: 'Network', identifier: 'spanward', is_public: false, tracker_ids: Tracker.pluck(:id),
	                    enabled_module_names: ['issue_tracking'])
	f = IssueCustomField.new(name: 'Spanward key', field_format: 'string', is_filter: true)
	f.tracker_ids = Tracker.pluck(:id)
	f.projects = [p]
	f.save!
	role = Role.find_by(name: 'Manager')
	%w[spanward alice].each do |login|
	  u = person(login, login.capitalize)
	  Member.create!(principal: u, project: p, roles: [role])
	  File.write(File.join(ENV['KEYS'], "#{login}.key"), u.api_key)
	end
	run RedmineApp::Application
	END
    export KEYS=$dir
    (cd "$home" && exec env RUBYLIB="$(echo /usr/share/rubygems-integration/all/gems/webrick-*/lib)" \
        RAILS_ENV=production BUNDLE_GEMFILE="$home/Gemfile" setsid \
        bundle exec rackup -s webrick -E production -o 127.0.0.1 -p "$redmine_port" test.ru) >>"$dir/redmine.log" 2>&1 </dev/null &
    started+=("$!")
    redmine_pid=$!
    for ((i = 0; i < 300; i++)); do
        if [[ -s $dir/alice.key ]] || ! kill -0 "$redmine_pid" 2>/dev/null; then break; fi
        sleep 0.2
    done
    redmine_key=$dir/spanward.key redmine_alice_key=$dir/alice.key
    wait_http 60 -H "X-Redmine-API-Key: $(<"$redmine_key")" "http://127.0.0.1:$redmine_port/users/current.json" ||
        { tail "$dir/redmine.log"; return 1; }
}

start_alertmanager() { # sets $am_port
    command -v prometheus-alertmanager >/dev/null || skip 'no prometheus-alertmanager'
    am_port=$(free_port)
    printf 'route:\n  receiver: none\nreceivers:\n  - name: none\n' >"$dir/am.yml"
    start alertmanager prometheus-alertmanager --config.file="$dir/am.yml" --storage.path="$dir/am" \
        --web.listen-address="127.0.0.1:$am_port" --cluster.listen-address= --log.level=error
    wait_http 20 "http://127.0.0.1:$am_port/api/v2/status" || { tail "$dir/alertmanager.log"; return 1; }
}

# Exim with STARTTLS required, and mail into a Maildir. Sets $smtp_port, $smtp_ca, $smtp_mail. Needs root: exim does.
start_smtpd() {
    command -v exim4 >/dev/null || skip 'no exim4-daemon-light'
    ((EUID == 0)) || skip 'exim takes a configuration from root only'
    smtp_port=$(free_port) smtp_ca=$dir/smtp.crt smtp_mail=$dir/mail
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        -keyout "$dir/smtp.key" -out "$smtp_ca" 2>/dev/null
    mkdir -p "$dir/spool" "$smtp_mail"
    chown Debian-exim "$dir/spool" "$smtp_mail" "$dir/smtp.key" "$smtp_ca"
    chmod 755 "$dir"
    cat >"$dir/exim.conf" <<-END
	primary_hostname = localhost
	spool_directory = $dir/spool
	log_file_path = $dir/spool/exim-%s.log
	pid_file_path = $dir/exim.pid
	local_interfaces = 127.0.0.1
	domainlist local = example.org
	tls_advertise_hosts = *
	tls_certificate = $smtp_ca
	tls_privatekey = $dir/smtp.key
	tls_on_connect_ports =
	acl_smtp_mail = check_mail
	acl_smtp_rcpt = check_rcpt
	keep_environment =
	begin acl
	check_mail:
	  deny ! encrypted = *
	       message = 530 Must issue a STARTTLS command first
	  accept
	check_rcpt:
	  accept local_parts = noc
	  deny message = 550 no such user
	begin routers
	all:
	  driver = accept
	  transport = keep
	begin transports
	keep:
	  driver = appendfile
	  directory = $smtp_mail
	  maildir_format
	  user = Debian-exim
	END
    start exim exim4 -bdf -oX "127.0.0.1.$smtp_port" -C "$dir/exim.conf"
    smtpd_pid=$pid
    wait_port "$smtp_port" 10 || { tail "$dir/exim.log" "$dir"/spool/exim-*.log; return 1; }
}

# For tests: each check is counted, and told when it fails.
failures=0 checks=0
holds() { # TEXT COMMAND...
    checks=$((checks + 1))
    "${@:2}" && return
    echo "FAILED: $1"
    failures=$((failures + 1))
}
equals() { [[ $1 == "$2" ]] || { echo "  got: $1"; echo "  not: $2"; false; }; }
