//! A library of filters for tests of the engine: each does one thing.

use http::{HeaderName, HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Fixture, Plain};
use crate::attribute::{Attribute, Field, Key, Slot};
use crate::diagnostic::Diagnostics;
use crate::exchange::{AfterRun, Exchange, HeaderEdit, Response};
use crate::filter::{Answers, BuildContext, Filter, FilterConfig, FilterKind, INJECTED_HEADER, Library, Role};
use crate::outcome::{Abort, Outcome, Reason, ReasonCode};
use crate::ports::{Background, BoxFuture};
use crate::value::{Type, Value};

/// The filters.
pub(crate) const LAB: Library = Library {
    filters: &[&[
        FilterKind::of::<Pass>(),
        FilterKind::of::<Fail>(),
        FilterKind::of::<AbortNow>(),
        FilterKind::of::<Answer>(),
        FilterKind::of::<AnswerSometimes>(),
        FilterKind::of::<Chance>(),
        FilterKind::of::<Seek>(),
        FilterKind::of::<Say>(),
        FilterKind::of::<SetVar>(),
        FilterKind::of::<Leave>(),
        FilterKind::of::<Mark>(),
        FilterKind::of::<Find>(),
        FilterKind::of::<Want>(),
        FilterKind::of::<Guard>(),
        FilterKind::of::<ReadBody>(),
        FilterKind::of::<SendBody>(),
        FilterKind::of::<ReadResponse>(),
        FilterKind::of::<Panic>(),
        FilterKind::of::<Header>(),
        FilterKind::of::<Options>(),
        FilterKind::of::<Look>(),
        FilterKind::of::<Fork>(),
        FilterKind::of::<Note>(),
        FilterKind::of::<Endpoint>(),
        FilterKind::of::<Resource>(),
    ]],
    attributes: &[&CLIENT as &dyn Attribute],
    plain: &Plain,
    look_up: None,
    lints: &[],
    settings: &[],
};

/// A fixture with them, and one policy on `/`.
pub(crate) fn policy(text: &str) -> Fixture {
    Fixture::new(LAB).policy("p", &format!("route = '/'\n{text}"))
}

/// An attribute.
pub(crate) static CLIENT: Key<String> = Key::new(
    "client",
    &[Field { name: "id", doc: "Its id.", of: Type::Text, optional: false, get: |id| Some(Value::text(id.as_str())) }],
);

macro_rules! simple {
    ($(#[$doc:meta])* $name:ident = $use:literal { $($field:ident: $type:ty),* } |$own:ident, $cx:ident| $build:block, |$this:ident, $x:ident| $run:block) => {
        $(#[$doc])*
        #[derive(Clone, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name { $(#[serde(default)] $field: $type),* }
        impl FilterConfig for $name {
            const TYPE: &'static str = $use;
            type Filter = Built<$name>;
            fn build(&self, $cx: &mut BuildContext<'_>) -> Result<Self::Filter, Diagnostics> {
                let $own = self;
                let slot = $build;
                Ok(Built { settings: self.clone(), slot })
            }
        }
        impl Filter for Built<$name> {
            async fn run(&self, $x: &mut Exchange) -> Result<Outcome, Abort> {
                let $this = self;
                $run
            }
        }
    };
}

/// A built filter of the lab.
pub(crate) struct Built<S> {
    settings: S,
    slot: Option<Slot<String>>,
}

simple! { Pass = "ok" {} |_own, _cx| { None }, |_this, _x| { Ok(Outcome::Success) } }

simple! {
    /// Fails; with a challenge where it has one.
    Fail = "fail" { reason: String, absent: bool, challenge: Option<String>, status: Option<u16>, always: bool }
    |own, cx| {
        if own.always {
            cx.always_fails();
        }
        cx.fails(&[ReasonCode::named(if own.reason.is_empty() { "refused" } else { &own.reason })]);
        None
    },
    |this, _x| {
        let code = if this.settings.reason.is_empty() { "refused" } else { &this.settings.reason };
        let mut reason = Reason::new(ReasonCode::named(code), "it says no");
        reason.absent = this.settings.absent;
        if let Some(status) = this.settings.status {
            reason.status = StatusCode::from_u16(status).unwrap();
        }
        if let Some(challenge) = &this.settings.challenge {
            reason.challenges.push(HeaderValue::from_str(challenge).unwrap());
        }
        Ok(Outcome::Failure(reason))
    }
}

simple! {
    AbortNow = "abort" { always: bool }
    |own, cx| {
        if own.always {
            cx.always_fails();
        }
        cx.aborts(&[ReasonCode::new("broken")]);
        None
    },
    |_this, _x| { Err(Abort::unavailable(ReasonCode::new("broken"), "it is broken")) }
}

simple! {
    /// Answers with a text.
    Answer = "answer" { text: String, status: Option<u16> } |_own, cx| { cx.answers(Answers::Always); None },
    |this, x| {
        let mut response = Response::new(StatusCode::from_u16(this.settings.status.unwrap_or(200)).unwrap());
        response.body = this.settings.text.clone().into();
        x.answer(response)
    }
}

simple! {
    /// Answers with a text, and might not.
    AnswerSometimes = "sometimes" { text: String } |_own, cx| { cx.answers(Answers::Sometimes); None },
    |this, x| {
        let mut response = Response::new(StatusCode::OK);
        response.body = this.settings.text.clone().into();
        x.answer(response)
    }
}

simple! {
    /// Leaves a response and goes on, as `proxy` does.
    Leave = "leave" { text: String } |_own, cx| { cx.sets_response(); None },
    |this, x| {
        let mut response = Response::new(StatusCode::OK);
        response.body = this.settings.text.clone().into();
        x.response = Some(response);
        Ok(Outcome::Success)
    }
}

simple! {
    /// Appends a word to the response header `x-mark`, now or later.
    Mark = "mark" { word: String } |_own, cx| { cx.edits_headers(); None },
    |this, x| {
        let word = HeaderValue::from_str(&this.settings.word).unwrap();
        x.edit_response_header(HeaderEdit::Append(HeaderName::from_static("x-mark"), word));
        Ok(Outcome::Success)
    }
}

simple! {
    /// Sets the attribute `client`.
    Find = "find" { id: String } |_own, cx| { Some(cx.writes(&CLIENT)) },
    |this, x| {
        x.set(this.slot.unwrap(), this.settings.id.clone());
        x.request.headers.insert("x-found", HeaderValue::from_static("yes"));
        Ok(Outcome::Success)
    }
}

simple! {
    /// Answers with the attribute `client`, or with `nobody`.
    Want = "want" { optional: bool, answers: bool }
    |own, cx| {
        if own.answers {
            cx.answers(Answers::Always);
        }
        Some(if own.optional { cx.reads_if_set(&CLIENT) } else { cx.reads(&CLIENT) })
    },
    |this, x| {
        let found = x.request.headers.contains_key("x-found");
        if x.get(this.slot.unwrap()).is_none() {
            x.edit_response_header(HeaderEdit::Set(HeaderName::from_static("x-wanted"), HeaderValue::from_static("nobody")));
        }
        let mut response = Response::new(StatusCode::OK);
        response.body = format!("{} {found}", x.get(this.slot.unwrap()).map_or("nobody", |id| id)).into();
        if this.settings.answers { x.answer(response) } else { Ok(Outcome::Success) }
    }
}

simple! {
    /// Does anything that a filter can do.
    Chance = "chance" {}
    |_own, cx| {
        cx.answers(Answers::Sometimes);
        cx.fails(&[ReasonCode::new("chance"), ReasonCode::new("absent")]);
        cx.aborts(&[ReasonCode::new("broken")]);
        None
    },
    |_this, x| {
        let [chance] = x.random::<1>();
        match chance % 8 {
            0..=3 => Ok(Outcome::Success),
            4 => x.answer(Response::new(StatusCode::IM_A_TEAPOT)),
            5 => Ok(Outcome::Failure(Reason::new(ReasonCode::new("chance"), "by chance"))),
            6 => Ok(Outcome::Failure(Reason::new(ReasonCode::new("absent"), "by chance").with_absent())),
            _ => Err(Abort::unavailable(ReasonCode::new("broken"), "by chance")),
        }
    }
}

simple! {
    /// Sets the attribute `client`, or fails.
    Seek = "seek" {} |_own, cx| { cx.fails(&[ReasonCode::new("absent")]); Some(cx.writes(&CLIENT)) },
    |this, x| {
        let [chance] = x.random::<1>();
        if chance % 2 == 0 {
            return Ok(Outcome::Failure(Reason::new(ReasonCode::new("absent"), "by chance").with_absent()));
        }
        x.set(this.slot.unwrap(), String::from("sought"));
        Ok(Outcome::Success)
    }
}

simple! {
    /// Decides who may pass.
    Guard = "guard" {} |_own, cx| { cx.authorizes(); None }, |_this, _x| { Ok(Outcome::Success) }
}

simple! {
    /// Answers with the length of the request's body.
    ReadBody = "read-body" {} |_own, cx| { cx.reads_request_body(); cx.answers(Answers::Always); None },
    |_this, x| {
        let mut response = Response::new(StatusCode::OK);
        response.body = x.request.body_bytes().map_or(0, |body| body.len()).to_string().into();
        x.answer(response)
    }
}

simple! {
    /// Sends the request's body away and leaves it as the response.
    SendBody = "send-body" {} |_own, cx| { cx.streams_request_body(); cx.sets_response(); None },
    |_this, x| {
        let mut response = Response::new(StatusCode::OK);
        response.body = x.request.take_body();
        x.response = Some(response);
        Ok(Outcome::Success)
    }
}

simple! {
    /// Puts the length of the response's body into a header.
    ReadResponse = "read-response" {} |_own, cx| { cx.reads_response_body(); None },
    |_this, x| {
        let length = match &x.response.as_ref().unwrap().body {
            crate::Body::Full(bytes) => bytes.len(),
            crate::Body::Empty => 0,
            crate::Body::Stream(_) => panic!("the body was to be read"),
        };
        x.edit_response_header(HeaderEdit::Set(HeaderName::from_static("x-length"), HeaderValue::from(length)));
        Ok(Outcome::Success)
    }
}

simple! { Panic = "panic" {} |_own, _cx| { None }, |_this, _x| { panic!("a bug in a filter") } }

simple! {
    /// Sets a request header for an upstream.
    Header = "header" { header: String } |own, cx| { cx.publish(INJECTED_HEADER, Value::text(own.header.as_str())); None },
    |_this, _x| { Ok(Outcome::Success) }
}

simple! {
    /// Answers `OPTIONS`, as `cors` does.
    Options = "options" {} |_own, cx| { cx.serves_options(); cx.answers(Answers::Sometimes); None },
    |_this, x| {
        if x.request.method == http::Method::OPTIONS { x.answer(Response::new(StatusCode::NO_CONTENT)) } else { Ok(Outcome::Success) }
    }
}

simple! {
    /// Looks at the response once the policy has run, and says in `x-seen` what was there: its status and its marks, or the fault.
    Look = "look" { word: String } |_own, _cx| { None },
    |this, x| {
        x.after_run(Looks(this.settings.word.clone()));
        Ok(Outcome::Success)
    }
}

struct Looks(String);

impl AfterRun for Looks {
    fn responded(self: Box<Self>, x: &mut Exchange) {
        let response = x.response.as_mut().unwrap();
        let marks: Vec<_> = response.headers.get_all("x-mark").iter().map(|mark| mark.to_str().unwrap()).collect();
        let seen = format!("{} {}", self.0, marks.join(","));
        response.headers.append("x-seen", HeaderValue::from_str(&seen).unwrap());
    }

    fn faulted(self: Box<Self>, x: &mut Exchange, fault: &Abort) -> bool {
        let mut response = Response::new(StatusCode::OK);
        response.body = format!("{} in place of {}", self.0, fault.code).into();
        x.response = Some(response);
        self.0 == "saves"
    }
}

simple! {
    /// Answers, and has the filters after it run beside.
    Fork = "fork" {} |_own, cx| { cx.answers(Answers::Sometimes); None },
    |_this, x| {
        let headers = http::HeaderMap::from_iter([(HeaderName::from_static("x-beside"), HeaderValue::from_static("yes"))]);
        x.go_on_beside(std::sync::Arc::new(AtOnce), headers, Looks(String::from("beside")));
        x.answer(Response::new(StatusCode::ACCEPTED))
    }
}

/// Does the work while it is handed over.
struct AtOnce;

impl Background for AtOnce {
    fn run(&self, work: BoxFuture<'static, ()>) {
        super::block_on(work);
    }
}

simple! {
    /// Notes the request's header `x-beside`, the attribute `client` and how many filters have authorized it.
    Note = "note" {} |_own, cx| { Some(cx.reads_if_set(&CLIENT)) },
    |this, x| {
        let beside = x.request.headers.contains_key("x-beside");
        let client = x.get(this.slot.unwrap()).cloned().unwrap_or_default();
        NOTED.lock().unwrap().push(format!("{} {beside} {client} {}", x.request.path, x.authorized()));
        Ok(Outcome::Success)
    }
}

/// What `note` has noted, in all tests.
pub(crate) static NOTED: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());

macro_rules! role {
    ($name:ident = $use:literal, $role:expr) => {
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {}
        impl FilterConfig for $name {
            const TYPE: &'static str = $use;
            const ROLE: Role = $role;
            type Filter = Built<Pass>;
            fn build(&self, _: &mut BuildContext<'_>) -> Result<Self::Filter, Diagnostics> {
                Ok(Built { settings: Pass {}, slot: None })
            }
        }
    };
}

role!(Endpoint = "endpoint", Role::Endpoint(&Styled("endpoint")));
role!(Resource = "resource", Role::Resource(&Styled("resource")));

/// A style that says its name.
struct Styled(&'static str);

impl crate::filter::AnswerStyle for Styled {
    fn failure(&self, x: &Exchange, reason: &Reason) -> Response {
        let mut response = Plain.failure(x, reason);
        response.body = format!("{} {}", self.0, reason.code).into();
        response
    }
    fn abort(&self, x: &Exchange, abort: &Abort) -> Response {
        Plain.abort(x, abort)
    }
}

/// Answers with a text, selectors in it evaluated; without `answers`, only evaluates it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Say {
    text: crate::Dynamic<String>,
    #[serde(default)]
    quiet: bool,
}

/// What [`Say`] is built to.
pub(crate) struct SayFilter {
    text: crate::Getter<String>,
    quiet: bool,
}

impl FilterConfig for Say {
    const TYPE: &'static str = "say";
    type Filter = SayFilter;
    fn build(&self, cx: &mut BuildContext<'_>) -> Result<SayFilter, Diagnostics> {
        if !self.quiet {
            cx.answers(Answers::Always);
        }
        Ok(SayFilter { text: cx.dynamic(&self.text)?, quiet: self.quiet })
    }
}

impl Filter for SayFilter {
    async fn run(&self, x: &mut Exchange) -> Result<Outcome, Abort> {
        let text = match self.text.get(x) {
            Ok(text) => text,
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        if self.quiet {
            return Ok(Outcome::Success);
        }
        let mut response = Response::new(StatusCode::OK);
        response.body = text.into();
        x.answer(response)
    }
}

/// Sets `vars.NAME` to a text.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetVar {
    var: String,
    #[serde(default)]
    remove: bool,
}

/// What [`SetVar`] is built to.
pub(crate) struct SetVarFilter(Slot<Value>, bool);

impl FilterConfig for SetVar {
    const TYPE: &'static str = "set-var";
    type Filter = SetVarFilter;
    fn build(&self, cx: &mut BuildContext<'_>) -> Result<SetVarFilter, Diagnostics> {
        let slot = if self.remove { cx.removes_var(&self.var) } else { cx.writes_var(&self.var) };
        Ok(SetVarFilter(slot, self.remove))
    }
}

impl Filter for SetVarFilter {
    async fn run(&self, x: &mut Exchange) -> Result<Outcome, Abort> {
        if self.1 {
            x.unset(self.0)
        } else {
            x.set(self.0, Value::text("set"))
        }
        Ok(Outcome::Success)
    }
}
