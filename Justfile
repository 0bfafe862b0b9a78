# All tasks of the project. `just --list` shows them.

set shell := ["bash", "-euo", "pipefail", "-c"]
set positional-arguments

export CLIPPY_CONF_DIR := justfile_directory() / ".ci"

install := "bash " + quote(justfile_directory() / "tests/live/lab/install.sh")

# Each server runs as its own user, so the scripts that start servers run as root.
root := if `id -u` == "0" { "" } else { "sudo --preserve-env=CI,PORTCULLIS_LAB,PORTCULLIS_LAB_KEEP,PORTCULLIS_BIN,PORTCULLIS_SERVERS,PORTCULLIS_ROUNDS,PORTCULLIS_SEED,PORTCULLIS_FULL,PORTCULLIS_ENGINE" }
python := root + " /usr/bin/python3 -B"

[private]
default:
    @just --list --unsorted

# Show a real ejabberd with portcullis and an admin at work (`just demo --keep` leaves it running for your own client)
demo *ARGS:
    @{{ install }} build client ejabberd-24.12
    @cargo build --locked
    @cd tests/live && {{ python }} demo.py "$@"

# Run all tests: Rust, then real servers and clients (`just test all` also installs ejabberd 26.07, in a Debian trixie below the lab's folder)
test WHAT="":
    #!/usr/bin/env bash
    set -euo pipefail
    case "{{ WHAT }}" in ""|all) ;; *) echo "usage: just test [all]" >&2; exit 2 ;; esac
    parts=(build client strace ejabberd-24.12 prosody-13 profanity converse)
    if [ "{{ WHAT }}" = all ] || [ -n "${CI:-}" ]; then parts+=(ejabberd-26.07); fi
    {{ install }} "${parts[@]}"
    cargo test --locked
    just live-all

# Damage every 64th byte of every file of a store (every byte of a small one), and let every write fail; prints what came of it (some ten minutes)
disk-faults ROUNDS="all":
    PORTCULLIS_FAULT_ROUNDS={{ ROUNDS }} cargo test --locked --test it -- disk_faults --nocapture --test-threads 1

# Run only the live tests, on the installed servers; arguments go to pytest (`just live --server prosody-13 -k chat`; servers may run side by side with `-m "not timing"`)
live *ARGS:
    @cargo build --locked
    @cd tests/live && {{ python }} -m pytest "$@"

# Run the live tests of all installed servers side by side, then those that measure time, one server after the other; output in target/live
live-all:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --locked
    {{ root }} true # asks for the password now, not in the background
    servers=()
    for server in ejabberd-24.12 ejabberd-26.07 prosody-13; do
        if [ -n "${CI:-}" ] || {{ install }} --have "$server"; then servers+=("$server"); else echo "SKIPPED: $server is not installed; \`just test all\` installs it" >&2; fi
    done
    logs=$PWD/target/live
    mkdir -p "$logs"
    cd tests/live
    failed=()
        # Prints the output of a run: all of it if the run failed, otherwise only the list of slowest tests and the summary.
    report() {
        echo "===== $1: exit code $2"
        if [ "$2" = 0 ]; then sed -n '/slowest/,$p' "$logs/$1.log"; else cat "$logs/$1.log"; failed+=("$1"); fi
    }
    pids=()
    for server in "${servers[@]}"; do
        {{ python }} -m pytest --server "$server" -m "not timing" --durations=20 > "$logs/$server.log" 2>&1 &
        pids+=($!)
    done
    for at in "${!servers[@]}"; do
        code=0; wait "${pids[$at]}" || code=$?
        report "${servers[$at]}" "$code"
    done
    for server in "${servers[@]}"; do
        code=0; {{ python }} -m pytest --server "$server" -m timing --durations=20 > "$logs/$server-timing.log" 2>&1 || code=$?
        [ "$code" != 5 ] || { echo "$server: no test measures time"; continue; }
        report "$server-timing" "$code"
    done
    [ ${#failed[@]} -eq 0 ] || { echo "FAILED: ${failed[*]}" >&2; exit 1; }

# Update docs/clients: screens of real clients with portcullis and ejabberd 24.12
clients:
    @{{ install }} client ejabberd-24.12 profanity converse
    @cargo build --locked
    @cd tests/live && {{ python }} -m pytest clients --server ejabberd-24.12 --screens {{ quote(justfile_directory() / "docs/clients") }}

# Update the examples in docs/admin-guide.md from one run with ejabberd 24.12
guide:
    @{{ install }} client ejabberd-24.12
    @cargo build --locked
    @cd tests/live && {{ python }} guide.py {{ quote(justfile_directory() / "docs/admin-guide.md") }}

# Cut the power of the store N times: the program is started on what a disk may then hold (`PORTCULLIS_SEED=7 just power-cut 5000` repeats a run)
power-cut N="1500":
    @{{ install }} client strace
    @cargo build --locked
    @cd tests/live && PORTCULLIS_ROUNDS={{ N }} {{ python }} -m pytest test_power_cut.py -s

# Flood a real server and the release build at full size: 100,000 sessions, 200 strangers, 5 million sources (`just floods --server prosody-13`)
floods *ARGS:
    @{{ install }} client
    @cargo build --release --locked
    @cd tests/live && PORTCULLIS_FULL=1 PORTCULLIS_BIN={{ quote(justfile_directory() / "target/release/portcullis") }} {{ python }} -m pytest test_floods.py -s "$@"

# Kill portcullis N times with SIGKILL while people work, and compare what was answered with what is in force
kill N="1000" *ARGS="":
    @{{ install }} client ejabberd-24.12 prosody-13
    @cargo build --locked
    @cd tests/live && shift || true; PORTCULLIS_ROUNDS={{ N }} {{ python }} -m pytest test_kill.py -s "$@"

# Run the program against a model server that fails in every way: `just simulate` 2,000 schedules from a random seed on, `just simulate 17 1` one of them again
simulate SEED="" ROUNDS="2000":
    #!/usr/bin/env bash
    set -euo pipefail
    seed="{{ SEED }}"
    export PORTCULLIS_SEED="${seed:-$((RANDOM * 32768 + RANDOM))}" PORTCULLIS_ROUNDS="{{ ROUNDS }}"
    echo "schedules from $PORTCULLIS_SEED on, $PORTCULLIS_ROUNDS of them"
    cargo test --locked --test it -- simulation::whatever --nocapture

# Measure the added login time with a real server, the hook module and 100,000 bans (`just measure --server prosody-13 --seconds 30`)
measure *ARGS:
    @cargo build --release --locked
    @cd tests/live && PORTCULLIS_BIN={{ quote(justfile_directory() / "target/release/portcullis") }} {{ python }} measure.py "$@"

# Check format, lints and documentation
check:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings
    cargo check --manifest-path fuzz/Cargo.toml --target-dir target/fuzz
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

# Check licences, sources and advisories of the dependencies; if the advisory database cannot be fetched, it says so and checks the rest
deny:
    @cargo deny --version >/dev/null 2>&1 || cargo install --locked cargo-deny
    cargo deny --config .ci/deny.toml check bans licenses sources
    @if cargo deny --config .ci/deny.toml fetch db 2>/dev/null; then cargo deny --config .ci/deny.toml check advisories; \
    else echo "SKIPPED: the advisory database cannot be fetched from here, so advisories were not checked" >&2; fi

# Lint the Prosody module and the live tests
lint:
    @{{ install }} lint
    cd server/prosody && luacheck --quiet .
    cd tests/live && "$({{ install }} --where)/lint/bin/ruff" check . && "$({{ install }} --where)/lint/bin/ruff" format --check .

# Check the ejabberd module with compiler warnings, xref and dialyzer, against each installed ejabberd (the first run takes minutes)
erlang-check:
    #!/usr/bin/env bash
    set -euo pipefail
    parts=(ejabberd-24.12)
    if [ -n "${CI:-}" ]; then parts+=(ejabberd-26.07); fi
    {{ install }} "${parts[@]}"
    {{ root }} bash server/ejabberd/check.sh

# Run the benchmarks, with reference loops and peers in the same run (`just bench store`; peers: Erlang, fail2ban's package); docs/measured.md has results
bench *NAMES:
    #!/usr/bin/env bash
    set -euo pipefail
    names=("$@")
    if [ $# -eq 0 ]; then names=(tracker store hook); fi
    for name in "${names[@]}"; do
        cargo bench --locked --bench "$name"
        [ "$name" = tracker ] || continue
        if command -v escript >/dev/null; then escript benches/peers/ets.escript; else echo "SKIPPED: ejabberd's table was not measured because Erlang is not installed" >&2; fi
        /usr/bin/python3 -B benches/peers/jail.py || true
    done

# Run a fuzz target for SECONDS, or with other options of libFuzzer (`just fuzz term 60`, `just fuzz term 0 -runs=10000000`); what it finds goes to fuzz/artifacts
fuzz TARGET="stanza" SECONDS="60" *OPTIONS: _fuzz-build
    @bash fuzz/run.sh "$@"

# Run all fuzz targets, two at a time, each for SECONDS, or with other options of libFuzzer
fuzz-all SECONDS="60" *OPTIONS: _fuzz-build
    @ls fuzz/fuzz_targets | sed 's/\.rs$//' | xargs -P 2 -I '{}' bash fuzz/run.sh '{}' {{ SECONDS }} {{ OPTIONS }}

# The compiler flags of fuzzing need nightly. The dependencies are those of the program.
_fuzz-build:
    @rustup run nightly rustc --version >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal
    @cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
    @cp Cargo.lock fuzz/Cargo.lock
    RUSTC_WRAPPER={{ quote(justfile_directory() / "fuzz/rustc.sh") }} cargo +nightly fuzz build --sanitizer none --codegen-units 16

# Open the documentation of the source in your browser
doc:
    cargo doc --locked --no-deps --document-private-items --open

# Remove the lab: data, logs, the ejabberd 26.07 system
clean-lab:
    {{ root }} rm -rf --one-file-system "$({{ install }} --where)"
