//! `docs/commands.md` is generated from the program and must be current.

use portcullis::command::manual::commands_md;

#[test]
fn the_manual_of_commands_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md");
    let page = commands_md();
    if std::env::var_os("PORTCULLIS_BLESS").is_some_and(|set| !set.is_empty()) {
        std::fs::write(path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == page,
        "docs/commands.md is out of date: run the tests once with PORTCULLIS_BLESS=1"
    );
}
