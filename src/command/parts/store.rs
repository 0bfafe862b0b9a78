//! The state of the store, for `doctor`. `status` has it in a row of its own.

use crate::command::context::Context;
use crate::command::phrases::store_trouble;
use crate::delivery::ports::Gap;

/// The warning that the store takes no decisions; `None` while it takes them.
pub fn store_warning(context: &Context) -> Option<Gap> {
    let unwritten = context.admission.unwritten();
    let fault = unwritten.borrow().clone()?;
    Some(Gap {
        what: format!("the store takes no decisions since {}", fault.since),
        effect: store_trouble(&fault),
        remedy: String::from(
            "Make room on the disk of the store; portcullis notices it by itself.",
        ),
    })
}
