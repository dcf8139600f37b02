//! `log`: writes a line to the node's log, target `policy`. In Oracle API Gateway: Log Message Payload, Trace.
//!
//! Secrets are kept out: a field whose name, or whose selector's last word, is one for a secret (`authorization`, `cookie`, `password`,
//! `token`, `secret`, `code` and the like) shows `[redacted]`, and so do members with such names inside of values, and whatever looks
//! like a token, a JWT or an `Authorization` anywhere, the message included. The filter never waits for a disk. Where the log's level
//! leaves the line out nothing is worked out for it.
//!
//! ```toml
//! [[filter]]
//! use     = "log"
//! level   = "info"
//! message = "an order from ${request.client_ip}"
//! fields  = { order = "${request.json:$ ??}", agent = "${request.header.user-agent ??}" }
//! redact  = ["$.card.number"]
//! secret  = ["iban"]
//! ```

use std::sync::Arc;

use policy::ports::{LogLevel, LogLine, Observer};
use policy::settings::Spanned;
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, Value,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::told::{self, Fields};
use crate::entries::Entries;

/// `use = "log"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// How grave it is: `debug`, `info` (default), `warn` or `error`.
    #[serde(default)]
    level: Level,
    /// What happened, for people.
    message: Dynamic<String>,
    /// What belongs to it, for programs: name and value, which keeps its type. A value that is absent on purpose (`${x ??}`) is left out.
    #[serde(default)]
    fields: Entries<Dynamic<Value>>,
    /// JSONPaths of what is not to be told in values of `fields`: `["$.card.number"]`.
    #[serde(default)]
    redact: Vec<Spanned<String>>,
    /// More names whose values are not to be told, in any case of their letters.
    #[serde(default)]
    secret: Vec<String>,
}

/// How grave.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Level {
    /// For whoever looks for a mistake.
    Debug,
    /// What happened.
    #[default]
    Info,
    /// What somebody should look at.
    Warn,
    /// What somebody must mend.
    Error,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "log";
    type Filter = Log;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Log, Diagnostics> {
        cx.shapes_nothing();
        let level = match self.level {
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        };
        Ok(Log {
            level,
            message: cx.dynamic(&self.message)?,
            fields: Fields::new(&self.fields, (&self.secret, &self.redact), cx)?,
            observer: told::observer(cx)?,
            place: told::place(cx),
        })
    }
}

/// The compiled filter.
pub(crate) struct Log {
    level: LogLevel,
    message: Getter<String>,
    fields: Fields,
    observer: Arc<dyn Observer>,
    place: Arc<str>,
}

impl Filter for Log {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        if !self.observer.wants(self.level) {
            return Ok(Outcome::Success);
        }
        Ok(match self.write(exchange) {
            Ok(()) => Outcome::Success,
            Err(reason) => Outcome::Failure(reason),
        })
    }
}

impl Log {
    fn write(&self, exchange: &Exchange) -> Result<(), Reason> {
        let message = told::text(&self.message, exchange)?;
        let fields = self.fields.object(exchange)?;
        let (id, place) = (&*exchange.request.id, &*self.place);
        self.observer.log(LogLine { level: self.level, id, place, message: &message, fields: &fields });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{get, post_json, recorded, told};

    #[test]
    fn a_line_has_level_message_and_fields() {
        let text = "[[filter]]\nuse = 'log'\nlevel = 'warn'\nmessage = '${request.method} it'\nfields = { n = 7, path = '${request.path}', none = '${request.query.x ??}' }\n\n[[filter]]\nuse = 'respond'";
        let (fixture, recorder) = recorded(text);
        assert_eq!(told(&fixture.run(get("/a", &[]))), "200");
        assert_eq!(recorder.lines(), ["Warn policies/tested.toml:4 GET it {\"n\":7,\"path\":\"/a\"}"]);
    }

    #[test]
    fn no_secret_is_told() {
        let text = "[[filter]]\nuse = 'log'\nmessage = 'with ${request.header.authorization}'\nredact = ['$.card.number']\nsecret = ['IBAN']\nfields = { body = '${request.json:$}', key = '${request.header[\"x-api-key\"]}', password = 'p', code = 1, uri = '${request.uri}', all = { iban = 'DE1' } }\n\n[[filter]]\nuse = 'respond'";
        let (fixture, recorder) = recorded(text);
        let body =
            r#"{"card":{"number":"GEHEIM","name":"Ann"},"access_token":"GEHEIM","deep":[{"clientSecret":"GEHEIM"}]}"#;
        let mut request = post_json("/a", body);
        request.query = Some("code=GEHEIM&x=1".into());
        for (name, value) in [("authorization", "Bearer GEHEIM"), ("x-api-key", "GEHEIM")] {
            request.headers.insert(name, value.parse().expect("a value"));
        }
        assert_eq!(told(&fixture.run(request)), "200");
        let lines = recorder.lines();
        assert!(lines.len() == 1 && !lines[0].contains("GEHEIM") && !lines[0].contains("DE1"), "{lines:?}");
        assert!(lines[0].contains("with Bearer [redacted]") && lines[0].contains("\"name\":\"Ann\""), "{lines:?}");
        assert!(lines[0].contains("code=[redacted]&x=1"), "{lines:?}");
    }

    #[test]
    fn settings_are_checked() {
        for (settings, said) in [
            ("message = 'a'\nlevel = 'loud'", "loud"),
            ("message = 'a'\nredact = ['card']", "is no JSONPath"),
            ("", "message"),
        ] {
            let (fixture, _) = recorded(&format!("[[filter]]\nuse = 'log'\n{settings}\n\n[[filter]]\nuse = 'respond'"));
            let problems = fixture.problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }
}
