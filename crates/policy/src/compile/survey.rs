//! What an editor wants to know of compiled policies: what is set where, what is there to be named.

use std::collections::BTreeMap;

use super::build::PolicyEffects;
use super::flow::Points;
use super::model::Policy;
use crate::filter::Effects;
use crate::value::Type;

/// All policies of a compilation, whether or not it came to a program.
#[derive(Debug, Default)]
pub struct Survey {
    /// In the order of their names.
    pub policies: Vec<PolicySurvey>,
}

/// One policy.
#[derive(Clone, Debug)]
pub struct PolicySurvey {
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: String,
    /// Its file could not be parsed: nothing else is known of it.
    pub broken: bool,
    /// The inputs that it declares.
    pub inputs: BTreeMap<String, Type>,
    /// Its chains, by the way they are written: `filter`, `chain.code`, `on_failure`.
    pub chains: BTreeMap<String, ChainSurvey>,
}

/// One chain.
#[derive(Clone, Debug)]
pub struct ChainSurvey {
    /// The attributes that are set where each filter begins (`client`, `vars.x`, `path.id`, `response`), each with whether
    /// that is sure on every way; one more for the end of the chain. `None` where nothing leads there, or where something
    /// before it is wrong, so that nothing is known.
    pub set: Vec<Option<BTreeMap<String, bool>>>,
    /// Its filters.
    pub steps: Vec<StepSurvey>,
}

/// One filter.
#[derive(Clone, Debug)]
pub struct StepSurvey {
    /// What stands behind `use`.
    pub uses: String,
    /// The kind and name of the stores and upstreams that it takes.
    pub things: Vec<(String, String)>,
    /// What it said of itself while it was built: nothing, where it could not be.
    pub effects: Effects,
}

impl Survey {
    /// The policy of this name.
    pub fn policy(&self, name: &str) -> Option<&PolicySurvey> {
        let found = self.policies.binary_search_by(|policy| policy.name.as_str().cmp(name));
        found.ok().map(|at| &self.policies[at])
    }
}

pub(super) fn of(policies: &[Policy], effects: &[&PolicyEffects], points: &Points) -> Survey {
    let of_policy = |(id, (policy, effects)): (usize, (&Policy, &&PolicyEffects))| PolicySurvey {
        name: policy.name.clone(),
        path: policy.file.path.clone(),
        broken: policy.broken,
        inputs: policy.inputs.clone(),
        chains: policy
            .chains
            .iter()
            .zip(effects.iter())
            .enumerate()
            .map(|(number, (chain, said))| {
                let set = (0..=chain.steps.len()).map(|step| points.at((id, number, step))).collect();
                let steps = chain.steps.iter().zip(said).map(|(step, said)| StepSurvey {
                    uses: step.uses.value.clone(),
                    things: said.own.things().map(|(kind, name)| (kind.clone(), name.value.clone())).collect(),
                    effects: said.own.clone(),
                });
                (chain.path.clone(), ChainSurvey { set, steps: steps.collect() })
            })
            .collect(),
    };
    Survey { policies: policies.iter().zip(effects).enumerate().map(of_policy).collect() }
}

#[cfg(test)]
mod tests {
    use crate::compile::survey;
    use crate::testing::lab::policy;

    /// What is set where each filter of the chain begins: `!` where it is sure.
    fn set(text: &str, chain: &str) -> Vec<String> {
        let (_, survey) = policy(text).compile_by(survey);
        let shown = |set: &Option<std::collections::BTreeMap<String, bool>>| match set {
            Some(set) => {
                let words: Vec<String> =
                    set.iter().map(|(name, sure)| format!("{name}{}", if *sure { "!" } else { "" })).collect();
                words.join(" ")
            }
            None => String::from("?"),
        };
        survey.policy("p").unwrap().chains[chain].set.iter().map(shown).collect()
    }

    #[test]
    fn what_is_set_where() {
        let text = "[[filter]]\nuse = 'find'\nid = 'x'\non_failure = 'late'\n[[filter]]\nuse = 'seek'\nwhen = 'vars.no == 1'\n\
                    [[filter]]\nuse = 'set-var'\nvar = 'a'\n[[filter]]\nuse = 'answer'\n\
                    [[chain.late]]\nuse = 'answer'\n[[chain.never]]\nuse = 'answer'\n";
        assert_eq!(set(text, "filter")[..4], ["", "client!", "client!", "client! vars.a!"]);
        assert_eq!(set(text, "chain.late")[0], "failure!");
        assert_eq!(set(text, "chain.never"), ["?", "?"]);
    }

    #[test]
    fn what_only_some_ways_set() {
        let text =
            "[[filter]]\nuse = 'find'\nid = 'x'\nwhen = 'request.method == \"GET\"'\n[[filter]]\nuse = 'answer'\n";
        assert_eq!(set(text, "filter")[..2], ["", "client"]);
        let unknown = "[[filter]]\nuse = 'no-such'\n[[filter]]\nuse = 'answer'\n";
        assert_eq!(set(unknown, "filter")[..2], ["", "?"]);
    }
}
