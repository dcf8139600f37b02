//! `portcullis check`: everything that is wrong with the files, at once.

use policy::diagnostic::{Count, to_json};
use serde_json::json;

use crate::args::{CheckArgs, Global};
use crate::output::Output;
use crate::{Ended, block_on};

pub(crate) fn run(global: &Global, args: &CheckArgs, output: Output) -> Ended {
    global.refuse_admin()?;
    let options = server::Options { tests: !args.no_tests, ..global.options() };
    let found = block_on(server::check(&options))?;
    let Count { errors, warnings } = found.count();
    let ok = errors == 0 && (warnings == 0 || args.deny.is_none());
    output.json(&json!({
        "ok": ok,
        "errors": errors,
        "warnings": warnings,
        "diagnostics": to_json(&found),
    }));
    output.diagnostics(&found);
    if found.is_empty() {
        output.line("all is well");
    }
    Ok(u8::from(!ok))
}
