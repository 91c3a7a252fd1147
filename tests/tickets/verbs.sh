#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# verbs.sh BUILD SOURCE webhook|rt: what people do with a ticket, from the command line to the ticketing system.
#
# Three problems and two incidents are filed; then control follows Redis while each verb of `spanward ticket` is given by
# the real command line. Of each: the answer, the state in the store, the message in the system (a webhook's receiver, or
# Request Tracker's own database), and the audit with who, when and what. Then what must be refused, in one line.
# shellcheck disable=SC1091,SC2154,SC2317 # variables and functions of servers.sh; what is called by name
set -euo pipefail
build=$1 source=$2 system=$3
dir=$(mktemp -d "${TMPDIR:-/tmp}/spanward-test-XXXXXX")
# shellcheck source=tests/tickets/servers.sh
. "$source/tests/tickets/servers.sh"
finish() { stop_all; rm -rf "$dir"; }
trap finish EXIT
unset SPANWARD_REDIS SPANWARD_CONFIG COLUMNS SUDO_USER
export HOME=$dir NO_COLOR=1

spanward() { "$build/spanward" "$@" --redis "$redis_url" --timeout 20 >"$dir/out" 2>"$dir/err"; }
done_as() { # ACTOR ANSWER VERB...: done, and answered with just that
    spanward ticket "${@:3}" --as "$1" || { cat "$dir/err"; return 1; }
    equals "$(tail -n 1 "$dir/out")" "$2"
}
refused() { # CODE TEXT ARGUMENT...: that exit code, one line that holds the text, and nothing on stdout
    local code=0
    spanward "${@:3}" || code=$?
    equals "$code $(wc -l <"$dir/err") $(wc -c <"$dir/out")" "$1 1 0" || return
    grep -qF -- "$2" "$dir/err" || { cat "$dir/err"; false; }
}
# One member of one entity in the store, as text.
stored() { # KIND ID MEMBER
    redis-cli -s "$dir/redis/sock" --raw hget "sw1:{ctl}:$1" "$2" |
        perl -MJSON::PP -e 'local $/; my $j = decode_json(<STDIN>); binmode STDOUT, ":utf8"; print $j->{$ARGV[0]}, "\n"' "$3"
}
# The last thing that was done with a ticket: who, what, with which words, and whether; "when" must be now, by the clock.
last_done() { # TICKET
    spanward ticket show "$1" --json
    perl -MJSON::PP -e 'local $/; my $j = decode_json(<STDIN>);
        my ($x) = sort { $b->{given_wall_ns} <=> $a->{given_wall_ns} } @{$j->{history}};
        my $age = time - $x->{given_wall_ns} / 1e9;
        printf "%s|%s|%s|%s%s\n", $x->{actor}, $x->{derived}{verb}, $x->{derived}{said} // "", $x->{derived}{done} ? "done" : "refused",
            $age > -2 && $age < 120 && $x->{at_ns} > 0 ? "" : "|at a wrong time"' <"$dir/out"
}

# --- the two systems: arrived OPERATION TICKET TEXT, within ten seconds ---

start_webhook() {
    hook_secret=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw hook_port=$(free_port)
    echo "$hook_secret" >"$dir/secret"
    : >"$dir/book.json"
    start_hook
    config=("webhook:" "  url: http://127.0.0.1:$hook_port/hook" "  secret_file: $dir/secret")
}
start_hook() {
    start hook "$build/tests/tickets/hook-book" "$hook_port" "$dir/book" "$hook_secret"
    hook=$pid
    wait_port "$hook_port" 5
}
has_webhook() {
    local type
    case $1 in
    update | accept-risk) type=ticket.updated ;;
    comment) type=ticket.commented ;;
    close) type=ticket.closed ;;
    resolve) type=ticket.resolved ;;
    esac
    perl -MJSON::PP -ne 'my $j = decode_json($_); utf8::encode($j->{data}{body});
        $found = 1 if $j->{type} eq $ARGV0 && $j->{data}{ticket} eq $ARGV1 && index($j->{data}{body}, $ARGV2) >= 0;
        BEGIN { ($ARGV0, $ARGV1, $ARGV2) = splice @ARGV, 0, 3 } END { exit !$found }' "$type" "$2" "$3" "$dir/book.json"
}
start_rt_system() {
    make_rt "$source"
    start_rt
    config=('rt:' "  url: http://127.0.0.1:$rt_port" "  token_file: $rt_token")
}
has_rt() { # contents may be quoted-printable
    local id status
    id=$(stored ticket "$2" remote_id)
    case $1 in close | resolve) status="= 'resolved'" ;; *) status="IN ('new', 'open')" ;; esac
    [[ $(rt_sql "SELECT COUNT(*) > 0 FROM Transactions x JOIN Attachments a ON a.TransactionId = x.id
        JOIN Tickets t ON t.id = x.ObjectId AND x.ObjectType = 'RT::Ticket'
        WHERE t.id = $id AND x.Type = 'Comment' AND t.Status $status AND instr(replace(a.Content, '=' || char(10), ''), '$3') > 0") == 1 ]]
}
arrived() { # OPERATION TICKET TEXT
    for _ in {1..100}; do
        "has_$system" "$@" && return
        sleep 0.1
    done
    false
}

start_redis
if [[ $system == rt ]]; then start_rt_system; else start_webhook; fi
{
    printf 'sensor:\n  state_dir: %s\ntime:\n  zone: UTC\ntickets:\n  mode: file\n  settle: 1s\n' "$dir/state"
    printf '  %s\n' "${config[@]}"
} >"$dir/config.yaml"
"$build/tests/tickets/make-faults" 5 "$dir/truth" 6 >"$dir/faults"
control=("$build/spanward-control" --config "$dir/config.yaml" --redis "$redis_url")
"${control[@]}" --replay "$dir/faults" >"$dir/replay.log" 2>&1
holds 'three problems and two incidents are five tickets' grep -q '20 incidents, 3 problems, 5 tickets; 0 messages wait' \
    "$dir/replay.log"
start control "${control[@]}"

# --- what is done ---

holds 'ack takes a problem' done_as ann 'PRB-1 has an owner: ann' ack TKT-1
holds 'so it has an owner' equals "$(stored problem PRB-1 owner) $(stored problem PRB-1 state)" 'ann assigned'
holds 'which is told' arrived update TKT-1 'owner: ann'
holds 'and kept' equals "$(last_done TKT-1)" 'ann|ack||done'
holds 'a second one changes nothing' done_as bob 'PRB-1 is with ann already (assigned)' ack prb-1
holds 'ack of an incident' done_as ann 'INC-19 is acknowledged by ann' ack TKT-4
holds 'is its state' equals "$(stored incident INC-19 state)" acked
holds 'and kept, too' equals "$(last_done INC-19)" 'ann|ack||done'

holds 'assign hands it on' done_as ann 'PRB-1 is with north-team now' assign PRB-1 north-team
holds 'to its new owner' equals "$(stored problem PRB-1 owner)" north-team
holds 'who is told' arrived update TKT-1 'owner: north-team'
holds 'with his name in the audit' equals "$(last_done TKT-1)" 'ann|assign|north-team|done'
holds 'an incident may have an owner' done_as ann 'INC-19 is with bob now' assign TKT-4 bob
holds 'of its own' equals "$(stored incident INC-19 owner)" bob

holds 'a comment' done_as 'eve' 'TKT-2: comment is on its way' comment TKT-2 'carrier <b>called</b>,' 'test on Friday'
holds 'arrives as it is, with its author' arrived comment TKT-2 'carrier <b>called</b>, test on Friday'
holds 'and is kept' equals "$(last_done TKT-2)" 'eve|comment|carrier <b>called</b>, test on Friday|done'

holds 'a change is linked' done_as ann 'PRB-2: change CHG0077' link-change TKT-2 CHG0077
holds 'to the problem' equals "$(stored problem PRB-2 change)" CHG0077
holds 'and told' arrived update TKT-2 CHG0077
holds 'and kept with its number' equals "$(last_done TKT-2)" 'ann|link-change|CHG0077|done'

holds 'resolve' done_as bob 'PRB-1 is resolved: from now on clean slots are counted' resolve TKT-1 replaced the SFP \
    --change CHG-9
holds 'means that it is being verified' equals "$(stored problem PRB-1 state) $(stored problem PRB-1 fix)" \
    'verifying replaced the SFP'
holds 'with the change that did it' equals "$(stored problem PRB-1 change)" CHG-9
holds 'which is told' arrived resolve TKT-1 'replaced the SFP'
holds 'and the ticket stays open here' equals "$(stored ticket TKT-1 state)" open
holds 'and it is kept' equals "$(last_done TKT-1)" 'bob|resolve|replaced the SFP|done'

holds 'merge of problems' done_as ann 'TKT-2 goes on as PRB-3' merge TKT-2 TKT-3
holds 'ends the one' equals "$(stored problem PRB-2 state) $(stored ticket TKT-2 state)" 'duplicate closed'
holds 'keeps its faults with the other' equals \
    "$(grep -c "$(stored problem PRB-2 fingerprint)" <<<"$(stored problem PRB-3 members)")" 1
holds 'closes its ticket with where it goes on' arrived close TKT-2 'goes on as PRB-3, TKT-3'
holds 'and is kept' equals "$(last_done TKT-2)" 'ann|merge|TKT-3|done'
holds 'merge of incidents' done_as ann 'TKT-5 goes on as INC-19' merge TKT-5 INC-19
holds 'makes a member' equals "$(stored incident INC-20 parent) $(stored ticket TKT-5 state)" 'INC-19 closed'
holds 'whose ticket is closed' arrived close TKT-5 ''

holds 'a risk is accepted' done_as ann 'PRB-3: the risk is accepted until 2027-03-31, by cto: site closes in March' \
    accept-risk TKT-3 'site closes in March' --until 2027-03-31 --approver cto --utc
holds 'as a state' equals "$(stored problem PRB-3 state) $(stored problem PRB-3 approver)" 'risk_accepted cto'
holds 'that expires' equals "$(stored problem PRB-3 accepted_until_ns)" "$(date -u -d 2027-03-31 +%s)000000000"
holds 'and is told' arrived accept-risk TKT-3 'until 2027-03-31, by cto: site closes in March'
holds 'and kept' equals "$(last_done TKT-3)" 'ann|accept-risk|site closes in March|done'

spanward ticket show TKT-1
holds 'show tells all of it' grep -q '^  State: verifying; owner: north-team. replaced the SFP' "$dir/out"
holds 'what was told' grep -qE '^ +[0-9]+ +'"$system"' +resolve +sent' "$dir/out"
holds 'what was done' grep -qE 'bob +resolve +replaced the SFP +PRB-1 is resolved' "$dir/out"
holds 'nothing waits any more' spanward outbox
holds 'and that is said' grep -q 'Nothing waits and nothing is dead' "$dir/err"

# --- messages by hand, while the system is away ---

number_waiting() { # of the only message that waits and was tried; it is shown with its reason
    for _ in {1..50}; do
        spanward outbox
        awk '$5 == "pending" && $6 > 0 { print $1; found = 1 } END { exit !found }' "$dir/out" && return
        sleep 0.1
    done
}
if [[ $system == webhook ]]; then
    stop "$hook"
    holds 'a comment while it is away' done_as ann 'TKT-3: comment is on its way' comment TKT-3 'while you were away'
    number=$(number_waiting)
    holds 'waits with the reason' grep -q "Couldn't connect to server" "$dir/out"
    start_hook
    holds 'is tried again by hand' spanward outbox retry "$number"
    holds 'and arrives' arrived comment TKT-3 'while you were away'
    stop "$hook"
    holds 'another one' done_as ann 'TKT-3: comment is on its way' comment TKT-3 'never mind'
    number=$(number_waiting)
    holds 'is given up' spanward outbox drop "$number"
    holds 'which is said' equals "$(cat "$dir/out")" "message $number is dropped"
    start_hook
    holds 'nothing waits' spanward outbox
    holds 'indeed' grep -q 'Nothing waits and nothing is dead' "$dir/err"
    holds 'and it never came' equals "$(grep -c 'never mind' "$dir/book.json")" 0
    holds 'what was given up is shown' spanward outbox --state dropped
    holds 'with its number' grep -q "^ *$number " "$dir/out"
fi

# --- what is refused: one line, not zero, nothing changed ---

before=$(redis-cli -s "$dir/redis/sock" --raw hvals 'sw1:{ctl}:problem' | sort | sha256sum)
for verb in ack 'assign x' 'comment x' 'resolve x' 'link-change CHG1' 'merge TKT-1' 'accept-risk x --until 90d'; do
    read -r name rest <<<"$verb"
    # shellcheck disable=SC2086 # words
    holds "$name of a ticket that is not there" refused 1 'no ticket TKT-99; see: spanward tickets' ticket "$name" TKT-99 $rest
    holds "$name of nothing" refused 2 "$name what? Give a ticket" ticket "$name"
    holds "$name of something else" refused 2 "$name what? Give a ticket" ticket "$name" Branch-12
done
for verb in assign comment resolve link-change merge accept-risk; do
    holds "$verb without its words" refused 2 "usage: spanward ticket $verb ID" ticket "$verb" TKT-1
    holds "$verb with empty words" refused 1 '' ticket "$verb" TKT-3 '' --until 90d
done
holds 'ack with a word too many' refused 2 'usage: spanward ticket ack ID' ticket ack TKT-1 now
holds 'a verb that is not there' refused 2 "did you mean 'resolve'?" ticket resolv TKT-1
holds 'resolved twice' refused 1 'PRB-1 is verifying: it cannot be changed by resolve' ticket resolve TKT-1 again
holds 'resolved without a problem' refused 1 'INC-19 ends by itself' ticket resolve TKT-4 again
holds 'a risk of an incident' refused 1 'TKT-4 is no problem' ticket accept-risk TKT-4 x --until 90d
holds 'a risk without an end' refused 2 'needs --until' ticket accept-risk TKT-3 x
holds 'a risk that ended' refused 1 'a day in the future' ticket accept-risk TKT-3 x --until 2026-01-01
holds 'a day that is none' refused 2 '--until wants a day' ticket accept-risk TKT-3 x --until tomorrow
holds 'merged with itself' refused 1 'TKT-1 and PRB-1 are one' ticket merge TKT-1 PRB-1
holds 'merged into what is over' refused 1 'nothing can be merged into it' ticket merge TKT-1 TKT-2
holds 'a problem with an incident' refused 1 'not of one kind' ticket merge TKT-1 TKT-4
holds 'shown without a ticket' refused 1 'no ticket for TKT-99' ticket show TKT-99
holds 'a message that was sent' refused 1 'no message 1 waits or is dead' outbox retry 1
holds 'a message that is not there' refused 1 'no message 999 waits or is dead' outbox drop 999
holds 'messages in a state that is none' refused 2 "no state 'lost'" outbox --state lost
holds 'no problem has changed' equals \
    "$(redis-cli -s "$dir/redis/sock" --raw hvals 'sw1:{ctl}:problem' | sort | sha256sum)" "$before"
holds 'and what was refused is kept as refused' equals "$(last_done TKT-2 | cut -d '|' -f 4)" 'done'

echo "$checks checks, $failures failures"
((failures == 0)) || { tail -n 5 "$dir/control.log" "$dir/replay.log"; exit 1; }
