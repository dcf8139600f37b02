//! Programs at random: whatever the compiler takes, ends; and what it proved of a program holds when the program runs.

use std::fmt::Write as _;

use http::Method;

use crate::testing::lab::LAB;
use crate::testing::{Fixture, block_on, read, request};

/// SplitMix64: the same programs in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }
}

/// Writes one policy: chains come into being when something leads to them.
struct Writer<'a> {
    dice: &'a mut Dice,
    text: String,
    /// Policies that come after this one may be called: this many.
    later_policies: Vec<usize>,
    /// So many chains are named so far; the main chain is 0.
    named: usize,
    /// The chain that is being written.
    chain: usize,
}

const MOST_CHAINS: usize = 6;

impl Writer<'_> {
    fn policy(mut self, route: Option<usize>) -> String {
        if let Some(route) = route {
            writeln!(self.text, "route = '/{route}'").unwrap();
        }
        let mut text = String::new();
        while self.chain <= self.named {
            let header = if self.chain == 0 { "filter".to_owned() } else { format!("chain.c{}", self.chain) };
            if self.chain == 0 && self.dice.one_in(2) {
                let found = ["find", "seek"][self.dice.roll(2)];
                writeln!(text, "[[{header}]]\nuse = '{found}'").unwrap();
            }
            for _ in 0..=self.dice.roll(3) {
                writeln!(text, "[[{header}]]").unwrap();
                self.filter(&mut text);
            }
            if self.chain == 0 && !self.dice.one_in(8) {
                writeln!(text, "[[{header}]]\nuse = 'leave'").unwrap();
            }
            self.chain += 1;
        }
        for handler in ["on_failure", "on_abort", "response"] {
            if self.dice.one_in(4) {
                let last = if self.dice.one_in(3) { "ok" } else { "answer" };
                writeln!(text, "[[{handler}]]\nuse = 'chance'\n[[{handler}]]\nuse = '{last}'").unwrap();
            }
        }
        self.text + &text
    }

    /// A chain to lead to: mostly a later one, rarely any, which may make a loop.
    fn target(&mut self) -> Option<usize> {
        if self.chain > 0 && self.dice.one_in(40) {
            return Some(1 + self.dice.roll(self.named));
        }
        if self.named < MOST_CHAINS && (self.named == self.chain || self.dice.one_in(2)) {
            self.named += 1;
            return Some(self.named);
        }
        let later = self.named - self.chain;
        (later > 0).then(|| self.chain + 1 + self.dice.roll(later))
    }

    fn filter(&mut self, text: &mut String) {
        let word = ["continue", "fail"][self.dice.roll(2)];
        let flow = match self.dice.roll(15) {
            0..=3 => None,
            4 => self.target().map(|chain| format!("use = 'call'\nchain = 'c{chain}'")),
            5 => self.target().zip(self.target()).map(|(a, b)| format!("use = 'any'\nof = ['c{a}', 'c{b}']")),
            6 => self
                .target()
                .map(|chain| format!("use = 'switch'\non = 'x'\ncase = {{ x = 'c{chain}' }}\nelse = '{word}'")),
            7 => self
                .target()
                .map(|chain| format!("use = 'switch'\non = 'y'\ncase = {{ x = 'c{chain}' }}\nelse = '{word}'")),
            8 if !self.later_policies.is_empty() => {
                let policy = self.later_policies[self.dice.roll(self.later_policies.len())];
                Some(format!("use = 'call'\npolicy = 'p{policy}'"))
            }
            9 => Some(["use = 'find'", "use = 'seek'"][self.dice.roll(2)].to_owned()),
            10 | 11 => Some("use = 'want'".to_owned()),
            12 => Some("use = 'mark'\nword = 'x'".to_owned()),
            _ => Some("use = 'ok'".to_owned()),
        };
        writeln!(text, "{}", flow.as_deref().unwrap_or("use = 'chance'")).unwrap();
        for key in ["on_failure", "on_abort"] {
            match self.dice.roll(7) {
                0 => writeln!(text, "{key} = 'continue'").unwrap(),
                1 => self.target().into_iter().for_each(|chain| writeln!(text, "{key} = 'c{chain}'").unwrap()),
                2 => {
                    let to = self.target();
                    to.into_iter().for_each(|c| writeln!(text, "{key} = {{ to = 'c{c}', as = 'success' }}").unwrap());
                }
                _ => {}
            }
        }
        if self.dice.one_in(5) {
            text.push_str("when = \"request.method == 'PUT'\"\n");
        }
    }
}

fn program(dice: &mut Dice) -> Fixture {
    let policies = 1 + dice.roll(3);
    let mut fixture = Fixture::new(LAB);
    for number in 0..policies {
        let later_policies = (number + 1..policies).collect();
        let writer = Writer { dice, text: String::new(), later_policies, named: 0, chain: 0 };
        let text = writer.policy((number == 0).then_some(0));
        fixture = fixture.policy(&format!("p{number}"), &text);
    }
    fixture
}

#[test]
fn a_run_always_ends_and_what_was_proved_holds() {
    let (mut taken, mut proved, mut loops) = (0, 0, 0);
    for seed in 0..400 {
        let fixture = program(&mut Dice(seed));
        let compiled = fixture.compile();
        let found = |code: &str| compiled.diagnostics.iter().any(|diagnostic| diagnostic.problem.code.as_str() == code);
        loops += usize::from(found("P0205"));
        let surely_set = !found("P0202");
        let Some(program) = compiled.program else { continue };
        taken += 1;
        proved += usize::from(surely_set);
        for _ in 0..20 {
            // Each run goes on with the randomness of the one before.
            let served = block_on(program.serve(&fixture.environment(), request(Method::GET, "/0", &[], "")));
            let ran = block_on(read(&program, served));
            let told = || format!("seed {seed}: {:?}\n{:?}", ran.path(), fixture.problems());
            assert!(ran.text() != "no-answer" && ran.text() != "panic", "{}", told());
            assert!(ran.decision.steps.iter().all(|step| step.outcome != "unfinished"), "{}", told());
            assert!(!surely_set || ran.header("x-wanted") != "nobody", "{}", told());
        }
    }
    assert!(
        taken > 40 && proved > 20 && loops > 10,
        "{taken} taken, {proved} without doubt, {loops} with loops: too few to say anything"
    );
}
