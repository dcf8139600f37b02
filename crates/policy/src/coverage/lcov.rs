//! Coverage as an LCOV tracefile (geninfo(1)), which editors and services that show coverage read: a chain is a function, a step a
//! line, what tests are to show a branch of that line.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::reach::{Coverage, PolicyCoverage, StepCoverage};

/// The tracefile. `path` is put before the name of each file, so that readers find it from where they run.
pub fn lcov(coverage: &Coverage, path: &str) -> String {
    let mut text = String::new();
    coverage.policies.iter().for_each(|policy| of_file(&mut text, policy, path));
    text
}

// Writing to a String cannot fail.
fn of_file(text: &mut String, policy: &PolicyCoverage, path: &str) {
    let _ = writeln!(text, "TN:\nSF:{path}{}", policy.file);
    functions(text, policy);
    branches(text, policy);
    // Two steps may stand on one line.
    let mut lines = BTreeMap::<usize, usize>::new();
    for step in steps(policy) {
        *lines.entry(step.line).or_default() += step.runs;
    }
    for (line, runs) in &lines {
        let _ = writeln!(text, "DA:{line},{runs}");
    }
    let hit = lines.values().filter(|runs| **runs > 0).count();
    let _ = writeln!(text, "LF:{}\nLH:{hit}\nend_of_record", lines.len());
}

fn functions(text: &mut String, policy: &PolicyCoverage) {
    let chains = || policy.chains.iter().filter_map(|chain| Some((chain, chain.steps.first()?.line)));
    for (chain, line) in chains() {
        let _ = writeln!(text, "FN:{line},{}", chain.chain);
    }
    for (chain, _) in chains() {
        let _ = writeln!(text, "FNDA:{},{}", chain.runs(), chain.chain);
    }
    let hit = chains().filter(|(chain, _)| chain.runs() > 0).count();
    let _ = writeln!(text, "FNF:{}\nFNH:{hit}", chains().count());
}

fn branches(text: &mut String, policy: &PolicyCoverage) {
    for (block, step) in steps(policy).enumerate() {
        for (branch, item) in step.items.iter().enumerate() {
            // A line that never ran says `-`, not 0.
            let taken = if step.reached() { item.reached.to_string() } else { String::from("-") };
            let _ = writeln!(text, "BRDA:{},{block},{branch},{taken}", step.line);
        }
    }
    let (hit, found) = policy.counts();
    let _ = writeln!(text, "BRF:{found}\nBRH:{hit}");
}

fn steps(policy: &PolicyCoverage) -> impl Iterator<Item = &StepCoverage> {
    policy.chains.iter().flat_map(|chain| &chain.steps)
}
