//! Which mutants there are, what each does, and that it is gone when it is taken back.

use std::sync::Arc;

use crate::engine::Program;
use crate::reader::Files;
use crate::testing::lab::policy;
use crate::testing::{Fixture, block_on, read, request};

/// `LINE KEY` of all mutants of a policy on `/`.
fn mutants(text: &str) -> Vec<String> {
    let program = policy(text).program();
    program.mutants().iter().map(|mutant| format!("{} {}", mutant.line, mutant.key())).collect()
}

fn run(fixture: &Fixture, program: &Arc<Program>, path: &str) -> String {
    let served = block_on(program.serve(&fixture.environment(), request(http::Method::GET, path, &[], "")));
    let ran = block_on(read(program, served));
    format!("{} {}", ran.status, ran.text())
}

/// What a request is answered without the mutant of this key, with it, and when it is taken back; and whether the first run says
/// that it came to what is changed.
fn tried(text: &str, key: &str, path: &str) -> [String; 3] {
    let fixture = policy(text);
    let mut program = fixture.program();
    let mutant = program.mutants().into_iter().find(|mutant| mutant.key() == key);
    let mutant = mutant.unwrap_or_else(|| panic!("{key} is one of {:?}", mutants(text)));
    let before = block_on(program.serve(&fixture.environment(), request(http::Method::GET, path, &[], "")));
    assert!(mutant.is_reached_by(&before.decision), "{key}");
    let before = run(&fixture, &program, path);
    let mutated = Arc::get_mut(&mut program).unwrap().mutate(&mutant);
    let with = block_on(program.serve(&fixture.environment(), request(http::Method::GET, path, &[], "")));
    let with = format!("{} {}", with.response.status.as_u16(), text_of(with.response.body));
    Arc::get_mut(&mut program).unwrap().restore(mutated);
    [before, with, run(&fixture, &program, path)]
}

fn text_of(body: crate::Body) -> String {
    String::from_utf8(block_on(body.collect(1000)).unwrap().to_vec()).unwrap()
}

const ANSWER: &str = "\n[[filter]]\nuse = 'answer'\ntext = 'end'\n";

#[test]
fn every_kind_of_mutant_changes_what_it_says_and_is_taken_back() {
    let say = "[[filter]]\nuse = 'say'\ntext = '${request.query.a}'\nquiet = true\n";
    let switch = "[[filter]]\nuse = 'switch'\non = '${request.query.a}'\ncase = { x = 'told', y = 'told', z = 'on' }\nelse = 'fail'\n\
                  missing = 'told'\n";
    let told = "[[chain.told]]\nuse = 'answer'\ntext = 'told'\n";
    let may = "[[chain.may]]\nuse = 'sometimes'\ntext = 'told'\n";
    let on = "[[chain.on]]\nuse = 'ok'\n";
    let when = "[[filter]]\nuse = 'fail'\nwhen = 'has(request.query.a)'\n";
    let fails = "[[filter]]\nuse = 'fail'\nreason = 'r'\n";
    for (text, key, path, before, with) in [
        (format!("{fails}{ANSWER}"), "fail:removed", "/", "403 r", "200 end"),
        (format!("{say}{ANSWER}"), "say:failure-inverted", "/", "400 missing-value", "200 end"),
        (format!("{say}{ANSWER}"), "say:success-inverted", "/?a=1", "200 end", "403 inverted"),
        (format!("{when}{ANSWER}"), "fail:when-removed", "/", "200 end", "403 refused"),
        (format!("{switch}{ANSWER}{told}{on}"), "switch:removed", "/?a=x", "200 told", "200 end"),
        (format!("{switch}{ANSWER}{told}{on}"), "switch:case y to else", "/?a=y", "200 told", "403 no-case"),
        (format!("{switch}{ANSWER}{told}{on}"), "switch:missing to else", "/", "200 told", "403 no-case"),
        (format!("[[filter]]\nuse = 'call'\nchain = 'may'\n{ANSWER}{may}"), "call:removed", "/", "200 told", "200 end"),
        (
            format!(
                "[[filter]]\nuse = 'any'\nof = ['no', 'may']\n{ANSWER}{may}[[chain.no]]\nuse = 'fail'\nabsent = true\n"
            ),
            "any:of may removed",
            "/",
            "200 told",
            "403 refused",
        ),
        (format!("{fails}on_failure = 'told'\n{ANSWER}{told}"), "fail:on_failure-removed", "/", "200 told", "403 r"),
        (format!("{fails}on_failure = 'continue'\n{ANSWER}"), "fail:on_failure-removed", "/", "200 end", "403 r"),
        (
            format!("[[filter]]\nuse = 'abort'\non_abort = 'told'\n{ANSWER}{told}"),
            "abort:on_abort-removed",
            "/",
            "200 told",
            "503 broken",
        ),
        (
            format!("[[filter]]\nuse = 'leave'\ntext = 'left'\non_success = 'told'\n{told}"),
            "leave:on_success-removed",
            "/",
            "200 told",
            "200 left",
        ),
        (
            format!("{fails}{ANSWER}[[on_failure]]\nuse = 'answer'\ntext = 'h'"),
            "on_failure:removed",
            "/",
            "200 h",
            "403 r",
        ),
        (format!("{fails}{ANSWER}[[on_error]]\nuse = 'answer'\ntext = 'h'"), "on_error:removed", "/", "200 h", "403 r"),
        (
            format!("[[filter]]\nuse = 'abort'\n{ANSWER}[[on_abort]]\nuse = 'answer'\ntext = 'h'"),
            "on_abort:removed",
            "/",
            "200 h",
            "503 broken",
        ),
    ] {
        assert_eq!(tried(&text, key, path), [before, with, before], "{key}\n{text}");
    }
}

#[test]
fn what_cannot_be_noticed_by_construction_is_no_mutant() {
    // A filter that always fails is the same without it and turned round; one that only succeeds can only be left out.
    assert_eq!(mutants("[[filter]]\nuse = 'fail'\nalways = true"), ["3 fail:removed"]);
    assert_eq!(mutants(ANSWER), ["4 answer:removed"]);
    // A case that goes where `else` goes; a chain of `any` that is the only one; a handler that nothing leads to.
    let text = "[[filter]]\nuse = 'switch'\non = '${request.method}'\ncase = { GET = 'c', PUT = 'd' }\nelse = 'c'\n\
                [[chain.c]]\nuse = 'any'\nof = ['d']\n[[chain.d]]\nuse = 'answer'\n[[on_failure]]\nuse = 'answer'";
    assert_eq!(mutants(text), ["3 switch:removed", "5 switch:case PUT to else", "8 any:removed", "11 answer:removed"]);
}

#[test]
fn a_run_that_does_not_come_to_the_change_is_no_evidence() {
    let text = format!("[[filter]]\nuse = 'fail'\nname = 'n'\nwhen = 'has(request.query.a)'\n{ANSWER}");
    let fixture = policy(&text);
    let program = fixture.program();
    let reached = |key: &str, path: &str| {
        let mutant = program.mutants().into_iter().find(|mutant| mutant.key() == key).unwrap();
        let served = block_on(program.serve(&fixture.environment(), request(http::Method::GET, path, &[], "")));
        mutant.is_reached_by(&served.decision)
    };
    assert_eq!((reached("n:removed", "/"), reached("n:removed", "/?a=1")), (false, true));
    assert_eq!((reached("n:when-removed", "/"), reached("n:when-removed", "/?a=1")), (true, false));
    assert_eq!((reached("n:success-inverted", "/?a=1"), reached("n:failure-inverted", "/?a=1")), (false, true));
    assert_eq!((reached("answer:removed", "/?a=1"), reached("answer:removed", "/")), (false, true));
}

#[test]
fn explanations_stand_in_the_policy() {
    let text = "[mutants]\n'a:removed' = 'why'";
    let found = super::explanations(&Files::from_texts([("policies/x/p.toml", text), ("policies/q.test.toml", text)]));
    assert_eq!(found.len(), 1);
    let [one] = found.as_slice() else { unreachable!() };
    assert_eq!((one.policy.as_str(), one.key.as_str(), one.reason.as_str()), ("x/p", "a:removed", "why"));
    assert_eq!(one.place.to_string(), "policies/x/p.toml:2:1");
    let problems =
        |reason: &str| policy(&format!("filter = [{{ use = 'answer' }}]\n[mutants]\na = {reason}")).problems();
    assert_eq!(problems("'why'"), [""; 0]);
    assert!(problems("' '")[0].contains("no reason is given for the mutant `a`"), "{:?}", problems("' '"));
    assert_eq!(problems("1").len(), 1);
}
