#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# cli.sh SPANWARD: the contract of `spanward detect`: fields echoed, one row each, label = 1 exactly where score >= 0.5,
# pipe and file alike, a bad row by its number with exit code 2.
set -euo pipefail
spanward=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() { echo "detect: $*" >&2; exit 1; }

{
    echo "timestamp,value"
    awk 'BEGIN { srand(5); for (i = 0; i < 3000; i++) printf "%d,%s\n", 1767225600 + 300 * i,
        i == 2000 ? "9e2" : i % 97 == 5 ? "" : sprintf("%.3f", 100 + 9 * (rand() + rand() + rand() - 1.5)) }'
} >"$dir/in.csv"
"$spanward" detect "$dir/in.csv" >"$dir/out.csv"
"$spanward" detect - <"$dir/in.csv" | cmp - "$dir/out.csv" || fail "a pipe scores otherwise than a file"
head -c 40000 "$dir/in.csv" | head -n -1 >"$dir/part.csv"
"$spanward" detect "$dir/part.csv" | cmp - <(head -n "$(wc -l <"$dir/part.csv")" "$dir/out.csv") || fail "not causal"
[[ $(head -n 1 "$dir/out.csv") == timestamp,value,anomaly_score,label ]] || fail "heading"
cmp <(tail -n +2 "$dir/in.csv") <(tail -n +2 "$dir/out.csv" | cut -d, -f1,2) || fail "fields are not as they were"
awk -F, 'NR > 1 && ($4 != ($3 >= 0.5) || $3 < 0 || $3 > 1 || ($2 == "" && $3 != 0)) { exit 1 }' "$dir/out.csv" ||
    fail "label and score disagree"
[[ $(sed -n 2002p "$dir/out.csv") == *,1 ]] || fail "the spike was not found"

printf 'timestamp,value\n0,1\n60,x\n120,2\n' >"$dir/bad.csv"
code=0
"$spanward" detect "$dir/bad.csv" >"$dir/bad.out" 2>"$dir/bad.err" || code=$?
((code == 2)) || fail "exit code $code for a bad row"
grep -q "line 3" "$dir/bad.err" || fail "no line number: $(cat "$dir/bad.err")"
[[ $(wc -l <"$dir/bad.out") == 2 ]] || fail "rows before a bad one are lost"
