//! `portcullis check`: everything that is wrong with the files, at once.

use std::path::{Path, PathBuf};

use policy::diagnostic::{Count, to_json, to_sarif};
use serde_json::json;

use crate::args::{CheckArgs, CheckFormat, Global};
use crate::output::{Failure, Output};
use crate::paths::plain;
use crate::{Ended, block_on};

pub(crate) fn run(global: &Global, args: &CheckArgs, output: Output) -> Ended {
    global.refuse_admin()?;
    let format = format(global, args)?;
    let options = server::Options { tests: !args.no_tests, ..global.options() };
    let found = block_on(server::check(&options))?;
    let Count { errors, warnings } = found.count();
    let ok = errors == 0 && (warnings == 0 || args.deny.is_none());
    match format {
        CheckFormat::Human if found.is_empty() => output.line("all is well"),
        CheckFormat::Human => output.diagnostics(&found),
        CheckFormat::Json => {
            output.json(&json!({ "ok": ok, "errors": errors, "warnings": warnings, "diagnostics": to_json(&found) }));
            output.diagnostics_aside(&found);
        }
        CheckFormat::Sarif => {
            let places = Places::new(global)?;
            output.document(&to_sarif(&found, env!("CARGO_PKG_VERSION"), |path| places.locate(path)));
            output.diagnostics_aside(&found);
        }
    }
    Ok(u8::from(!ok))
}

/// `--json` means the same as `--format json`, and nothing beside another form.
fn format(global: &Global, args: &CheckArgs) -> Result<CheckFormat, Failure> {
    match (args.format, global.json) {
        (None | Some(CheckFormat::Json), true) => Ok(CheckFormat::Json),
        (Some(_), true) => {
            let problem = "`--json` and `--format` ask for two forms";
            Err(Failure::usage(problem).with_help("leave `--json` out, or `--format`"))
        }
        (format, false) => Ok(format.unwrap_or(CheckFormat::Human)),
    }
}

/// Where files are, seen from the current folder: build servers run commands at the root of the sources.
struct Places<'a> {
    current: PathBuf,
    dir: &'a Path,
    values: Option<&'a Path>,
}

impl<'a> Places<'a> {
    #[allow(clippy::disallowed_methods, reason = "the command line reads the environment")]
    fn new(global: &'a Global) -> Result<Self, Failure> {
        let current = std::env::current_dir();
        let current = current.map_err(|why| Failure::wrong(format!("the current folder is not to be found: {why}")))?;
        Ok(Places { current, dir: &global.dir, values: global.values.as_deref() })
    }

    /// The file of `--values` was named from the current folder, all others stand in the configuration's.
    fn locate(&self, path: &str) -> PathBuf {
        let named_here = self.values.is_some_and(|values| values.display().to_string() == path);
        let folder = if named_here { Path::new("") } else { self.dir };
        let whole = plain(&self.current.join(folder).join(path));
        whole.strip_prefix(&self.current).map(Path::to_owned).unwrap_or(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_seen_from_the_current_folder() {
        for (dir, values, path, expected) in [
            (".", None, "node.toml", "node.toml"),
            ("gateway", None, "policies/a.toml", "gateway/policies/a.toml"),
            ("./x/../gateway/", None, "node.toml", "gateway/node.toml"),
            ("/home/ci/repo/gateway", None, "node.toml", "gateway/node.toml"),
            ("../other", None, "node.toml", "/home/ci/other/node.toml"),
            ("gateway", Some("v.toml"), "v.toml", "v.toml"),
            ("gateway", Some("/etc/v.toml"), "/etc/v.toml", "/etc/v.toml"),
        ] {
            let places = Places { current: "/home/ci/repo".into(), dir: Path::new(dir), values: values.map(Path::new) };
            assert_eq!(places.locate(path), Path::new(expected), "{dir} {path}");
        }
    }
}
