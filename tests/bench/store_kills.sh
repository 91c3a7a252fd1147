#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# store_kills.sh BENCH_STORE [KILLS]: redis-server is killed under load, and spools that are too small are counted.
set -euo pipefail
bench=$1 kills=${2:-3}
command -v redis-server >/dev/null || { echo "skipped: redis-server is not installed"; exit 77; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/spanward-kills-XXXXXX")
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/kill" "$dir/drops"
"$bench" kill "$dir/kill" "$kills"
"$bench" drops "$dir/drops"
