//! What filters do once their policy has run, and what goes on beside it.

use crate::testing::Ran;
use crate::testing::lab::{NOTED, policy};

fn seen(ran: &Ran) -> Vec<&str> {
    ran.headers.get_all("x-seen").iter().map(|seen| seen.to_str().unwrap()).collect()
}

#[test]
fn a_half_sees_what_the_filters_after_it_made_and_not_what_those_before_it_ask_for() {
    let ran = policy(
        "filter = [{ use = 'mark', word = '1' }, { use = 'look', word = 'a' }, { use = 'mark', word = '2' }, { use = 'look', word = 'b' }, \
         { use = 'mark', word = '3' }, { use = 'leave' }, { use = 'mark', word = '4' }]\nresponse = [{ use = 'mark', word = '5' }]",
    )
    .get("/");
    assert_eq!(seen(&ran), ["b 3,4", "a 3,4,2"]);
    assert_eq!(ran.headers.get_all("x-mark").iter().collect::<Vec<_>>(), ["3", "4", "2", "1", "5"]);
}

#[test]
fn a_half_is_dropped_where_the_run_fails_and_nothing_of_the_answer_is_lost() {
    let marks = |last: &str| {
        let text = format!(
            "filter = [{{ use = 'mark', word = '1' }}, {{ use = 'look', word = 'a' }}, {{ use = 'mark', word = '2' }}, {last}, {{ use = 'answer' }}]"
        );
        let ran = policy(&text).get("/");
        let marks: Vec<_> =
            ran.headers.get_all("x-mark").iter().map(|mark| mark.to_str().unwrap().to_owned()).collect();
        (ran.status, marks.join(","), seen(&ran).len())
    };
    assert_eq!(marks("{ use = 'fail' }"), (403, "1,2".into(), 0));
    assert_eq!(marks("{ use = 'abort' }"), (503, "1,2".into(), 0));
    assert_eq!(marks("{ use = 'panic' }"), (500, "1,2".into(), 0));
    assert_eq!(marks("{ use = 'ok' }"), (200, "2,1".into(), 1));
}

#[test]
fn a_half_may_leave_a_response_in_place_of_a_fault() {
    let ran = policy(
        "filter = [{ use = 'mark', word = '1' }, { use = 'look', word = 'saves' }, { use = 'look', word = 'not' }, { use = 'mark', word = '2' }, { use = 'abort' }, { use = 'answer' }]",
    )
    .get("/");
    assert_eq!((ran.status, ran.refused()), (200, None));
    assert!(ran.text().starts_with("saves in place of "), "{}", ran.text());
    assert_eq!(ran.headers.get_all("x-mark").iter().collect::<Vec<_>>(), ["1"]);
}

#[test]
fn what_a_chain_of_any_that_failed_wanted_to_see_it_does_not() {
    let ran = policy(
        "filter = [{ use = 'any', of = ['a', 'b'] }, { use = 'answer' }]\n\
         [chain]\na = [{ use = 'look', word = 'a' }, { use = 'fail', absent = true, always = true }]\nb = [{ use = 'look', word = 'b' }]",
    )
    .get("/");
    assert_eq!(seen(&ran), ["b "]);
}

#[test]
fn the_rest_of_a_chain_runs_beside_on_a_copy_of_the_exchange() {
    let ran = policy(
        "filter = [{ use = 'guard' }, { use = 'find', id = 'forked-ann' }, { use = 'fork' }, { use = 'guard' }, { use = 'note' }, { use = 'leave' }]",
    )
    .get("/");
    assert_eq!(
        (ran.status, ran.path()),
        (202, vec!["guard:success".into(), "find:success".into(), "fork:answered".to_owned()])
    );
    assert_eq!(seen(&ran), Vec::<&str>::new());
    let noted = NOTED.lock().unwrap().iter().filter(|noted| noted.contains("forked-ann")).cloned().collect::<Vec<_>>();
    assert_eq!(noted, ["/ true forked-ann 1"], "of the guards, the one that runs beside");
    // A panic there is nobody's.
    assert_eq!(policy("filter = [{ use = 'fork' }, { use = 'panic' }, { use = 'answer' }]").get("/").status, 202);
}
