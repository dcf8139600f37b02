//! The level of the log that somebody asked a running node for, until a time or until it is taken back. It goes before what node.toml and
//! the environment say.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::admin::api::{AskLogLevel, LogLevels, Refusal};
use crate::node::Node;
use crate::settings::{LogSettings, is_target, level};
use crate::tasks;

/// The longest time for which a level can be asked for: a day.
const LONGEST: u64 = 86_400;

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct AskedLevel {
    /// Of all targets.
    level: Option<&'static str>,
    /// Of some.
    targets: BTreeMap<String, &'static str>,
    /// Unix seconds.
    until: Option<u64>,
    /// Counts what was asked: what ends later than another was asked for ends nothing.
    number: u64,
}

impl AskedLevel {
    fn is_none(&self) -> bool {
        self.level.is_none() && self.targets.is_empty()
    }

    /// The filter, where something was asked for.
    pub(crate) fn directives(&self, settings: &LogSettings) -> Option<String> {
        if self.is_none() {
            return None;
        }
        let mut directives = self.level.unwrap_or(&settings.level).to_owned();
        let set = settings.targets.iter().map(|(target, level)| (target, level.as_str()));
        for (target, level) in set.chain(self.targets.iter().map(|(target, level)| (target, *level))) {
            let _ = write!(directives, ",{target}={level}");
        }
        Some(directives)
    }
}

/// How the log is.
pub(crate) fn show(node: &Node) -> LogLevels {
    let settings = node.generation.load().settings.node.log.clone();
    let asked = node.log_level().clone();
    let mut targets = settings.targets;
    targets.extend(asked.targets.iter().map(|(target, level)| (target.clone(), (*level).to_owned())));
    LogLevels {
        level: asked.level.map_or(settings.level, str::to_owned),
        targets,
        asked: !asked.is_none(),
        until: asked.until,
    }
}

/// Takes up what is asked for.
pub(crate) fn ask(node: &Arc<Node>, asked: &AskLogLevel) -> Result<LogLevels, Refusal> {
    let known = level(&asked.level).ok_or_else(|| {
        let message = format!("`{}` is no log level", asked.level);
        Refusal::invalid(message, "one of error, warn, info, debug, trace")
    })?;
    if let Some(target) = asked.target.as_ref().filter(|target| !is_target(target)) {
        let message = format!("`{target}` is no target of log lines");
        return Err(Refusal::invalid(message, "the word before the message in a line: `access`, `server::upstream`"));
    }
    if asked.seconds.is_some_and(|seconds| !(1..=LONGEST).contains(&seconds)) {
        return Err(Refusal::invalid(
            "a level is asked for for a second to a day",
            "leave the time out for as long as the node runs",
        ));
    }
    let number = {
        let mut level = node.log_level();
        match &asked.target {
            Some(target) => _ = level.targets.insert(target.clone(), known),
            None => level.level = Some(known),
        }
        level.until = asked.seconds.map(|seconds| node.now() + seconds);
        level.number += 1;
        level.number
    };
    node.tell_log_level();
    tracing::info!(target = asked.target, seconds = asked.seconds, "the log's level is {known}, as was asked for");
    if let Some(seconds) = asked.seconds {
        let node = node.clone();
        tasks::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            if node.log_level().number == number {
                go_back(&node);
            }
        });
    }
    Ok(show(node))
}

/// Back to what the settings say.
pub(crate) fn go_back(node: &Node) -> LogLevels {
    {
        let mut level = node.log_level();
        *level = AskedLevel { number: level.number + 1, ..AskedLevel::default() };
    }
    node.tell_log_level();
    tracing::info!("the log's level is what the settings say again");
    show(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_goes_before_the_settings() {
        let targets =
            [("access", "warn"), ("store", "debug")].map(|(target, level)| (target.to_owned(), level.to_owned()));
        let settings = LogSettings { targets: targets.into(), ..LogSettings::default() };
        let mut asked = AskedLevel::default();
        assert_eq!(asked.directives(&settings), None);
        asked.targets.insert(String::from("store"), "trace");
        assert_eq!(asked.directives(&settings).as_deref(), Some("info,access=warn,store=debug,store=trace"));
        asked.level = Some("error");
        assert_eq!(asked.directives(&settings).as_deref(), Some("error,access=warn,store=debug,store=trace"));
    }
}
