#!/bin/bash
# The compiler of the fuzz build (RUSTC_WRAPPER): only our own crates are instrumented. libFuzzer then follows our branches and not
# those of the XML parser, and runs nearly twice as many inputs a second.
rustc=$1
shift
if [[ " $* " != *" --crate-name portcullis"* ]]; then
    args=()
    for arg in "$@"; do
        [[ $arg == -Cpasses=sancov-module || $arg == -Cllvm-args=-sanitizer-coverage* ]] || args+=("$arg")
    done
    set -- "${args[@]}"
fi
exec "$rustc" "$@"
