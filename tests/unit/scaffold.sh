#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# scaffold.sh SOURCE: in a copy of the tree, starts one plug-in of each kind with scripts/new, builds the libraries that
# take them in, without optimisation, and runs the tests that came with them: each is in its table, and does its work.
set -euo pipefail
source=$1
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
failures=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
refused() { # ARGUMENT...: scripts/new says why in one line, and changes nothing
    local said
    if said=$("$copy/scripts/new" "$@" 2>&1); then fail "not refused: $*"; fi
    (($(wc -l <<<"$said") == 1)) || fail "not one line for $*: $said"
}
sum() { (cd "$copy" && find . -type f -not -path './build/*' -print0 | sort -z | xargs -0 sha256sum | sha256sum); }

for part in common store dataplane analytics control apps scripts tests meson.build meson_options.txt; do
    cp -r "$source/$part" "$copy/"
done
"$copy/scripts/new" decoder scaffold_tag 0x88b6
"$copy/scripts/new" connector scaffold_journal

before=$(sum)
refused decoder scaffold_tag 0x88b5
refused decoder scaffold_other 0x88b6
refused decoder scaffold_other 0x0100
refused decoder tcp
refused connector scaffold_journal
refused connector 'Name with blanks'
refused colour scaffold_red
[[ $(sum) == "$before" ]] || fail "a refusal changed files"

meson setup "$copy/build" "$copy" --buildtype=plain -Doptimization=0 >"$copy/log" 2>&1 ||
    { tail -n 20 "$copy/log"; exit 1; }
ninja -C "$copy/build" -j 2 tests/test_decode_scaffold_tag tests/test_connector_scaffold_journal \
    >"$copy/log" 2>&1 || { tail -n 40 "$copy/log"; exit 1; }
for name in decode_scaffold_tag connector_scaffold_journal; do
    "$copy/build/tests/test_$name" || fail "test_$name"
done
if command -v clang-format >/dev/null; then
    clang-format --style="file:$source/.clang-format" --dry-run --Werror "$copy"/*/decode/*.[ch] \
        "$copy"/tests/unit/test_*_scaffold_*.c "$copy"/control/connectors/*.[ch] || fail 'layout'
fi
((failures == 0))
