//! What tests are asked to show, and what counts as shown.

use crate::coverage::{Coverage, lcov};
use crate::engine::Decision;
use crate::filter::{Answers, BuildContext, Filter, FilterConfig, FilterKind, Library};
use crate::testing::lab::{LAB, policy};
use crate::testing::{Fixture, block_on, request};
use crate::{Abort, Diagnostics, Exchange, Outcome, Reason, ReasonCode};

/// What a policy on `/` asks for: `LINE NAME:WHAT`.
fn asked(text: &str) -> Vec<String> {
    items(&Coverage::new(&policy(text).program()), |_| true)
}

fn items(coverage: &Coverage, pick: impl Fn(usize) -> bool) -> Vec<String> {
    let steps = coverage.policies.iter().flat_map(|policy| &policy.chains).flat_map(|chain| &chain.steps);
    let items = steps.flat_map(|step| step.items.iter().map(|item| (step.name.as_str(), item)));
    let picked = items.filter(|(_, item)| pick(item.reached));
    picked.map(|(name, item)| format!("{} {name}:{}", item.line, item.what)).collect()
}

fn decisions(text: &str, paths: &[&str]) -> Coverage {
    let fixture = policy(text);
    let program = fixture.program();
    let mut coverage = Coverage::new(&program);
    for path in paths {
        let served = block_on(program.serve(&fixture.environment(), request(http::Method::GET, path, &[], "")));
        coverage.add(&served.decision);
    }
    coverage
}

#[test]
fn a_filter_is_asked_for_the_ends_that_it_states() {
    for (text, expected) in [
        ("[[filter]]\nuse = 'ok'\n[[filter]]\nuse = 'answer'", &["3 ok:success", "5 answer:answered"][..]),
        ("[[filter]]\nuse = 'fail'\nalways = true", &["3 fail:failure"]),
        ("[[filter]]\nuse = 'abort'\nalways = true", &["3 abort:abort"]),
        (
            "[[filter]]\nuse = 'chance'\n[[filter]]\nuse = 'answer'",
            &["3 chance:success", "3 chance:answered", "3 chance:failure", "3 chance:abort", "5 answer:answered"],
        ),
        (
            "[[filter]]\nuse = 'ok'\nwhen = 'has(request.query.a)'\n[[filter]]\nuse = 'answer'",
            &["3 ok:success", "3 ok:skipped", "6 answer:answered"],
        ),
        // What takes a malformed request is possible, and asked of nobody.
        ("[[filter]]\nuse = 'read-body'", &["3 read-body:answered"]),
    ] {
        assert_eq!(asked(text), expected, "{text}");
    }
}

#[test]
fn a_value_that_may_be_absent_is_a_failure_and_one_that_is_surely_set_is_none() {
    let say = |before: &str, selector: &str| {
        asked(&format!("{before}[[filter]]\nuse = 'say'\ntext = '${{{selector}}}'"))
            .into_iter()
            .any(|item| item.ends_with("say:failure"))
    };
    let find = "[[filter]]\nuse = 'find'\n";
    assert!(say("", "request.query.a"));
    assert!(!say("", "request.query.a ?? none"));
    assert!(!say("", "request.method"));
    assert!(!say(find, "client.id"));
    let sometimes = "[[filter]]\nuse = 'find'\nwhen = 'has(request.query.a)'\n";
    assert!(say(sometimes, "client.id"));
    let set = "[[filter]]\nuse = 'set-var'\nvar = 'a'\n";
    assert!(!say(set, "vars.a"));
    assert!(say(set, "vars.a.b"));
}

#[test]
fn a_flow_word_is_asked_for_its_ways_and_what_it_makes_of_them() {
    let text = "[[filter]]\nuse = 'switch'\non = '${request.query.a}'\ncase = { x = 'good' }\nelse = 'bad'\n\
                [[filter]]\nuse = 'answer'\n[[chain.good]]\nuse = 'ok'\n[[chain.bad]]\nuse = 'fail'\nalways = true";
    assert_eq!(
        asked(text),
        [
            "3 switch:success",
            "3 switch:failure",
            "5 switch:case x",
            "6 switch:else",
            "3 switch:missing",
            "8 answer:answered",
            "10 ok:success",
            "12 fail:failure",
        ]
    );
    let any = "[[filter]]\nuse = 'any'\nof = ['a', 'b']\n[[filter]]\nuse = 'answer'\n[[chain.a]]\nuse = 'seek'\n\
               [[chain.b]]\nuse = 'fail'\nalways = true";
    assert_eq!(asked(any)[..2], ["3 any:success", "4 any:of a"]);
    let call = |more: &str| {
        asked(&format!(
            "[[filter]]\nuse = 'call'\nchain = 'c'\n{more}\n[[filter]]\nuse = 'answer'\n[[chain.c]]\nuse = 'chance'\n"
        ))
        .into_iter()
        .filter(|item| item.contains("call"))
        .collect::<Vec<_>>()
    };
    // How a chain ends is asked of its filters; of the call that it ran, and what it makes of a failure.
    assert_eq!(call(""), ["3 call:success"]);
    assert_eq!(call("on_failure = 'continue'"), ["3 call:success", "3 call:failure"]);
    assert_eq!(call("on_abort = 'continue'"), ["3 call:success", "3 call:abort"]);
}

#[test]
fn what_nothing_can_lead_to_is_asked_of_nobody() {
    let text = "[[filter]]\nuse = 'ok'\n[[filter]]\nuse = 'answer'\n[[on_abort]]\nuse = 'answer'\ntext = 'never'";
    assert_eq!(asked(text), ["3 ok:success", "5 answer:answered"]);
    let handled = "[[filter]]\nuse = 'abort'\non_failure = 'late'\n[[filter]]\nuse = 'answer'\n[[chain.late]]\nuse = 'answer'\n\
                   [[on_abort]]\nuse = 'answer'";
    assert_eq!(asked(handled), ["3 abort:success", "3 abort:abort", "6 answer:answered", "10 answer:answered"]);
}

const SWITCH: &str = "[[filter]]\nuse = 'switch'\non = '${request.query.a}'\ncase = { x = 'good' }\nelse = 'continue'\n\
                      missing = 'fail'\n[[filter]]\nuse = 'answer'\n[[chain.good]]\nuse = 'ok'";

#[test]
fn what_was_reached_is_counted() {
    let none = decisions(SWITCH, &[]);
    assert_eq!(none.counts(), (0, 6));
    let some = decisions(SWITCH, &["/?a=x", "/?a=x"]);
    assert_eq!(
        items(&some, |reached| reached == 2),
        ["3 switch:success", "5 switch:case x", "9 answer:answered", "11 ok:success"]
    );
    let all = decisions(SWITCH, &["/?a=x", "/?a=y", "/"]);
    assert_eq!((all.counts(), items(&all, |reached| reached == 0)), ((6, 6), vec![]));
}

#[test]
fn a_tracefile_has_chains_steps_and_what_is_to_be_shown() {
    let text = lcov(&decisions(SWITCH, &["/?a=y"]), "conf/");
    assert_eq!(
        text,
        "TN:\nSF:conf/policies/p.toml\nFN:3,filter\nFN:11,chain.good\nFNDA:1,filter\nFNDA:0,chain.good\nFNF:2\nFNH:1\n\
         BRDA:3,0,0,1\nBRDA:3,0,1,0\nBRDA:3,0,2,1\nBRDA:3,0,3,0\nBRDA:9,1,0,1\nBRDA:11,2,0,-\nBRF:6\nBRH:3\n\
         DA:3,1\nDA:9,1\nDA:11,0\nLF:3\nLH:2\nend_of_record\n"
    );
}

/// Ends as its settings say, and states nothing.
#[derive(Clone, serde::Deserialize, schemars::JsonSchema)]
struct Liar {
    end: String,
}

impl FilterConfig for Liar {
    const TYPE: &'static str = "liar";
    type Filter = Liar;
    fn build(&self, _: &mut BuildContext<'_>) -> Result<Liar, Diagnostics> {
        Ok(self.clone())
    }
}

impl Filter for Liar {
    async fn run(&self, x: &mut Exchange) -> Result<Outcome, Abort> {
        match self.end.as_str() {
            "failure" => Ok(Outcome::Failure(Reason::new(ReasonCode::new("no"), "it says no"))),
            "abort" => Err(Abort::unavailable(ReasonCode::new("down"), "it is down")),
            "answered" => x.answer(crate::Response::new(http::StatusCode::OK)),
            _ => Ok(Outcome::Success),
        }
    }
}

/// Answers, always.
#[derive(Clone, serde::Deserialize, schemars::JsonSchema)]
struct Last {}

impl FilterConfig for Last {
    const TYPE: &'static str = "last";
    type Filter = Last;
    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Last, Diagnostics> {
        cx.answers(Answers::Always);
        Ok(self.clone())
    }
}

impl Filter for Last {
    async fn run(&self, x: &mut Exchange) -> Result<Outcome, Abort> {
        x.answer(crate::Response::new(http::StatusCode::OK))
    }
}

#[test]
fn a_filter_that_ends_as_it_does_not_state_is_found() {
    const LIARS: Library = Library { filters: &[&[FilterKind::of::<Liar>(), FilterKind::of::<Last>()]], ..LAB };
    let unstated = |end: &str| {
        let text = format!("route = '/'\n[[filter]]\nuse = 'liar'\nend = '{end}'\n[[filter]]\nuse = 'last'");
        let fixture = Fixture::new(LIARS).policy("p", &text);
        let program = fixture.program();
        let request = request(http::Method::GET, "/", &[], "");
        let decision: Decision = block_on(program.serve(&fixture.environment(), request)).decision;
        program.unstated(&decision).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let told = |ending: &str| {
        vec![format!("policies/p.toml:3: the filter `liar` ended in `{ending}`, and does not state that it can")]
    };
    assert_eq!(unstated("success"), [""; 0]);
    assert_eq!(
        (unstated("failure"), unstated("abort"), unstated("answered")),
        (told("no"), told("down"), told("answered"))
    );
}
