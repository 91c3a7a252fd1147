#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# real.sh BUILD SOURCE rt|redmine|notify: control with a real ticketing system, from --check-config to what people do there.
#
#   rt, redmine   what is missing is said; ten faults become ten tickets; nothing is filed twice by a store that forgot;
#                 a person takes one, names a change and resolves it, and that arrives here; five more runs change nothing
#   notify        Alertmanager and a mail server at once: alerts with their labels, resolved; mails in threads, over TLS
# shellcheck disable=SC1091,SC2154 # variables of servers.sh
set -euo pipefail
build=$1 source=$2 system=$3
dir=$(mktemp -d "${TMPDIR:-/tmp}/spanward-test-XXXXXX")
# shellcheck source=tests/tickets/servers.sh
. "$source/tests/tickets/servers.sh"
finish() { stop_all; rm -rf "$dir"; }
trap finish EXIT
unset SPANWARD_REDIS SPANWARD_CONFIG
export HOME=$dir NO_COLOR=1


control() { "$build/spanward-control" --config "$dir/config.yaml" --redis "$redis_url" "$@" >"$dir/control.log" 2>&1; }
# Until nothing waits any more: a real system on a busy machine takes its time.
deliver_all() {
    for _ in {1..12}; do
        control "$@" || return 1
        ! grep -q '; 0 messages wait' "$dir/control.log" || return 0
    done
    return 1
}
check_config() { "$build/spanward-control" --check-config --config "$dir/config.yaml" >"$dir/check.log" 2>&1; }
entity() { redis-cli -s "$dir/redis/sock" --raw hvals "sw1:{ctl}:$1"; }
field() { grep -o "\"$1\":\"[^\"]*\"" | cut -d '"' -f 4; }
config() { printf 'sensor:\n  state_dir: %s\ntime:\n  zone: UTC\ntickets:\n  mode: file\n  max_per_hour: 0\n  poll: 1s\n  settle: 3s\n  retry_most: 3s\n  breaker: 1s\n' "$dir/state"
    printf '  %s\n' "$@"; }

"$build/tests/tickets/make-faults" 10 "$dir/truth" >"$dir/faults" # ten that go on to the end

make_rt_person() { # a token of root's
    # shellcheck disable=SC2016 # perl's variables
    perl -I"$tickets_lib/lib" -MRT -e 'RT->LoadConfig; RT->Init; my $u = RT::User->new(RT->SystemUser); $u->Load("root");
        my ($ok, $why, $secret) = RT::AuthToken->new(RT->SystemUser)->Create(Owner => $u->Id, Description => "test");
        print $secret' 2>/dev/null >"$dir/root.token"
}
rt_right() { # GrantRight|RevokeRight RIGHT: of our user on our queue
    # shellcheck disable=SC2016 # perl's variables
    perl -I"$tickets_lib/lib" -MRT -e 'RT->LoadConfig; RT->Init; my ($do, $right) = @ARGV;
        my ($u, $q) = (RT::User->new(RT->SystemUser), RT::Queue->new(RT->SystemUser));
        $u->Load("spanward"); $q->Load("Spanward"); $u->PrincipalObj->$do(Right => $right, Object => $q)' "$@" 2>/dev/null
}
rt_api() { curl -sf -H "Authorization: token $(<"$dir/root.token")" -H 'Content-Type: application/json' "${@:2}" \
    "http://127.0.0.1:$rt_port/REST/2.0/$1"; }

# Two people write at once. We read TKT-2, which somebody has renamed; before our PUT arrives, he takes it and gives it
# another priority: RT answers 412, we read again, and what he did stays.
rt_conflict() {
    local id port puts
    id=$(entity ticket | grep '"id":"TKT-2"' | field remote_id)
    rt_api "ticket/$id" -X PUT -d '{"Subject":"renamed by hand"}' >/dev/null
    # shellcheck disable=SC2016 # for the proxy's shell
    printf 'sleep 1.1; curl -sf -X PUT -H "Authorization: token $(cat %s)" -H "Content-Type: application/json" %s -d %s\n' \
        "$dir/root.token" "http://127.0.0.1:$rt_port/REST/2.0/ticket/$id" "'{\"Owner\":\"root\",\"Status\":\"stalled\"}'" \
        >"$dir/faster.sh"
    port=$(free_port)
    start proxy "$build/tests/tickets/fault-proxy" "$port" "$rt_port" 1 0 PUT "sh $dir/faster.sh >/dev/null"
    local proxy=$pid
    wait_port "$port" 5
    cp "$dir/config.yaml" "$dir/config.straight"
    sed -i "s,http://127.0.0.1:$rt_port,http://127.0.0.1:$port," "$dir/config.yaml"
    "$build/spanward" ticket link-change TKT-2 CHG77 --redis "$redis_url" --timeout 0 >/dev/null 2>&1 || true
    holds 'a change on our side is sent' deliver_all --once
    stop "$proxy"
    mv "$dir/config.straight" "$dir/config.yaml"
    puts=$(grep "^PUT /REST/2.0/ticket/$id " "$dir/proxy.log" | cut -d ' ' -f 3 | xargs)
    holds 'RT refuses what was written on an old reading, and takes the next' equals "$puts" '412 200'
    holds 'ours arrived, theirs stayed' equals "$(rt_sql "SELECT t.Status, u.Name, t.Subject LIKE 'A%' FROM Tickets t
        JOIN Users u ON u.id = t.Owner WHERE t.id = $id")" $'stalled\troot\t1'
    holds 'and the comment is there once' equals "$(rt_sql "SELECT COUNT(*) FROM Transactions WHERE ObjectType = 'RT::Ticket'
        AND ObjectId = $id AND Type = 'Comment'")" 1
}

# Somebody moves a ticket to a queue that the connector does not see: the daily comparison takes it for moved, not lost.
rt_moved() {
    local id
    id=$(entity ticket | grep '"id":"TKT-3"' | field remote_id)
    rt_api queue -X POST -d '{"Name":"Elsewhere"}' >/dev/null
    rt_api "ticket/$id" -X PUT -d '{"Queue":"Elsewhere"}' >/dev/null
    sed 's/^tickets:/tickets:\n  reconcile: 1s/' "$dir/config.yaml" >"$dir/compare.yaml"
    start compare "$build/spanward-control" --config "$dir/compare.yaml" --redis "$redis_url"
    for _ in {1..100}; do
        [[ $(compared TKT-3) -gt 0 && $(compared TKT-4) -gt 0 ]] && break
        sleep 0.1
    done
    stop "$pid"
    holds 'a ticket that was moved was looked for' test "$(compared TKT-3)" -gt 0
    holds 'and is not filed again' equals "$(rt_sql 'SELECT COUNT(*) FROM Tickets')" 10
    holds 'but kept' equals "$(entity ticket | grep '"id":"TKT-3"' | field remote_id)" "$id"
    rt_api "ticket/$id" -X PUT -d '{"Queue":"Spanward"}' >/dev/null
}
compared() { entity ticket | grep "\"id\":\"$1\"" | grep -o '"reconciled_wall_ns":[0-9]*' | cut -d : -f 2; }

test_rt() {
    make_rt "$source"
    make_rt_person
    start_rt
    config 'rt:' "  url: http://127.0.0.1:$rt_port" "  token_file: $rt_token" '  queue: Nowhere' >"$dir/config.yaml"
    holds 'a queue that is missing is an exit code of its own' equals "$(check_config; echo $?)" 4
    holds 'and told with how to make it' grep -q 'Nowhere is not there.*setup-rt' "$dir/check.log"
    config 'rt:' "  url: http://127.0.0.1:$rt_port" "  token_file: $rt_token" '  field: Other' >"$dir/config.yaml"
    holds 'a field that is missing, too' equals "$(check_config; echo $?)" 4
    holds 'is named' grep -q 'custom field Other is not on the queue' "$dir/check.log"
    config 'rt:' "  url: http://127.0.0.1:$rt_port" "  token_file: $rt_token" >"$dir/config.yaml"
    holds 'what setup-rt made is good' check_config
    holds 'setup-rt does nothing the second time' equals \
        "$("$source/scripts/setup-rt" --token-file "$rt_token" 2>/dev/null | grep -c -E ': (made|put|gave|wrote)')" 0
    holds 'ten faults are filed' deliver_all --replay "$dir/faults"
    local right
    for right in ModifyTicket CommentOnTicket; do
        rt_right RevokeRight "$right"
        holds "the right $right that is missing" equals "$(check_config; echo $?)" 4
        holds 'is named' grep -q "the right $right is missing.*setup-rt" "$dir/check.log"
        rt_right GrantRight "$right"
    done
    holds 'with all rights it is good again' check_config
    holds 'as ten tickets' equals "$(rt_sql 'SELECT COUNT(*), COUNT(DISTINCT Subject) FROM Tickets')" $'10\t10'
    # Redis forgets all but what makes the same keys: the tickets are found, not made again.
    local install
    install=$(redis-cli -s "$dir/redis/sock" --raw get 'sw1:{ctl}:meta' | field install)
    local id
    id=$(entity ticket | grep '"TKT-1"' | field remote_id)
    rt_api "ticket/$id" -X PUT -d '{"Owner":"root"}' >/dev/null
    rt_api "ticket/$id/comment" -X POST -d '{"Content":"It was change CHG0042, see there","ContentType":"text/plain"}' >/dev/null
    rt_api "ticket/$id" -X PUT -d '{"Status":"resolved"}' >/dev/null
    sleep 1.1 # tickets.poll
    holds 'the next run reads it back' deliver_all --once
    local ticket
    ticket=$(entity ticket | grep '"id":"TKT-1"')
    holds 'its owner' equals "$(field remote_owner <<<"$ticket")" root
    holds 'its state' equals "$(field remote_state <<<"$ticket")" resolved
    holds 'as commands of that person' equals "$(entity audit | grep -c '"actor":"rt:root"')" 3
    holds 'the change is named' grep -q CHG0042 <<<"$(entity audit)"
    holds 'the incident is his now' equals "$(entity incident | grep '"ticket":"TKT-1"' | field owner)" root
    for _ in 1 2 3; do control --once; done
    holds 'nothing is read twice' equals "$(entity audit | grep -c '"actor":"rt:root"')" 3
    rt_conflict
    rt_moved
    redis-cli -s "$dir/redis/sock" flushall >/dev/null
    # A new state with the old installation's name: the store came back from an old backup.
    redis-cli -s "$dir/redis/sock" set 'sw1:{ctl}:meta' "{\"install\":\"$install\",\"version\":1,\"zone\":\"UTC\"}" >/dev/null
    holds 'a store that forgot files again' deliver_all --replay "$dir/faults"
    holds 'and finds what is there' equals "$(rt_sql 'SELECT COUNT(*) FROM Tickets')" 10
    holds 'all ten' equals "$(entity connector | grep -o '"found":[0-9]*')" '"found":10'
}

redmine_api() { curl -sf -H "X-Redmine-API-Key: $(<"$redmine_alice_key")" -H 'Content-Type: application/json' "${@:2}" \
    "http://127.0.0.1:$redmine_port/$1"; }

# A comment full of markup, as Redmine has it, through each of Redmine's formats: nothing of it becomes a tag that acts.
redmine_markup() {
    local id
    id=$(entity ticket | grep '"id":"TKT-2"' | field remote_id)
    "$build/spanward" ticket comment TKT-2 '![i](http://evil/x.png) [l](http://evil/) <img src=http://evil/x> </pre> <script>a</script>
~~~~~~~~
!http://evil/y.png! "m":http://evil/ {{include(x)}} </pre
    ~~~~
<b>bold</b>' --redis "$redis_url" --timeout 0 >/dev/null 2>&1 || true
    holds 'a comment full of markup is sent' deliver_all --once
    redmine_api "issues/$id.json?include=journals" >"$dir/marked.json"
    # shellcheck disable=SC2016 # ruby's variables
    holds 'and does nothing in Markdown, CommonMark and Textile' ruby -rjson -rredcarpet -rcommonmarker -e '
        note = JSON.parse(File.read(ARGV[0]))["issue"]["journals"].map { |j| j["notes"].to_s }.find { |n| n.include?("evil") } or
            abort "no such note"
        markdown = Redcarpet::Markdown.new(Redcarpet::Render::HTML.new(filter_html: true, hard_wrap: true), autolink: false,
            fenced_code_blocks: true, space_after_headers: true, tables: true, strikethrough: true, superscript: true,
            no_intra_emphasis: true, footnotes: true, lax_spacing: true, underline: true).render(note)
        common = CommonMarker.render_html(note, [:UNSAFE, :FOOTNOTES, :STRIKETHROUGH_DOUBLE_TILDE], [:table, :strikethrough])
        require "active_support/all"
        require "/usr/share/redmine/lib/redmine/helpers/url"
        require "/usr/share/redmine/lib/redmine/wiki_formatting/textile/redcloth3"
        textile = RedCloth3.new(note, [:filter_html]).to_html(:block_markdown_rule, :block_textile_prefix, :inline_textile_image)
        bad = {"Markdown" => markdown, "CommonMark" => common, "Textile" => textile}.select { |_, html|
            html =~ /<(img|a|script|b)\b/i or not html.include?("evil/y.png") }
        bad.each { |name, html| puts name, html }
        exit bad.empty?' "$dir/marked.json"
}

test_redmine() {
    start_redmine
    config 'redmine:' "  url: http://127.0.0.1:$redmine_port" "  key_file: $redmine_key" '  resolved: Nonsense' >"$dir/config.yaml"
    holds 'a status that is missing' equals "$(check_config; echo $?)" 4
    holds 'is named' grep -q 'status Nonsense is not there' "$dir/check.log"
    config 'redmine:' "  url: http://127.0.0.1:$redmine_port" "  key_file: $redmine_key" >"$dir/config.yaml"
    holds 'the right settings are good' check_config
    holds 'ten faults are filed' deliver_all --replay "$dir/faults"
    holds 'as ten issues' grep -q '"total_count":10,' <<<"$(redmine_api 'issues.json?status_id=*')"
    local id alice
    id=$(entity ticket | grep '"TKT-1"' | field remote_id)
    alice=$(redmine_api users/current.json | grep -o '"id":[0-9]*' | head -n 1 | cut -d : -f 2)
    redmine_api "issues/$id.json" -X PUT \
        -d "{\"issue\":{\"assigned_to_id\":$alice,\"status_id\":3,\"notes\":\"It was change CHG0043\"}}" >/dev/null
    sleep 1.1 # tickets.poll
    holds 'the next run reads it back' deliver_all --once
    local ticket
    ticket=$(entity ticket | grep '"id":"TKT-1"')
    holds 'its owner' equals "$(field remote_owner <<<"$ticket")" 'Alice Alice'
    holds 'its state' equals "$(field remote_state <<<"$ticket")" resolved
    holds 'the change is named' grep -q CHG0043 <<<"$(entity audit)"
    local before
    before=$(entity audit | wc -l)
    for _ in 1 2 3; do control --once; done
    holds 'nothing is read twice' equals "$(entity audit | wc -l)" "$before"
    redmine_markup
    "$build/tests/tickets/make-faults" 40 "$dir/truth" >"$dir/faults2"
    redis-cli -s "$dir/redis/sock" flushall >/dev/null
    holds 'faults that end are closed' deliver_all --replay "$dir/faults2"
    holds 'in Redmine' equals "$(redmine_api 'issues.json?status_id=closed&limit=100' | grep -o '"total_count":[0-9]*')" '"total_count":20'
}

test_notify() {
    start_alertmanager
    start_smtpd
    config "ca_file: $smtp_ca" 'alertmanager:' "  url: http://127.0.0.1:$am_port" 'smtp:' "  url: smtp://localhost:$smtp_port" \
        '  from: spanward@example.org' '  to: noc@example.org' >"$dir/config.yaml"
    holds 'both answer' check_config
    sed -i "/ca_file/d" "$dir/config.yaml"
    holds 'a certificate that nobody knows is refused' equals "$(check_config; echo $?)" 4
    config "ca_file: $smtp_ca" 'alertmanager:' "  url: http://127.0.0.1:$am_port" 'smtp:' "  url: smtp://localhost:$smtp_port" \
        '  from: spanward@example.org' '  to: noc@example.org' >"$dir/config.yaml"
    "$build/tests/tickets/make-faults" 40 "$dir/truth" >"$dir/faults"
    holds 'forty faults are told' deliver_all --replay "$dir/faults"
    holds 'those that go on are alerts' equals \
        "$(curl -sf "http://127.0.0.1:$am_port/api/v2/alerts?filter=alertname=SpanwardFault" | grep -o '"ticket":' | wc -l)" 20
    sleep 1
    local mails opened closed
    mails=$(find "$smtp_mail/new" -type f | wc -l)
    opened=$(grep -L '^In-Reply-To:' "$smtp_mail"/new/* | wc -l)
    holds 'each has a mail that opens its thread' equals "$opened" 40
    holds 'and others that answer it' test "$mails" -ge 60
    holds 'every answer is to a mail that is there' equals "$(comm -13 \
        <(grep -h '^Message-ID:' "$smtp_mail"/new/* | cut -d ' ' -f 2 | sort -u) \
        <(grep -h '^In-Reply-To:' "$smtp_mail"/new/* | cut -d ' ' -f 2 | sort -u) | wc -l)" 0
    holds 'no mail came twice' equals "$(grep -h '^Message-ID:' "$smtp_mail"/new/* | sort | uniq -d | wc -l)" 0
    holds 'over TLS' equals "$(grep -h -c 'P=esmtps' "$dir/spool/exim-main.log")" "$mails"
    holds 'subjects are encoded words' grep -q '^Subject: =?UTF-8?B?' "$(find "$smtp_mail/new" -type f | head -n 1)"
    closed=$(control --once; find "$smtp_mail/new" -type f | wc -l)
    holds 'another run says nothing new' equals "$closed" "$mails"
}

start_redis
"test_$system"
echo "$checks checks, $failures failures"
((failures == 0)) || { tail -n 5 "$dir/control.log" "$dir/check.log"; exit 1; }
