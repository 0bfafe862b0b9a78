#!/bin/bash
# run.sh TARGET SECONDS [OPTION…]: runs a fuzz target that is built. New inputs go to target/fuzz-corpus and are used again;
# only what was found and mended is committed to corpus/.
set -euo pipefail
cd "$(dirname "$0")"
target=$1 seconds=$2
shift 2
new=../target/fuzz-corpus/$target
mkdir -p "$new" "artifacts/$target"
options=(-max_total_time="$seconds" -max_len=4096 -timeout=30 -artifact_prefix="artifacts/$target/" -print_final_stats=1)
[ ! -f "dict/$target.dict" ] || options+=(-dict="dict/$target.dict")
# These reach so much code that the bookkeeping of the usual schedule (Entropic) takes three times as long as the run itself.
[[ $target != form && $target != line ]] || options+=(-entropic=0)
log=../target/fuzz-$target.log
if ! "target/$(rustc -vV | sed -n 's/^host: //p')/release/$target" "$new" "corpus/$target" "${options[@]}" "$@" > "$log" 2>&1; then
    tail -n 60 "$log" >&2
    echo "FAILED: $target; the input is in fuzz/artifacts/$target" >&2
    exit 1
fi
echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs, $(sed -n 's/^stat::average_exec_per_sec: *//p' "$log") per second"
