#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# docs_current.sh PRINT_DOCS DOCS [--write]: the generated documents must be what the tables say; --write makes them so.
set -euo pipefail
print_docs=$1 docs=$2 mode=${3:-}
stale=0
for name in CONFIG COUNTERS; do
    if [[ $mode == --write ]]; then
        "$print_docs" "$name" >"$docs/$name.md"
    elif ! diff -u "$docs/$name.md" <("$print_docs" "$name"); then
        echo "docs/$name.md is not up to date: run scripts/format"
        stale=1
    fi
done
exit $stale
