//! What a step expects.

use super::Reader;
use crate::settings::Spanned;
use crate::testing::file::table::{ExpectTable, ForwardedTable};
use crate::testing::file::values::{Expected, ExpectedHeader, Named, Scalar};
use crate::testing::model::{Expect, Forwarded, Message};

impl Reader<'_> {
    pub(super) fn expect(&mut self, table: ExpectTable) -> Expect {
        let upstreams = table.upstreams.0.into_iter().map(|(name, requests)| {
            let requests = requests.value.into_iter().map(|request| self.forwarded(request)).collect();
            (name, requests)
        });
        let upstreams = upstreams.collect();
        let attributes = table.attributes.0.into_iter();
        Expect {
            status: table.status.map(|status| status.0.0.as_u16()),
            outcome: table.outcome.map(|outcome| outcome.0),
            reason: table.reason.map(|reason| reason.value.0),
            path: table.path.map(|path| self.path(path)).unwrap_or_default(),
            message: self.message(table.headers, table.json, table.text),
            attributes: attributes.map(|(name, value)| (name, value.value.value().cloned())).collect(),
            stores: table.stores.0.into_iter().map(|(name, records)| (name, records.value)).collect(),
            upstreams,
            told: table.told.map(|lines| lines.into_iter().map(|line| line.value.0).collect()),
        }
    }

    fn forwarded(&mut self, table: ForwardedTable) -> Forwarded {
        Forwarded {
            method: table.method.map(|method| method.0.0),
            path: table.path.map(|path| path.value.0),
            message: self.message(table.headers, table.json, table.text),
        }
    }

    fn message(
        &mut self,
        headers: Named<ExpectedHeader>,
        json: Named<Expected>,
        text: Option<Spanned<Scalar>>,
    ) -> Message {
        let mut message = Message { text: text.map(|text| text.value.0), ..Message::default() };
        for (name, value) in headers.0 {
            if let Some(name) = self.header_name(&name) {
                message.headers.push((name, value.value.0));
            }
        }
        for (text, value) in json.0 {
            if let Some(path) = self.json_path(&text) {
                message.json.push((text.value, path, value.value.value().cloned()));
            }
        }
        message
    }

    fn path(&mut self, steps: Spanned<Vec<Spanned<Scalar>>>) -> Vec<String> {
        const OUTCOMES: &[&str] = &["success", "answered", "failure", "abort", "skipped"];
        if steps.value.is_empty() {
            let help = "the last filters that ran: path = [\"NAME:outcome\"]; or leave `path` out";
            self.error(steps.span, "`path` is empty, and every way ends so", help);
        }
        let steps = steps.value;
        for step in &steps {
            let parts = step.value.0.rsplit_once(':');
            if !parts.is_some_and(|(name, outcome)| !name.is_empty() && OUTCOMES.contains(&outcome)) {
                let help = "`NAME:outcome`, the outcome one of success, answered, failure, abort, skipped";
                self.error(step.span, format!("`{}` is no step", step.value.0), help);
            }
        }
        steps.into_iter().map(|step| step.value.0).collect()
    }
}
