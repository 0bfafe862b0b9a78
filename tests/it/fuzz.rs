//! The properties of the fuzz targets, on the inputs in `fuzz/corpus/`: seeds, and everything the fuzzer once found.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

#[path = "../../fuzz/src/targets/mod.rs"]
mod targets;

#[test]
fn the_properties_of_all_fuzz_targets_hold_for_their_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut failed = Vec::new();
    for (name, target) in targets::ALL {
        let inputs = fs::read_dir(corpus.join(name)).unwrap();
        let mut number = 0;
        for input in inputs {
            let path = input.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            number += 1;
            if catch_unwind(|| target(&bytes)).is_err() {
                failed.push(path);
            }
        }
        assert!(number > 0, "{name} has no corpus");
    }
    assert!(failed.is_empty(), "{failed:?}");
}
