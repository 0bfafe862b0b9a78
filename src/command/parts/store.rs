//! The state of the store, for `doctor`. `status` has it in rows of its own.

use crate::command::context::Context;
use crate::command::phrases::store_trouble;
use crate::delivery::ports::Gap;

/// The warnings: that the store takes no decisions, and that its file `head` was damaged at the start.
pub fn store_warnings(context: &Context) -> Vec<Gap> {
    let unwritten = context.admission.unwritten();
    let fault = unwritten.borrow().clone();
    let full = fault.map(|fault| Gap {
        what: format!("the store takes no decisions since {}", fault.since),
        effect: store_trouble(&fault),
        remedy: String::from(
            "Make room on the disk of the store; portcullis notices it by itself.",
        ),
    });
    let damaged = context.damaged_head.as_ref().map(|why| Gap {
        what: format!("the file head of the store was damaged when portcullis started: {why}"),
        effect: String::from(
            "Decisions at the end of the log may be lost, and nothing else tells. Ban numbers were left out, so that none is given twice.",
        ),
        remedy: String::from(
            "Look whether the last bans and un-bans that you know of are here (portcullis list), and check the disk.\ndocs/operator.md, \"When the store is damaged\", says how to get lost ones back.",
        ),
    });
    full.into_iter().chain(damaged).collect()
}
