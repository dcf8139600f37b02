//! `store copy`: the records of stores, from one data source to another.

use std::collections::BTreeSet;
use std::sync::Arc;

use policy::Diagnostics;
use store::guard::Guarded;
use store::mapping::{Mapping, Opened};
use store::moving::{Copier, Phase, Step};
use store::sources::SourceSettings;
use store::{DataSource, Kind, StoreError, kps};

use crate::admin::api::{CopiedTable, CopyStep, Refusal, TableSum};
use crate::once::{audit, mapped};
use crate::options::Options;

/// What is to be copied.
#[derive(Clone, Debug)]
pub struct CopyRequest {
    /// The data source that has the records.
    pub from: String,
    /// The one that gets them.
    pub to: String,
    /// Which stores; none = all that either source has.
    pub stores: Vec<String>,
}

/// How far it is: the table, what is being done, and how many more keys were gone through.
pub type CopyTold<'a> = dyn FnMut(&'static str, CopyStep, u64) + Send + 'a;

/// What is copied of one kind of store.
struct Plan {
    store: String,
    kind: Kind,
    /// What the keys of its rows begin with: key property stores share a table.
    prefix: Vec<u8>,
    /// Whether the store moves from the one to the other, and nobody knows the old one alone.
    hand_over: bool,
    /// Whether nodes write in the new source already.
    theirs_counts: bool,
}

/// Copies, compares, and hands over where the mapping says that the store moves. May end at any point and be run again.
pub async fn store_copy(
    options: &Options,
    request: &CopyRequest,
    told: &mut CopyTold<'_>,
) -> Result<Result<Vec<CopiedTable>, Refusal>, Diagnostics> {
    let (reading, opened) = mapped(options).await?;
    let mapping = &reading.settings.stores.mapping;
    Ok(match plan(mapping, request) {
        Ok(plan) => {
            let what = format!("{} to {}", request.from, request.to);
            audit(options).change("store copy", &what, run(&opened, request, &plan, told)).await
        }
        Err(refusal) => Err(refusal),
    })
}

async fn run(
    opened: &Opened,
    request: &CopyRequest,
    plan: &[Plan],
    told: &mut CopyTold<'_>,
) -> Result<Vec<CopiedTable>, Refusal> {
    let (from, to) = (source(opened, &request.from)?, source(opened, &request.to)?);
    for source in [&from, &to] {
        source.prepare().await.map_err(failed)?;
    }
    let mut copied = Vec::new();
    for Plan { store, kind, prefix, hand_over, theirs_counts } in plan {
        let copier = Copier::new(from.clone(), to.clone(), *hand_over, *theirs_counts).below(prefix.clone());
        for table in kind.tables() {
            let found =
                copier.run(table, &mut |step, keys| told(table.name, step.into(), keys)).await.map_err(failed)?;
            let sum = |sum: &store::moving::Sum| TableSum { rows: sum.rows, digest: sum.digest.clone() };
            copied.push(CopiedTable {
                store: store.clone(),
                table: table.name.to_owned(),
                ok: found.ok(),
                copied: found.copied,
                dropped: found.dropped,
                own: found.own,
                handed_over: hand_over.then_some(found.handed_over),
                left: found.left,
                from: sum(&found.from),
                to: sum(&found.to),
                differ: found.differ,
                named: found.named.iter().map(|key| named(key)).collect(),
            });
        }
    }
    Ok(copied)
}

/// A key for people: as text where it is some, else in hexadecimal digits.
fn named(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if text.chars().all(|c| !c.is_control()) => text.to_owned(),
        _ => store::hex(key),
    }
}

fn source(opened: &Opened, name: &str) -> Result<Arc<Guarded>, Refusal> {
    opened.source(name).cloned().ok_or_else(|| {
        let known: Vec<&str> = opened.sources().map(|source| source.name()).collect();
        Refusal::invalid(format!("there is no data source `{name}`"), format!("there is {}", known.join(", ")))
    })
}

fn plan(mapping: &Mapping, request: &CopyRequest) -> Result<Vec<Plan>, Refusal> {
    let CopyRequest { from, to, stores } = request;
    let settings = |name: &str| mapping.sources.get(name);
    if let (Some(one), Some(other)) = (settings(from), settings(to))
        && (from == to || one.same_place(other))
    {
        return Err(Refusal::invalid(format!("`{from}` and `{to}` are one place"), "name two data sources"));
    }
    if matches!(settings(to), Some(SourceSettings::File(_))) {
        return Err(Refusal::invalid(
            format!("`{to}` is a file that people write"),
            "name a data source that can be written",
        ));
    }
    let known = mapping.stores();
    // Whether the store has records in either of them.
    let uses = |store: &str| {
        let beside = mapping.moving(store).map(|(_, other)| other);
        known
            .get(store)
            .map(|(_, source)| *source)
            .into_iter()
            .chain(beside)
            .any(|source| source == from || source == to)
    };
    let chosen: Vec<&str> = match stores.is_empty() {
        false => stores.iter().map(String::as_str).collect(),
        true => known.keys().copied().filter(|store| uses(store)).collect(),
    };
    let (mut plans, mut kinds) = (Vec::new(), BTreeSet::new());
    for store in chosen {
        let Some((kind, source)) = known.get(store).copied() else {
            let names: Vec<&str> = known.keys().copied().collect();
            return Err(Refusal::invalid(
                format!("there is no store `{store}`"),
                format!("there is {}", names.join(", ")),
            ));
        };
        let kps = mapping.kps.get(store);
        // A table of somebody else's is not ours to copy.
        if kps.is_some_and(|settings| settings.table.is_some()) {
            continue;
        }
        // Rows say nothing of their store: those of two stores of one kind would be mixed. Those of key property stores do.
        let rival =
            known.keys().find(|other| kps.is_none() && **other != store && known[**other].0 == kind && uses(other));
        if let Some(rival) = rival {
            let message = format!(
                "store `{rival}` keeps records of the same kind in `{from}` or `{to}`: those of `{store}` would be mixed with them"
            );
            return Err(Refusal::invalid(message, "name data sources that no other store of this kind has"));
        }
        let prefix = kps.map(|settings| kps::prefix(&settings.name)).unwrap_or_default();
        if kind.tables().is_empty() || !kinds.insert((kind.table(), prefix.clone())) {
            continue;
        }
        let moving = mapping.moving(store);
        let pair = moving.map(|(phase, other)| match phase {
            Phase::Next => (source, other),
            Phase::Previous => (other, source),
        });
        if let Some((old, new)) = pair
            && (old, new) != (from.as_str(), to.as_str())
        {
            let message =
                format!("store `{store}` moves from `{old}` to `{new}`: nothing else can be copied meanwhile");
            return Err(Refusal::invalid(message, format!("portcullis store copy --from {old} --to {new} {store}")));
        }
        let hand_over = matches!(moving, Some((Phase::Previous, _)));
        plans.push(Plan {
            store: store.to_owned(),
            kind,
            prefix,
            hand_over,
            theirs_counts: pair.is_some() || source == to,
        });
    }
    if plans.is_empty() {
        let help = "name the stores: `portcullis store copy --from A --to B access-token`";
        return Err(Refusal::invalid(format!("no store has records in `{from}` or `{to}`"), help));
    }
    Ok(plans)
}

fn failed(error: StoreError) -> Refusal {
    let help =
        "`portcullis store check` asks every data source how it is; then run it again, it goes on where it ended";
    Refusal::failed(&error, help)
}

impl From<Step> for CopyStep {
    fn from(step: Step) -> CopyStep {
        match step {
            Step::Copy => CopyStep::Copy,
            Step::Verify => CopyStep::Verify,
            Step::HandOver => CopyStep::HandOver,
        }
    }
}
