//! What nodes in neighbouring phases do to one key at once, with somebody who copies: every order of their calls to the sources, or
//! many by chance where there are too many. What each was answered must be what one source alone could have answered to calls one
//! after the other (it is linearizable): of those who replace or take a version one wins, what is dead stays dead, what lives is
//! found.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::*;

const KEY: &[u8] = b"k";

/// Memory that lets others go first, before each of its verbs.
struct Stepped(Arc<Memory>);

async fn step() {
    let mut stepped = false;
    std::future::poll_fn(move |_| if std::mem::replace(&mut stepped, true) { Poll::Ready(()) } else { Poll::Pending })
        .await;
}

impl DataSource for Stepped {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    fn prepare(&self) -> Verb<'_, ()> {
        self.0.prepare()
    }
    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move {
            step().await;
            self.0.get(table, key).await
        })
    }
    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool> {
        Box::pin(async move {
            step().await;
            self.0.insert(table, row).await
        })
    }
    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool> {
        Box::pin(async move {
            step().await;
            self.0.replace(table, row, expected).await
        })
    }
    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move {
            step().await;
            self.0.take(table, key).await
        })
    }
    fn find<'a>(
        &'a self,
        table: &'static Table,
        index: usize,
        value: &'a str,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>> {
        self.0.find(table, index, value, after, limit)
    }
    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        Box::pin(async move {
            step().await;
            self.0.list(table, after, limit).await
        })
    }
    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        self.0.remove(table, index, value, limit)
    }
    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        self.0.sweep(table, before, limit)
    }
    fn health(&self) -> Verb<'_, Health> {
        self.0.health()
    }
}

/// What a node asks for. Every content is written once, so that content and version are the same question.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ask {
    Get,
    List,
    Insert,
    Take,
    /// A get, and a replace of what it gave.
    Update,
}

/// When a call is answered that is not.
const NEVER: usize = usize::MAX;

/// A call and what came of it.
#[derive(Clone, Debug)]
enum Done {
    Read(Option<String>),
    Insert(String, bool),
    Take(Option<String>),
    /// A take whose answer never came.
    Delete,
    Replace {
        from: String,
        to: String,
        done: bool,
    },
}

#[derive(Clone, Debug)]
#[allow(dead_code, reason = "who it was is for the person who reads a failure")]
struct Event {
    who: String,
    called: usize,
    answered: usize,
    done: Done,
}

/// All calls, in the order of their answers.
#[derive(Default)]
struct History {
    time: Cell<usize>,
    events: RefCell<Vec<Event>>,
}

impl History {
    fn now(&self) -> usize {
        self.time.set(self.time.get() + 1);
        self.time.get()
    }

    /// A call: what would come of it where its answer never comes, and then its answer.
    async fn call<T>(&self, who: &str, lost: Done, call: Verb<'_, T>, done: impl FnOnce(&T) -> Done) -> T {
        let event = Event { who: who.to_owned(), called: self.now(), answered: NEVER, done: lost };
        let at = self.events.borrow().len();
        self.events.borrow_mut().push(event);
        let answer = call.await.unwrap();
        let answered = self.now();
        let event = &mut self.events.borrow_mut()[at];
        (event.answered, event.done) = (answered, done(&answer));
        answer
    }

    async fn ask(&self, who: &str, source: &dyn DataSource, ask: Ask, content: &str) {
        // Each row that is made has a version of its own: one source alone takes a row that was deleted and made again, between a read
        // and a write by its version, for the one that was read, and so do two.
        let row = Row { record: content.to_owned(), version: 10 * self.now() as i64, ..row("k", "") };
        let record = |row: &Option<Row>| row.as_ref().map(|row| row.record.clone());
        let nothing = Done::Replace { from: String::new(), to: String::new(), done: false };
        match ask {
            Ask::Get => {
                self.call(who, nothing, source.get(&CLIENT, KEY), |found| Done::Read(record(found))).await;
            }
            Ask::List => {
                let list = source.list(&CLIENT, None, 9);
                self.call(who, nothing, list, |rows| Done::Read(rows.first().map(|row| row.record.clone()))).await;
            }
            Ask::Insert => {
                let insert = |done| Done::Insert(content.to_owned(), done);
                self.call(who, insert(true), source.insert(&CLIENT, row), |done| insert(*done)).await;
            }
            Ask::Take => {
                self.call(who, Done::Delete, source.take(&CLIENT, KEY), |found| Done::Take(record(found))).await;
            }
            Ask::Update => {
                let read = self.call(who, nothing, source.get(&CLIENT, KEY), |found| Done::Read(record(found))).await;
                let Some(found) = read else { return };
                let replace = |done| Done::Replace { from: found.record.clone(), to: content.to_owned(), done };
                let call = source.replace(&CLIENT, row, found.version);
                self.call(who, replace(true), call, |done| replace(*done)).await;
            }
        }
    }

    /// Whether one source could have answered so, one call after the other.
    fn is_linearizable(&self, before: Option<&str>) -> bool {
        let events = self.events.borrow();
        let mut left: Vec<&Event> = events.iter().collect();
        left.sort_by_key(|event| event.called);
        fits(&mut left, before.map(str::to_owned))
    }
}

fn fits(left: &mut Vec<&Event>, now: Option<String>) -> bool {
    // Any call may be next that was made before the first of the others was answered. One that was never answered need not be.
    let first = left.iter().map(|event| event.answered).min().unwrap_or(NEVER);
    if first == NEVER {
        return true;
    }
    for at in 0..left.len() {
        let event = left[at];
        if event.called > first {
            continue;
        }
        let after = match &event.done {
            Done::Read(found) => (*found == now).then(|| now.clone()),
            Done::Take(found) => (*found == now).then_some(None),
            Done::Delete => Some(None),
            Done::Insert(content, true) => now.is_none().then(|| Some(content.clone())),
            Done::Insert(_, false) => now.is_some().then(|| now.clone()),
            Done::Replace { from, to, done: true } => (now.as_ref() == Some(from)).then(|| Some(to.clone())),
            // Who was not first reads again, and also who read before the key was handed over.
            Done::Replace { done: false, .. } => Some(now.clone()),
        };
        if let Some(after) = after {
            left.remove(at);
            if fits(left, after) {
                return true;
            }
            left.insert(at, event);
        }
    }
    false
}

/// Where the key is when it begins.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Start {
    Nowhere,
    /// Nowhere, and an earlier move out of the new source left its mark there.
    Left,
    Old,
    /// In the old source, with such a mark in the new one.
    OldLeft,
    /// In the old source, with a copy in the new one.
    Copied,
    /// In the old source, with a copy of what it was before.
    Stale,
    /// Taken from the old source, with a copy that stayed.
    Dead,
    /// Taken, by a node that knows of moves.
    Gone,
    /// The copy counts.
    Moved,
    /// In the new source, of its own.
    Settled,
    /// Handed over, and taken.
    Taken,
}

const NOT_MOVED: [Start; 8] =
    [Start::Nowhere, Start::Left, Start::Old, Start::OldLeft, Start::Copied, Start::Stale, Start::Dead, Start::Gone];
const MOVED: [Start; 3] = [Start::Moved, Start::Settled, Start::Taken];

impl Start {
    /// Makes it, and says what stands there.
    async fn make(self, pair: &Pair) -> Option<&'static str> {
        if matches!(self, Start::Left | Start::OldLeft) {
            let left = instead(&CLIENT, &row("k", ""), Mark::Moved(1));
            assert!(pair.new.insert(&CLIENT, left).await.unwrap());
        }
        if matches!(self, Start::Nowhere | Start::Left) {
            return None;
        }
        pair.before.insert(&CLIENT, row("k", "\"first\"")).await.unwrap();
        let copied = !matches!(self, Start::Old | Start::OldLeft | Start::Gone);
        if copied {
            pair.next.sides.copy(&CLIENT, KEY).await.unwrap().unwrap();
        }
        match self {
            Start::Nowhere | Start::Left | Start::Old | Start::OldLeft | Start::Copied => {}
            Start::Stale => {
                pair.change(&pair.before, "k", "\"start\"").await;
                return Some("\"start\"");
            }
            Start::Dead => drop(pair.before.take(&CLIENT, KEY).await.unwrap()),
            Start::Gone => drop(pair.next.take(&CLIENT, KEY).await.unwrap()),
            Start::Moved => drop(pair.next.sides.hand_over(&CLIENT, KEY, 1).await.unwrap().unwrap()),
            Start::Settled => pair.next.sides.settle(&CLIENT, KEY).await.unwrap(),
            Start::Taken => {
                pair.next.sides.settle(&CLIENT, KEY).await.unwrap();
                pair.next.take(&CLIENT, KEY).await.unwrap().unwrap();
            }
        }
        (!matches!(self, Start::Dead | Start::Gone | Start::Taken)).then_some("\"first\"")
    }
}

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    Before,
    Next,
    Previous,
    After,
}

/// What somebody does beside the nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Beside {
    Nothing,
    Copy,
    Settle,
}

struct Scene {
    start: Start,
    nodes: Vec<(Who, Ask)>,
    beside: Beside,
    /// Who looks when all is over: these, and once everything was settled the last ones.
    finally: Vec<Who>,
    /// One of them ends in the middle: which, the copier last, and after how many steps.
    ends: Option<(usize, usize)>,
}

/// Decides who goes on.
trait Order {
    fn choose(&mut self, among: usize) -> usize;
}

/// Every order, one after the other.
#[derive(Default)]
struct All {
    taken: Vec<(usize, usize)>,
    at: usize,
}

impl Order for All {
    fn choose(&mut self, among: usize) -> usize {
        if self.at == self.taken.len() {
            self.taken.push((0, among));
        }
        self.at += 1;
        self.taken[self.at - 1].0
    }
}

impl All {
    /// The next one; `false` where there is none.
    fn next(&mut self) -> bool {
        self.at = 0;
        while let Some((choice, among)) = self.taken.pop() {
            if choice + 1 < among {
                self.taken.push((choice + 1, among));
                return true;
            }
        }
        false
    }
}

/// By chance, the same each time.
struct Chance(u64);

impl Order for Chance {
    fn choose(&mut self, among: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % among as u64) as usize
    }
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

impl Scene {
    fn run(&self, order: &mut dyn Order) {
        let pair = Pair::new();
        let before = now(self.start.make(&pair));
        let history = Rc::new(History::default());
        let mut tasks: Vec<Task> = Vec::new();
        for (number, (who, ask)) in self.nodes.iter().copied().enumerate() {
            let history = history.clone();
            let source = who.stepped(&pair);
            tasks.push(Box::pin(async move {
                let who = format!("{number} {who:?}");
                history.ask(&who, &*source, ask, &format!("\"of {number}\"")).await;
            }));
        }
        let sides = Sides::new(Arc::new(Stepped(pair.old.clone())), Arc::new(Stepped(pair.new.clone())));
        match self.beside {
            Beside::Nothing => {}
            Beside::Copy => tasks.push(Box::pin(async move { drop(sides.copy(&CLIENT, KEY).await.unwrap()) })),
            Beside::Settle => tasks.push(Box::pin(async move { sides.settle(&CLIENT, KEY).await.unwrap() })),
        }
        let mut context = Context::from_waker(Waker::noop());
        let mut tasks: Vec<(Option<usize>, Task)> = tasks.into_iter().map(|task| (None, task)).collect();
        if let Some((at, steps)) = self.ends {
            tasks[at].0 = Some(steps);
        }
        while !tasks.is_empty() {
            let at = order.choose(tasks.len());
            let (steps, task) = &mut tasks[at];
            let ended = *steps == Some(0);
            *steps = steps.map(|steps| steps.saturating_sub(1));
            if ended || task.as_mut().poll(&mut context).is_ready() {
                drop(tasks.remove(at));
            }
        }
        for who in &self.finally {
            if *who == Who::After {
                now(pair.previous.sides.settle(&CLIENT, KEY)).unwrap();
                now(history.ask("settled", &pair.previous, Ask::Get, ""));
            }
            now(history.ask(&format!("finally {who:?}"), who.plain(&pair), Ask::Get, ""));
        }
        let Scene { start, nodes, beside, .. } = self;
        assert!(
            history.is_linearizable(before),
            "{start:?} {nodes:?} {beside:?}\n{:#?}\nold {:?}\nnew {:?}",
            history.events.borrow(),
            now(pair.old.get(&CLIENT, KEY)),
            now(pair.new.get(&CLIENT, KEY)),
        );
    }
}

impl Who {
    fn plain(self, pair: &Pair) -> &dyn DataSource {
        match self {
            Who::Before => &pair.before,
            Who::Next => &pair.next,
            Who::Previous => &pair.previous,
            Who::After => &pair.after,
        }
    }

    fn stepped(self, pair: &Pair) -> Rc<dyn DataSource> {
        let (old, new) = (Arc::new(Stepped(pair.old.clone())), Arc::new(Stepped(pair.new.clone())));
        match self {
            Who::Before => Rc::new(Alone::new(old)),
            Who::Next => Rc::new(Moving::new(old, new, Phase::Next)),
            Who::Previous => Rc::new(Moving::new(old, new, Phase::Previous)),
            Who::After => Rc::new(Alone::new(new)),
        }
    }
}

/// The output of a future that waits for nobody.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// Two neighbouring phases, where a key may be then, and what may be copied.
struct Stage {
    phases: [Who; 2],
    starts: Vec<Start>,
    beside: &'static [Beside],
    finally: Vec<Who>,
}

fn stages() -> [Stage; 3] {
    let all: Vec<Start> = NOT_MOVED.into_iter().chain(MOVED).collect();
    // Once `previous` may be taken out, nothing in the old source counts any more, and no copy is left.
    let over = vec![Start::Nowhere, Start::Gone, Start::Settled, Start::Taken];
    let (copies, moves) = (&[Beside::Copy] as &[_], &[Beside::Copy, Beside::Settle] as &[_]);
    [
        Stage {
            phases: [Who::Before, Who::Next],
            starts: NOT_MOVED.to_vec(),
            beside: copies,
            finally: vec![Who::Before, Who::Next],
        },
        Stage {
            phases: [Who::Next, Who::Previous],
            starts: all,
            beside: moves,
            finally: vec![Who::Next, Who::Previous, Who::After],
        },
        Stage {
            phases: [Who::Previous, Who::After],
            starts: over,
            beside: &[Beside::Settle],
            finally: vec![Who::Previous, Who::After],
        },
    ]
}

const ASKS: [Ask; 5] = [Ask::Get, Ask::List, Ask::Insert, Ask::Take, Ask::Update];

/// Every pair of nodes of a stage, each with something to ask; those that both only read need no proof.
fn scenes(stage: &Stage, asks: &[Ask], beside: Beside, mut with: impl FnMut(Scene)) {
    let [one, other] = stage.phases;
    for (first, second) in [(one, one), (one, other), (other, other)] {
        for (start, ask, also) in
            stage.starts.iter().flat_map(|s| asks.iter().flat_map(move |a| asks.iter().map(move |b| (*s, *a, *b))))
        {
            let reads = |ask| matches!(ask, Ask::Get | Ask::List);
            if !(reads(ask) && reads(also)) {
                let nodes = vec![(first, ask), (second, also)];
                with(Scene { start, nodes, beside, finally: stage.finally.clone(), ends: None });
            }
        }
    }
}

#[test]
fn two_nodes_at_once_in_every_order() {
    let mut orders = 0_u64;
    for stage in stages() {
        scenes(&stage, &[Ask::Get, Ask::Insert, Ask::Take, Ask::Update], Beside::Nothing, |scene| {
            let mut all = All::default();
            loop {
                scene.run(&mut all);
                orders += 1;
                if !all.next() {
                    break;
                }
            }
        });
    }
    assert!(orders > 10_000, "only {orders} orders");
}

#[test]
fn one_node_and_somebody_who_copies_in_every_order() {
    for stage in stages() {
        for beside in stage.beside {
            for (start, who, ask) in stage
                .starts
                .iter()
                .flat_map(|s| stage.phases.iter().flat_map(move |w| ASKS.iter().map(move |a| (*s, *w, *a))))
            {
                let (nodes, finally) = (vec![(who, ask)], stage.finally.clone());
                let scene = Scene { start, nodes, beside: *beside, finally, ends: None };
                let mut all = All::default();
                loop {
                    scene.run(&mut all);
                    if !all.next() {
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn three_nodes_and_somebody_who_copies_in_many_orders() {
    let mut seed = 1;
    for stage in stages() {
        for beside in stage.beside {
            scenes(&stage, &ASKS, *beside, |mut scene| {
                for (number, ask) in ASKS.into_iter().enumerate() {
                    scene.nodes.truncate(2);
                    scene.nodes.push((stage.phases[number % 2], ask));
                    for _ in 0..8 {
                        seed += 1;
                        scene.run(&mut Chance(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed)));
                    }
                }
            });
        }
    }
}

/// A node that is killed, or a request whose client has gone: what it was at is done or not, and everything else is as it would be.
#[test]
fn a_node_that_ends_in_the_middle_in_many_orders() {
    let mut seed = 1_u64 << 32;
    for stage in stages() {
        for beside in [Beside::Nothing].iter().chain(stage.beside) {
            scenes(&stage, &ASKS, *beside, |mut scene| {
                let copier = (*beside != Beside::Nothing).then_some(scene.nodes.len());
                for (at, steps) in [Some(0), copier].into_iter().flatten().flat_map(|at| (0..8).map(move |s| (at, s))) {
                    scene.ends = Some((at, steps));
                    for _ in 0..3 {
                        seed += 1;
                        scene.run(&mut Chance(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed)));
                    }
                }
            });
        }
    }
}

/// An update that nobody disturbs is made, wherever the key is: to refuse all would be safe as well.
#[test]
fn a_lone_update_is_made() {
    for stage in stages() {
        for (start, who) in stage.starts.iter().flat_map(|s| stage.phases.iter().map(move |w| (*s, *w))) {
            let pair = Pair::new();
            let there = now(start.make(&pair));
            let history = History::default();
            now(history.ask("it", who.plain(&pair), Ask::Update, "\"new\""));
            let found = now(who.plain(&pair).get(&CLIENT, KEY)).unwrap().map(|row| row.record);
            assert_eq!(found.as_deref(), there.map(|_| "\"new\""), "{start:?} {who:?}");
        }
    }
}
