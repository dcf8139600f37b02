//! What is known at one point of a run: which attributes are surely set, and which may be.

use std::collections::{BTreeSet, HashMap};

use smallvec::SmallVec;

use super::super::model::{ChainId, PolicyId};

/// An attribute, numbered.
pub(super) type Attribute = usize;

/// There is a response.
pub(super) const RESPONSE: Attribute = 0;
/// Something failed before.
pub(super) const FAILURE: Attribute = 1;
/// The request's body was streamed away.
pub(super) const BODY_GONE: Attribute = 2;
/// The request's body is in memory, where it stays.
pub(super) const BODY_HELD: Attribute = 3;

/// The request's body may have been streamed away by a filter that came to nothing: it is still there where it is empty.
pub(super) const BODY_TRIED: Attribute = 4;
/// The method gives bodies no meaning (RFC 9110, sections 9.3.1 and 9.3.2).
pub(super) const BODILESS: Attribute = 5;

/// The numbers of attributes.
pub(super) struct Numbers(HashMap<String, Attribute>);

impl Numbers {
    pub(super) fn new() -> Self {
        let fixed = [
            ("response", RESPONSE),
            ("failure", FAILURE),
            (" body gone", BODY_GONE),
            (" body held", BODY_HELD),
            (" body tried", BODY_TRIED),
            (" bodiless", BODILESS),
        ];
        Numbers(fixed.map(|(name, number)| (name.to_owned(), number)).into())
    }

    /// The first number that is not given away.
    pub(super) fn free(&self) -> Attribute {
        self.0.len()
    }

    /// All names with their numbers.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, Attribute)> {
        self.0.iter().map(|(name, number)| (name.as_str(), *number))
    }

    pub(super) fn of(&mut self, name: &str) -> Attribute {
        if let Some(number) = self.0.get(name) {
            return *number;
        }
        let number = self.0.len();
        self.0.insert(name.to_owned(), number);
        number
    }
}

/// A set of attributes. Few policies have more than 128, and states are copied all the time.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Set(SmallVec<[u64; 2]>);

impl Set {
    fn has(&self, attribute: Attribute) -> bool {
        self.0.get(attribute / 64).is_some_and(|word| word >> (attribute % 64) & 1 == 1)
    }

    fn add(&mut self, attribute: Attribute) {
        let word = attribute / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (attribute % 64);
    }

    fn remove(&mut self, attribute: Attribute) {
        if let Some(word) = self.0.get_mut(attribute / 64) {
            *word &= !(1 << (attribute % 64));
        }
        self.trim();
    }

    fn both(&mut self, other: &Set) {
        self.0.truncate(other.0.len());
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| *own &= other);
        self.trim();
    }

    fn either(&mut self, other: &Set) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| *own |= other);
    }

    /// Equal sets have one form.
    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }
}

/// What is known at one point.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct State {
    sure: Set,
    maybe: Set,
    /// A filter ran that could not be built: anything may be set, and nothing is to be complained of.
    unknown: bool,
}

impl State {
    pub(super) fn sure(&self, attribute: Attribute) -> bool {
        self.unknown || self.sure.has(attribute)
    }

    /// The same where "anything may be set" is no proof.
    pub(super) fn proves(&self, attribute: Attribute) -> bool {
        self.sure.has(attribute)
    }

    pub(super) fn maybe(&self, attribute: Attribute) -> bool {
        self.unknown || self.maybe.has(attribute)
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.unknown
    }

    /// Nothing is known any more.
    pub(super) fn unknown(mut self) -> Self {
        self.unknown = true;
        self
    }

    pub(super) fn set(&mut self, attribute: Attribute) {
        self.sure.add(attribute);
        self.maybe.add(attribute);
    }

    pub(super) fn with(mut self, attribute: Attribute) -> Self {
        self.set(attribute);
        self
    }

    pub(super) fn may_set(&mut self, attribute: Attribute) {
        self.maybe.add(attribute);
    }

    pub(super) fn unset(&mut self, attribute: Attribute) {
        self.sure.remove(attribute);
        self.maybe.remove(attribute);
    }

    pub(super) fn without(mut self, attribute: Attribute) -> Self {
        self.unset(attribute);
        self
    }

    /// Where two ways meet.
    pub(super) fn join(&mut self, other: &State) {
        self.sure.both(&other.sure);
        self.maybe.either(&other.maybe);
        self.unknown |= other.unknown;
    }

    /// Whatever is set, only may be.
    pub(super) fn doubted(mut self) -> Self {
        self.sure = Set::default();
        self
    }
}

/// A point that is reached on some ways, or on none.
#[derive(Clone, Default)]
pub(super) struct Point(pub(super) Option<State>);

impl Point {
    pub(super) fn join(&mut self, state: &State) {
        match &mut self.0 {
            Some(own) => own.join(state),
            None => self.0 = Some(state.clone()),
        }
    }

    pub(super) fn join_point(&mut self, other: &Point) {
        if let Some(state) = &other.0 {
            self.join(state);
        }
    }
}

/// The end of a run that is no failure.
#[derive(Clone, Default)]
pub(super) struct End {
    pub(super) point: Point,
    /// The chains at whose end the run can be over without a response.
    pub(super) bare: BTreeSet<(PolicyId, ChainId)>,
}

impl End {
    pub(super) fn join(&mut self, other: &End) {
        self.point.join_point(&other.point);
        self.bare.extend(&other.bare);
    }
}

/// All ways in which a run from a chain can end.
#[derive(Clone, Default)]
pub(super) struct Ends {
    /// The chain is through: a success, unless a move before said otherwise.
    pub(super) end: End,
    /// A success on purpose (`as = "success"`), whatever was before.
    pub(super) success: End,
    pub(super) answered: Point,
    pub(super) failure: Point,
    pub(super) abort: Point,
}

impl Ends {
    /// All that is no failure, as the caller of the run sees it.
    pub(super) fn succeeded(&self) -> End {
        let mut all = self.end.clone();
        all.join(&self.success);
        all
    }
}
