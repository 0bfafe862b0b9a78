//! Files of events for a rehearsal: the same file gives the same result, in the order of its time, and a ban that is
//! told is one that a person could type.

use std::io::{self, Cursor};

use portcullis::core::Policy;
use portcullis::rehearse::{Stopped, run as rehearse};

pub fn run(data: &[u8]) {
    let (first, how) = played(data);
    let (second, again) = played(data);
    assert_eq!(first, second);
    assert_eq!(how, again);
    for line in first.lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect("a result is JSON");
        let subject = value["subject"]
            .as_str()
            .expect("a result names its subject");
        let parsed = portcullis::core::Subject::parse(subject).expect("a result names a subject");
        super::subject::reads_back(&parsed);
    }
}

fn played(data: &[u8]) -> (String, String) {
    let (mut out, mut notes) = (Vec::new(), 0);
    let result = rehearse(Policy::default(), Cursor::new(data), &mut out, |note| {
        notes += 1;
        drop(format!("{note:?}"));
        io::Result::Ok(())
    });
    let how = match result {
        Ok(()) => String::new(),
        Err(Stopped::Line(number, why)) => {
            let lines = data.split(|byte| *byte == b'\n').count();
            assert!((1..=lines).contains(&number));
            format!("{number} {why}")
        }
        Err(Stopped::Io(why)) => panic!("{why}"),
    };
    (
        String::from_utf8(out).expect("JSON is UTF-8"),
        format!("{how} {notes}"),
    )
}
