//! `portcullis log`: how much a running node logs.

use server::admin::Client;
use server::admin::api::{AskLogLevel, LogLevels};

use crate::args::{Global, LogCommand, LogLevelArgs};
use crate::output::{Output, time};
use crate::{Ended, block_on};

pub(crate) fn run(global: &Global, command: &LogCommand, output: Output) -> Ended {
    global.refuse_values("a running node keeps those it was started with")?;
    let LogCommand::Level(LogLevelArgs { level, target, duration, back }) = command;
    let levels = block_on(async {
        let node = Client::new(&global.dir, global.admin)?;
        match level {
            Some(level) => {
                let seconds = duration.map(|duration| duration.as_secs());
                node.ask_log_level(&AskLogLevel { level: level.clone(), target: target.clone(), seconds }).await
            }
            None if *back => node.log_level_back().await,
            None => node.log_levels().await,
        }
    })??;
    output.json(&levels);
    output.line(text(&levels));
    Ok(0)
}

fn text(levels: &LogLevels) -> String {
    let targets: String = levels.targets.iter().map(|(target, level)| format!(", {target}: {level}")).collect();
    let how = match (levels.asked, levels.until) {
        (false, _) => String::from("as the settings say"),
        (true, None) => String::from("as was asked for, until it is taken back (--back) or the node ends"),
        (true, Some(until)) => format!("as was asked for, until {}", time(until)),
    };
    format!("{}{targets} ({how})", levels.level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_until_when() {
        let levels = |asked, until| {
            let targets = [(String::from("access"), String::from("warn"))].into();
            text(&LogLevels { level: String::from("info"), targets, asked, until })
        };
        assert_eq!(levels(false, None), "info, access: warn (as the settings say)");
        assert!(levels(true, Some(0)).contains("until 1970-01-01"));
    }
}
