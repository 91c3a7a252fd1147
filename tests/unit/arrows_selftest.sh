#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Plants one breach of each rule in a tree of its own and requires that arrows.sh (its path is $1) finds just that one.
set -euo pipefail
arrows=$1
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
spdx='/* SPDX-License-Identifier: BSD-3-Clause */'
failures=0

try() { # FILE LINE: with that line in that file the check must fail and name the file
    local file=$1 line=$2 out
    mkdir -p "$tree/$(dirname "$file")"
    printf '%s\n%s\n' "$spdx" "$line" >"$tree/$file"
    if out=$(bash "$arrows" "$tree"); then
        echo "not found: $line in $file"
        failures=$((failures + 1))
    elif [[ $out != "$file:2:"* || $out != *"1 breaches" ]]; then
        echo "found, but reported badly: $line in $file: $out"
        failures=$((failures + 1))
    fi
    rm "$tree/$file"
}

allow() { # FILE LINE: no breach
    mkdir -p "$tree/$(dirname "$1")"
    printf '%s\n%s\n' "$spdx" "$2" >"$tree/$1"
    bash "$arrows" "$tree" || { echo "wrongly refused: $2 in $1"; failures=$((failures + 1)); }
    rm "$tree/$1"
}

try common/x.c '#include "store/store.h"'
try store/x.h '#include "dataplane/batch.h"'
try dataplane/x.c '#include "store/schema.h"'
try dataplane/decode/x.c '#  include "analytics/drain.h"'
try analytics/x.c '#include "control/problem.h"'
try control/x.c '#include "common/record.h"'
try control/x.c '#include "analytics/drain.h"'
try common/x.c '#include "../store/store.h"'
try analytics/x.c '#include <rte_ring.h>'
try apps/control.c '#include <rte_eal.h>'
try control/x.c '#include <hiredis/hiredis.h>'
try apps/x.c '#include <hiredis.h>'
try tests/unit/x.c '#include <hiredis/async.h>'
try analytics/x.c 'const char *key = "sw1:{a}:b";'
allow dataplane/x.c '#include <rte_mbuf.h>'
allow apps/probe.c '#include <rte_eal.h>'
allow store/x.c '#include <hiredis/hiredis.h>'
allow store/y.c 'const char *key = "sw1:%s";'
allow control/x.c '#include "store/schema.h"'

mkdir -p "$tree/scripts"
echo 'echo hello' >"$tree/scripts/x"
if bash "$arrows" "$tree" >/dev/null; then
    echo "a file without SPDX line was not found"
    failures=$((failures + 1))
fi
rm "$tree/scripts/x"
bash "$arrows" "$tree" || failures=$((failures + 1))
exit $((failures > 0))
