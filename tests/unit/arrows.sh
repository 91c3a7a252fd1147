#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Checks the arrows of docs/ARCHITECTURE.md: arrows.sh ROOT. Prints every breach as file:line and what is wrong;
# exit 1 when there is one.
set -euo pipefail
cd "$1"
breaches=0

breach() { # lines "file:line:text" on stdin, the reason as $1
    while IFS= read -r line; do
        echo "$line  <- $1"
        breaches=$((breaches + 1))
    done
}

sources() { # C files below the folders given, those that exist
    local dirs=()
    for d in "$@"; do [[ -d $d ]] && dirs+=("$d"); done
    ((${#dirs[@]} == 0)) || find "${dirs[@]}" -type f \( -name '*.c' -o -name '*.h' -o -name '*.def' \) -print0 | sort -z
}

find_in() { # PATTERN DIR...: matching lines in C files
    local pattern=$1
    shift
    sources "$@" | xargs -0 -r grep -nHE -- "$pattern" || true
}

layer() { # FOLDER ALLOWED...: quoted includes with a path lead only to these folders
    local allowed
    allowed=$(IFS='|'; echo "$*")
    breach "$1 may include only $*" < <(find_in '^[[:space:]]*#[[:space:]]*include[[:space:]]*"[^"]*/' "$1" |
        grep -vE "include[[:space:]]*\"($allowed|\.\.)/[^\"]*\"" || true)
}

all=(common store dataplane analytics control apps tests)
layer common
layer store common
layer dataplane common
layer analytics common store
layer control common store

breach 'no way up in an include' < <(find_in 'include[[:space:]]*"[^"]*\.\./' "${all[@]}")
breach 'control never sees record.h' < <(find_in 'include.*record\.h' control)
breach '<rte_*.h> only in dataplane and apps/probe.c' < <(
    find_in 'include[[:space:]]*[<"]rte_' common store analytics control apps | grep -v '^apps/probe\.c:' || true)
breach '<hiredis.h> only in store' < <(
    find_in 'include[[:space:]]*[<"]([^>"]*/)?hiredis' common dataplane analytics control apps tests)
breach 'keys are built only in store' < <(find_in '"[^"]*sw1:' common dataplane analytics control apps)

while IFS= read -r -d '' f; do
    head -n 5 "$f" | grep -q 'SPDX-License-Identifier: BSD-3-Clause' ||
        breach 'no SPDX line within the first five' <<<"$f:1:"
done < <(
    sources "${all[@]}"
    find . -path './build*' -prune -o -path './.git' -prune -o -type f \
        \( -name meson.build -o -name '*.sh' -o -path './scripts/*' -o -path './.ci/*' \) -print0
)

if ((breaches > 0)); then
    echo "$breaches breaches"
    exit 1
fi
echo "the arrows hold"
