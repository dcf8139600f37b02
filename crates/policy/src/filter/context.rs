//! What a filter is given while it is built, and what it says of itself by using it.

use std::any::Any;
use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::ErasedFilter;
use super::ending::Endings;
use crate::attribute::{Key, Slot};
use crate::compile::{Layout, NodeFacts, Shared};
use crate::diagnostic::{Diagnostic, Diagnostics, Place, Problem, SourceFile, Span, codes};
use crate::outcome::{BAD_REQUEST, BAD_RESPONSE, BODY_TOO_LARGE, ReasonCode};
use crate::ports::{DOCUMENTS, FOLDER, VALUE};
use crate::reader::SecretError;
use crate::selector::{Dynamic, Getter};
use crate::settings::Spanned;
use crate::value::{FromValue, Type, Value};

/// Whether a filter sets the response and ends the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answers {
    /// It never does.
    #[default]
    Never,
    /// It may.
    Sometimes,
    /// Whenever it does not fail.
    Always,
}

/// To whom a filter gives again what the filters after it made of another request (`cache`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    /// To whoever asks for the same URL, as long as nothing before it has decided who may pass.
    ToAll,
    /// To whoever has the same key, which is what the filter goes by.
    ByKey,
}

/// How a filter refuses requests that does not decide who may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judges {
    /// Requests that are the same in what it goes by are judged the same.
    Alike,
    /// Each request counts.
    Each,
}

/// Something that a filter goes by: a selector in its settings, or what it looks at on its own.
#[derive(Clone, Debug)]
pub struct GoesBy {
    /// In the words of selectors: `request.header.x-tenant`, `client.id`.
    pub name: String,
    /// Where it is written.
    pub place: Place,
    /// The variable that is made of it, where the filter sets several.
    pub into: Option<String>,
}

/// The fact that a filter sets a request header of this name (lower case). The engine drops what the client sent under that
/// name before the policy runs, on whatever branch the filter stands: nobody outside can forge what an upstream believes.
pub const INJECTED_HEADER: &str = "injected-header";

/// One read of an attribute, for the flow check.
#[derive(Clone, Debug)]
pub struct Read {
    /// The attribute: `client`, `vars.x`, `input.x`, `response`, `failure`.
    pub attribute: String,
    /// Where the read stands.
    pub place: Place,
    /// A missing value is expected: there is a default.
    pub optional: bool,
}

/// What a filter said of itself while it was built: the flow check needs no second statement.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// What it reads.
    pub reads: Vec<Read>,
    /// What it sets when it succeeds.
    pub writes: Vec<String>,
    /// Of these, what may be absent nevertheless: a value that is absent on purpose.
    pub leaves_absent: Vec<String>,
    /// The failures that it can end in. Missing attributes come to them where the flow check does not prove that they are there.
    pub failures: Endings,
    /// The faults that it can end in.
    pub faults: Endings,
    /// It needs the request's body in memory.
    pub reads_request_body: bool,
    /// It needs the response's body in memory.
    pub reads_response_body: bool,
    /// It sends the request's body away.
    pub streams_request_body: bool,
    /// It leaves a response and goes on.
    pub sets_response: bool,
    /// Whether it ends the run with a response.
    pub answers: Answers,
    /// What it takes off when it succeeds.
    pub removes: Vec<String>,
    /// It never ends in success: the filter after it does not run.
    pub always_fails: bool,
    /// It answers `OPTIONS`, so that the router gives it those of its policy's paths.
    pub serves_options: bool,
    /// It decides who may pass (a `when` around it is suspicious).
    pub authorizes: bool,
    /// What it goes by.
    pub goes_by: Vec<GoesBy>,
    /// It may refuse a request by what it goes by, though it does not decide who may pass.
    pub judges: Option<Judges>,
    /// What it goes by makes no difference to what is sent to the upstream or answered.
    pub shapes_nothing: bool,
    /// It puts another path in the place of the client's, which need not have what the route took of that.
    pub sets_path: bool,
    /// All that it does is edit the headers of the answer there is.
    pub edits_headers: bool,
    /// It gives answers again.
    pub repeats: Option<Repeats>,
    /// The stores, upstreams and values it uses: their kind, and the name with its place (its own, where the name is a default).
    pub uses: Vec<(String, Spanned<String>)>,
    /// What it tells other filters of the program (metadata).
    pub facts: Vec<(&'static str, Value)>,
    /// Warnings of its settings: a variable that is not set, where nothing is to run.
    pub warnings: Diagnostics,
}

/// Given to [`FilterConfig::build`](super::FilterConfig::build).
pub struct BuildContext<'a> {
    pub(crate) shared: &'a Shared<'a>,
    pub(crate) layout: &'a mut Layout,
    /// The filter's own table.
    pub(crate) place: Place,
    /// A name for kept state: see [`BuildContext::id`].
    pub(crate) id: String,
    pub(crate) stands_first: bool,
    pub(crate) effects: Effects,
    pub(crate) inputs: &'a BTreeMap<String, Type>,
    pub(crate) repeated_refused: bool,
    /// What is to be looked up before the filter runs, by what is written.
    pub(crate) look_ups: Vec<(String, Box<dyn ErasedFilter>)>,
}

impl Effects {
    /// The stores and upstreams among what it uses: what can be down. Documents are not among them: they are remembered; and folders are of the
    /// node itself.
    pub(crate) fn things(&self) -> impl Iterator<Item = &(String, Spanned<String>)> {
        self.uses.iter().filter(|(kind, _)| ![VALUE, DOCUMENTS, FOLDER].contains(&kind.as_str()))
    }
}

impl BuildContext<'_> {
    /// The file that the filter stands in.
    pub fn file(&self) -> &Arc<SourceFile> {
        &self.place.file
    }

    /// The place of a span in the filter's file.
    pub fn place(&self, span: Span) -> Place {
        self.place.with_span(span)
    }

    /// The place of the filter itself.
    pub fn own_place(&self) -> Place {
        self.place.clone()
    }

    /// A name for the filter, the same on every node that has the same policies, and whatever filters come and go beside it:
    /// `policy/chain/type/name`, and which of those that are called so.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// An error at a setting.
    pub fn error(&self, span: Span, message: impl Into<String>, help: impl Into<String>) -> Diagnostic {
        Problem::error(codes::BAD_VALUE, message).with_help(help).at(self.place(span))
    }

    /// Warns of something in the settings that is taken nevertheless.
    pub fn warn(&mut self, warning: Diagnostic) {
        self.effects.warnings.push(warning);
    }

    /// Compiles what reads `vars.NAME` as the filter itself has set it by then: that is no read of what came before.
    pub fn within_var<T>(&mut self, name: &str, compile: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.effects.reads.len();
        let compiled = compile(self);
        let attribute = format!("vars.{name}");
        let mut index = 0;
        self.effects.reads.retain(|read| {
            index += 1;
            index <= before || read.attribute != attribute
        });
        compiled
    }

    /// Compiles what `vars.NAME` is made of, in a filter that sets several variables.
    pub fn for_var<T>(&mut self, name: &str, compile: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.effects.goes_by.len();
        let compiled = compile(self);
        self.effects.goes_by[before..].iter_mut().for_each(|by| by.into = Some(name.to_owned()));
        compiled
    }

    /// Compiles what makes no difference to a request or its answer: the filter does not go by it.
    pub fn aside<T>(&mut self, compile: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.effects.goes_by.len();
        let compiled = compile(self);
        self.effects.goes_by.truncate(before);
        compiled
    }

    /// Says that the filter reads this attribute, and gives its slot.
    pub fn reads<T: Send + Sync + 'static>(&mut self, key: &Key<T>) -> Slot<T> {
        self.read(key.name(), self.place.span, false);
        Slot::new(self.layout.slot(key.name()), key.name())
    }

    /// The same where the filter does without when it is absent.
    pub fn reads_if_set<T: Send + Sync + 'static>(&mut self, key: &Key<T>) -> Slot<T> {
        self.read(key.name(), self.place.span, true);
        Slot::new(self.layout.slot(key.name()), key.name())
    }

    /// Says that the filter sets this attribute when it succeeds, and gives its slot.
    pub fn writes<T: Send + Sync + 'static>(&mut self, key: &Key<T>) -> Slot<T> {
        self.effects.writes.push(key.name().to_owned());
        Slot::new(self.layout.slot(key.name()), key.name())
    }

    /// Says that the filter sets `vars.NAME` when it succeeds.
    pub fn writes_var(&mut self, name: &str) -> Slot<Value> {
        let attribute = format!("vars.{name}");
        let slot = Slot::new(self.layout.slot(&attribute), "vars");
        self.effects.writes.push(attribute);
        slot
    }

    /// The same where it may leave the variable absent though it succeeds.
    pub fn may_write_var(&mut self, name: &str) -> Slot<Value> {
        self.effects.leaves_absent.push(format!("vars.{name}"));
        self.writes_var(name)
    }

    /// States failures that the filter can end in: what it decides, and what a request may lack. What it fails with since a
    /// setting's selector has no value, or since the request's body cannot be read, is stated by who compiles or reads it.
    pub fn fails(&mut self, codes: &[ReasonCode]) {
        codes.iter().for_each(|code| self.effects.failures.add(*code, false));
    }

    /// States failures that take something out of the ordinary, so that no test of a policy has to show them.
    pub fn fails_rarely(&mut self, codes: &[ReasonCode]) {
        codes.iter().for_each(|code| self.effects.failures.add(*code, true));
    }

    /// States faults that the filter can end in.
    pub fn aborts(&mut self, codes: &[ReasonCode]) {
        codes.iter().for_each(|code| self.effects.faults.add(*code, false));
    }

    /// States faults that take something out of the ordinary, so that no test of a policy has to show them.
    pub fn aborts_rarely(&mut self, codes: &[ReasonCode]) {
        codes.iter().for_each(|code| self.effects.faults.add(*code, true));
    }

    /// Compiles a setting; its selectors count as reads.
    pub fn dynamic<T: FromValue + Clone>(&mut self, setting: &Dynamic<T>) -> Result<Getter<T>, Diagnostics> {
        crate::selector::compile(setting, self)
    }

    /// Compiles a setting that is a path for an upstream: [`Getter::path`] gives it.
    pub fn path(&mut self, setting: &Dynamic<String>) -> Result<Getter<String>, Diagnostics> {
        crate::selector::compile_path(setting, self)
    }

    /// The thing of this kind and name: a store, an upstream. `T` is what the caller and the library agreed on.
    pub fn resource<T: Any + Send + Sync>(
        &mut self,
        kind: &str,
        name: &Spanned<String>,
    ) -> Result<Arc<T>, Diagnostics> {
        self.effects.uses.push((kind.to_owned(), name.clone()));
        let thing =
            self.shared.resources.get(kind, &name.value).map_err(|problem| problem.at(self.place(name.span)))?;
        thing.downcast::<T>().map_err(|_| {
            Problem::error(codes::BAD_VALUE, format!("{kind} `{}` cannot be used here", name.value))
                .at(self.place(name.span))
                .into()
        })
    }

    /// The same for one that is named in one of the library's own files (`oauth/server.toml`), at this place.
    pub fn resource_at<T: Any + Send + Sync>(
        &mut self,
        kind: &str,
        name: &str,
        at: Place,
    ) -> Result<Arc<T>, Diagnostics> {
        self.effects.uses.push((kind.to_owned(), Spanned { span: self.place.span, value: name.to_owned() }));
        let thing = self.shared.resources.get(kind, name).map_err(|problem| problem.at(at.clone()))?;
        thing
            .downcast::<T>()
            .map_err(|_| Problem::error(codes::BAD_VALUE, format!("{kind} `{name}` cannot be used here")).at(at).into())
    }

    /// What the node itself gives to filters, under this word: nothing that an operator names, or that could be down.
    pub fn of_node<T: Any + Send + Sync>(&self, kind: &str) -> Result<Arc<T>, Diagnostics> {
        let thing = self.shared.resources.get(kind, "").map_err(|problem| problem.at(self.own_place()))?;
        let unusable = || Problem::error(codes::BAD_VALUE, format!("{kind} cannot be used here")).at(self.own_place());
        thing.downcast::<T>().map_err(|_| unusable().into())
    }

    /// The settings of one of the library's own files (`oauth/server.toml`), parsed once a load; `None` where there is no such file.
    pub fn settings_file<T: DeserializeOwned + Send + Sync + 'static>(
        &mut self,
        path: &str,
    ) -> Result<Option<Arc<T>>, Diagnostics> {
        self.shared.settings_file(path)
    }

    /// Whether a setting of one of the library's own files lacks the variable or file that it names, where that is but a warning
    /// (`check`): what is read is empty then, and no problem of its own.
    pub fn settings_lack(&self, path: &str, span: Span) -> bool {
        self.shared.settings_lack(path, span)
    }

    /// A place in one of the library's own files, for what is wrong there; `None` where there is no such file.
    pub fn settings_place(&self, path: &str, span: Span) -> Option<Place> {
        self.shared.settings_place(path, span)
    }

    /// What policies may know of the node they run on.
    pub fn node(&self) -> &NodeFacts {
        self.shared.node
    }

    /// The content of a file that a setting names; the path is relative to the configuration folder. Read at every load.
    pub fn content(&self, path: &Spanned<String>) -> Result<bytes::Bytes, Diagnostics> {
        let problem = match self.shared.outside.content(&path.value) {
            Ok(content) => return Ok(content.into()),
            Err(SecretError::Missing) => format!("there is no file `{}`", path.value),
            Err(SecretError::Unreadable(why)) => format!("the file `{}` cannot be read: {why}", path.value),
        };
        Err(Problem::error(codes::MISSING_OUTSIDE, problem)
            .with_help("the path is relative to the configuration folder")
            .at(self.place(path.span))
            .into())
    }

    /// State that outlives a reload, as long as the place and the shape (the settings it was made for) stay the same.
    pub fn keep<T: Any + Send + Sync>(&mut self, shape: impl Hash, make: impl FnOnce() -> T) -> Arc<T> {
        self.shared.keeper.keep(&self.id, shape, make)
    }

    /// Says that the filter needs the request's body in memory.
    pub fn reads_request_body(&mut self) {
        self.effects.reads_request_body = true;
        self.fails_rarely(&[BODY_TOO_LARGE, BAD_REQUEST]);
    }

    /// Says that the filter needs a response, and not its body.
    pub fn reads_response(&mut self) {
        self.read("response", self.place.span, false);
    }

    /// Says that the filter needs the response's body in memory.
    pub fn reads_response_body(&mut self) {
        self.reads_response();
        self.holds_response_body();
    }

    pub(crate) fn holds_response_body(&mut self) {
        self.effects.reads_response_body = true;
        self.aborts_rarely(&[BAD_RESPONSE]);
    }

    /// Says that the filter sends the request's body away: it fails where the body outgrows a limit meanwhile.
    pub fn streams_request_body(&mut self) {
        self.effects.streams_request_body = true;
        self.fails_rarely(&[BODY_TOO_LARGE]);
    }

    /// Says that the filter leaves a response for the filters after it.
    pub fn sets_response(&mut self) {
        self.effects.sets_response = true;
    }

    /// Says that the filter ends the run with a response.
    pub fn answers(&mut self, answers: Answers) {
        self.effects.answers = answers;
    }

    /// Says that the filter takes `vars.NAME` off when it succeeds, and gives its slot.
    pub fn removes_var(&mut self, name: &str) -> Slot<Value> {
        let attribute = format!("vars.{name}");
        let slot = Slot::new(self.layout.slot(&attribute), "vars");
        self.effects.removes.push(attribute);
        slot
    }

    /// Says that the filter never ends in success (`fail`): a branch that ends with it sets nothing for what comes after.
    pub fn always_fails(&mut self) {
        self.effects.always_fails = true;
    }

    /// Whether the filter is the first of its policy: nothing runs before it but other policies.
    pub fn stands_first(&self) -> bool {
        self.stands_first
    }

    /// Says that the filter answers `OPTIONS` (`cors`): where it is the first of its policy, whatever the request, the router
    /// gives that policy the `OPTIONS` of its paths; where it is the first of a policy that runs before others, those of theirs.
    pub fn serves_options(&mut self) {
        self.effects.serves_options = true;
    }

    /// Says that the filter decides who may pass.
    pub fn authorizes(&mut self) {
        self.effects.authorizes = true;
    }

    /// Says that the filter may refuse a request by what it goes by, though it does not decide who may pass.
    pub fn judges(&mut self, how: Judges) {
        self.effects.judges = Some(how);
    }

    /// Says that the filter puts another path in the place of the client's.
    pub fn sets_path(&mut self) {
        self.effects.sets_path = true;
    }

    /// Says that what the filter goes by makes no difference to what is sent to the upstream or answered, but by the attributes that it sets: it
    /// tells, counts, waits, or decides whether the request goes on. What any other filter goes by shapes the answer.
    pub fn shapes_nothing(&mut self) {
        self.effects.shapes_nothing = true;
    }

    /// Says that all the filter does is edit the headers of the answer there is: in `[[response]]` it is run once more for the
    /// built-in answer that takes the place of another one.
    pub fn edits_headers(&mut self) {
        self.effects.edits_headers = true;
    }

    /// Says that the filter gives again what the filters after it made of another request.
    pub fn repeats(&mut self, to: Repeats) {
        self.effects.repeats = Some(to);
    }

    /// Says what the filter goes by on its own, in the words of selectors; those in its settings count by themselves.
    pub fn goes_by(&mut self, name: &str) {
        self.goes_by_at(name.to_owned(), self.place.span);
    }

    pub(crate) fn goes_by_at(&mut self, name: String, span: Span) {
        let place = self.place(span);
        self.effects.goes_by.push(GoesBy { name, place, into: None });
    }

    /// Tells other filters something about this policy; they find it in the program's catalogue.
    pub fn publish(&mut self, name: &'static str, value: Value) {
        self.effects.facts.push((name, value));
    }

    pub(crate) fn read(&mut self, attribute: &str, span: Span, optional: bool) {
        let place = self.place(span);
        self.effects.reads.push(Read { attribute: attribute.to_owned(), place, optional });
    }
}
