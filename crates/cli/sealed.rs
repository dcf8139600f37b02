//! What `reencrypt` tells, whichever records it sealed anew.

use server::admin::api::{NotSealed, Sealed};

use crate::output::{Output, shown};

/// Tells what was sealed anew, and what could not be; gives the exit code.
pub(crate) fn tell(done: &Sealed, what: &str, output: Output) -> u8 {
    output.json(done);
    for NotSealed { record, refused } in &done.refused {
        output.note(format_args!("`{}`: {}", shown(record), shown(refused)));
    }
    output.line(format_args!("{} of {} {what} are sealed anew", done.sealed, done.records));
    if !done.refused.is_empty() {
        output.note(format_args!(
            "portcullis: {} stay as they are: give `[encryption]` the key that sealed them, or take them away",
            done.refused.len()
        ));
    }
    u8::from(!done.refused.is_empty())
}
