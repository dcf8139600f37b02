//! `metric`: counts something of your own, at `/metrics` as `portcullis_custom_NAME` and for a collector as `NAME`. In Oracle API
//! Gateway: custom attributes of message metrics.
//!
//! Labels take their values from requests, so no more than `most` different sets of values are kept apart: what is beyond is counted with
//! `other` in place of each. A name is one metric: filters that count it in several places have the same kind, help and labels.
//!
//! ```toml
//! [[filter]]
//! use    = "metric"
//! metric = "orders"
//! help   = "Orders by channel"
//! labels = { channel = "${request.header[\"x-channel\"] ?? web}" }
//!
//! [[filter]]
//! use     = "metric"
//! metric  = "order_items"
//! help    = "Items of an order"
//! kind    = "histogram"
//! value   = "${request.json:$.items}"
//! buckets = [1, 5, 10, 50]
//! ```

use std::borrow::Cow;
use std::sync::Arc;

use policy::ports::{Meter, MeterShape};
use policy::settings::Spanned;
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, ReasonCode,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::redact::{REDACTED, Redactor, scrub};
use super::told;
use crate::entries::Entries;

/// The amount is none that can be counted.
const BAD_AMOUNT: ReasonCode = ReasonCode::new("bad-amount");

/// Larger amounts are refused: sums of them would say nothing.
const LARGEST: f64 = 1e15;

/// `use = "metric"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Its name: lower case letters, digits and `_`, not beginning with a digit, at most 64.
    metric: Spanned<String>,
    /// What it counts, for people. Default: its name.
    help: Option<String>,
    /// `counter` (default): it adds up; or `histogram`: amounts by size.
    #[serde(default)]
    kind: Kind,
    /// How much. Default: 1. A counter takes no negative amount.
    value: Option<Dynamic<f64>>,
    /// Name and value of its labels; names as the metric's. At most 10.
    #[serde(default)]
    labels: Entries<Dynamic<String>>,
    /// Upper bounds of a histogram's buckets, rising. Default: 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10.
    buckets: Option<Spanned<Vec<f64>>>,
    /// How many different sets of the labels' values are kept apart, 1 to 10 000. Default: 100.
    most: Option<Spanned<u32>>,
}

/// Which kind of metric.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// It adds up.
    #[default]
    Counter,
    /// Amounts by size.
    Histogram,
}

/// Prometheus' own.
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl FilterConfig for Settings {
    const TYPE: &'static str = "metric";
    type Filter = Metric;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Metric, Diagnostics> {
        cx.shapes_nothing();
        let mut problems = Diagnostics::new();
        let names = [&self.metric].into_iter().chain(self.labels.0.iter().map(|(name, _)| name));
        for name in names.filter(|name| !is_name(&name.value)) {
            let help =
                "lower case letters, digits and `_`, not beginning with a digit, at most 64; `le` is a histogram's own";
            problems.push(cx.error(name.span, format!("`{}` is no name of a metric or a label", name.value), help));
        }
        if let Some((name, _)) = self.labels.0.get(10) {
            problems.push(cx.error(name.span, "a metric has at most 10 labels", "count fewer things apart"));
        }
        let most = self.most.as_ref().map_or(100, |most| most.value);
        if let Some(given) = self.most.as_ref().filter(|given| !(1..=10_000).contains(&given.value)) {
            problems.push(cx.error(given.span, format!("{} is out of bounds", given.value), "`most` is 1 to 10000"));
        }
        if let Some(buckets) = &self.buckets {
            let rising = buckets.value.windows(2).all(|pair| pair[0] < pair[1]);
            let finite = buckets.value.iter().all(|bound| bound.is_finite());
            if self.kind == Kind::Counter {
                let help = "write `kind = \"histogram\"`, or take them out";
                problems.push(cx.error(buckets.span, "a counter has no buckets", help));
            } else if !rising || !finite || !(1..=50).contains(&buckets.value.len()) {
                let help = "a histogram has 1 to 50 of them, each larger than the one before: [1, 5, 10]";
                problems.push(cx.error(buckets.span, "these are no buckets", help));
            }
        }
        let redactor = Redactor::new(&[], &[], cx)?;
        let mut labels = Vec::new();
        for (name, value) in &self.labels.0 {
            let hidden = redactor.hides(&name.value, &format!("{value:?}"));
            match cx.dynamic(value) {
                Ok(getter) => labels.push((getter, hidden)),
                Err(more) => problems.extend(more),
            }
        }
        let value = self.value.as_ref().map(|value| cx.dynamic(value)).transpose()?;
        if problems.has_errors() {
            return Err(problems);
        }
        if value.is_some() {
            cx.fails_rarely(&[BAD_AMOUNT]);
        }
        let bounds = || self.buckets.as_ref().map_or(BOUNDS.to_vec(), |buckets| buckets.value.clone());
        let shape = MeterShape {
            name: self.metric.value.clone(),
            help: self.help.clone().unwrap_or_else(|| self.metric.value.clone()),
            bounds: (self.kind == Kind::Histogram).then(bounds),
            labels: self.labels.0.iter().map(|(name, _)| name.value.clone()).collect(),
            most: most as usize,
        };
        let meter = told::observer(cx)?.meter(shape).map_err(|why| {
            let message = format!("the metric `{}` has another shape elsewhere: {why}", self.metric.value);
            cx.error(
                self.metric.span,
                message,
                "give it another name, or the same kind, help, labels, buckets and `most`",
            )
        })?;
        Ok(Metric { meter, value, labels, counts: self.kind == Kind::Counter })
    }
}

fn is_name(name: &str) -> bool {
    name != "le"
        && (1..=64).contains(&name.len())
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// The compiled filter.
pub(crate) struct Metric {
    meter: Arc<dyn Meter>,
    value: Option<Getter<f64>>,
    /// And whether the value is kept back.
    labels: Vec<(Getter<String>, bool)>,
    /// It is a counter.
    counts: bool,
}

impl Filter for Metric {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        Ok(match self.count(exchange) {
            Ok(()) => Outcome::Success,
            Err(reason) => Outcome::Failure(reason),
        })
    }
}

impl Metric {
    fn count(&self, exchange: &Exchange) -> Result<(), Reason> {
        let amount = match &self.value {
            None => 1.0,
            // What is absent on purpose is not counted.
            Some(value) => match value.get_optional(exchange)? {
                Some(amount) => amount,
                None => return Ok(()),
            },
        };
        if amount.is_nan() || amount.abs() > LARGEST || self.counts && amount < 0.0 {
            return Err(Reason::new(BAD_AMOUNT, format!("{amount} cannot be counted")));
        }
        let mut labels: Vec<Cow<'_, str>> = Vec::with_capacity(self.labels.len());
        for (label, hidden) in &self.labels {
            let value = label.get_optional(exchange)?.unwrap_or_default();
            labels.push(if *hidden { REDACTED.into() } else { scrub(&value).into_owned().into() });
        }
        self.meter.count(&labels, amount);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{get, recorded, told};

    const RESPOND: &str = "\n\n[[filter]]\nuse = 'respond'";

    #[test]
    fn amounts_are_counted_by_label() {
        let text = "[[filter]]\nuse = 'metric'\nmetric = 'items'\nvalue = { cel = 'double(request.query.n)' }\nlabels = { who = '${request.query.who ??}', api_key = 'k' }";
        let (fixture, recorder) = recorded(&format!("{text}{RESPOND}"));
        assert_eq!(told(&fixture.run(get("/?n=2&who=a", &[]))), "200");
        assert_eq!(told(&fixture.run(get("/?n=0.5", &[]))), "200");
        assert_eq!(told(&fixture.run(get("/?n=-1", &[]))), "403 bad-amount");
        assert_eq!(recorder.counts(), ["items a,[redacted] 2", "items ,[redacted] 0.5"]);
    }

    #[test]
    fn one_name_is_one_metric() {
        let one = "[[filter]]\nuse = 'metric'\nmetric = 'items'\n";
        let (fixture, _) = recorded(&format!("{one}\n{one}{RESPOND}"));
        assert_eq!(fixture.problems(), [] as [&str; 0]);
        let (fixture, _) = recorded(&format!("{one}\n{one}labels = {{ a = 'b' }}{RESPOND}"));
        let problems = fixture.problems();
        assert!(problems.len() == 1 && problems[0].contains("has another shape elsewhere"), "{problems:#?}");
    }

    #[test]
    fn settings_are_checked() {
        for (settings, said) in [
            ("metric = 'Orders'", "is no name"),
            ("metric = 'a'\nlabels = { le = 'x' }", "is no name"),
            ("metric = 'a'\nmost = 0", "out of bounds"),
            ("metric = 'a'\nbuckets = [1]", "no buckets"),
            ("metric = 'a'\nkind = 'histogram'\nbuckets = [2, 1]", "no buckets"),
        ] {
            let (fixture, _) = recorded(&format!("[[filter]]\nuse = 'metric'\n{settings}{RESPOND}"));
            let problems = fixture.problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }
}
