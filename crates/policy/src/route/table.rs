//! The routes of one listener, as a tree by segments.
//!
//! A request visits each node of the tree at most once, so the time is bounded by the number of routes; with the usual mix
//! of literal segments it is one binary search a segment. Nothing is allocated but the parameters and, where a path is
//! percent-encoded, its decoded segments.
//!
//! The path decides before the method: at the most specific path of which a route fits in its host, headers and query, the
//! search ends, with a route or with 405. If it went on for another method, a policy for all paths would get what was meant
//! for a more specific one: the credentials in a `GET` of the token endpoint, say.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use http::Method;
use http::header::ACCESS_CONTROL_REQUEST_METHOD;
use smallvec::SmallVec;

use super::pattern::{Segment, Tail, decode};
use super::spec::RouteSpec;
use crate::exchange::{PathParams, Request};

/// The routes of one listener.
#[derive(Default)]
pub(crate) struct Router {
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    /// Sorted by text.
    literals: Vec<(Box<str>, usize)>,
    name: Option<usize>,
    here: Vec<Candidate>,
    rest: Vec<Candidate>,
    all: Vec<Candidate>,
}

/// One route, at the node where its path ends. Candidates are sorted, the most specific first.
struct Candidate {
    policy: usize,
    route: usize,
    spec: Arc<RouteSpec>,
    names: SmallVec<[Arc<str>; 2]>,
    /// The policy has a filter that answers `OPTIONS`.
    options: bool,
}

/// The route that a request took.
/// Small: it travels in results.
pub(crate) struct Matched {
    pub(crate) policy: u32,
    /// Which of the policy's routes.
    pub(crate) route: u32,
    pub(crate) params: PathParams,
    /// Of `OPTIONS`: the methods that the policy's routes of this path take; none = all of them.
    pub(crate) allowed: Vec<Method>,
}

/// Why no route took a request.
pub(crate) enum Unmatched {
    /// No route has this path.
    NotFound,
    /// The routes of the most specific path have other methods, which are the allowed ones; and the policy of the first of them.
    Method(Matched),
    /// The path is no UTF-8 when decoded.
    BadPath,
}

/// A request's path, decoded.
type Segments<'a> = SmallVec<[Cow<'a, str>; 12]>;

/// Segments of the request that stand for names: indices into its segments.
type Captured = SmallVec<[usize; 4]>;

/// Two routes that are equally specific and can match one request: policy and route of each.
pub(crate) struct Tie {
    pub(crate) first: (usize, Arc<RouteSpec>),
    pub(crate) second: (usize, Arc<RouteSpec>),
}

/// What a router is made from.
pub(crate) struct Route<'a> {
    pub(crate) policy: usize,
    /// Which of the policy's routes.
    pub(crate) route: usize,
    pub(crate) spec: &'a Arc<RouteSpec>,
    pub(crate) options: bool,
}

impl Router {
    /// Builds the tree, and finds all pairs of routes that nobody can tell apart.
    pub(crate) fn new(routes: &[Route<'_>]) -> (Router, Vec<Tie>) {
        let mut router = Router { nodes: vec![Node::default()] };
        for route in routes {
            router.insert(route);
        }
        let mut ties = Vec::new();
        for node in &mut router.nodes {
            for candidates in [&mut node.here, &mut node.rest, &mut node.all] {
                find_ties(candidates, &mut ties);
                // Of two that are equal otherwise, the one that names HEAD is first asked for it.
                let named = |spec: &RouteSpec| spec.methods.contains(&Method::HEAD);
                candidates.sort_by_key(|candidate| Reverse((rank(&candidate.spec), named(&candidate.spec))));
            }
        }
        (router, ties)
    }

    fn insert(&mut self, route: &Route<'_>) {
        let mut at = 0;
        for segment in &route.spec.pattern.segments {
            at = match segment {
                Segment::Literal(text) => self.literal_child(at, text),
                Segment::Name(_) => self.name_child(at),
            };
        }
        let candidate = Candidate {
            policy: route.policy,
            route: route.route,
            spec: route.spec.clone(),
            names: route.spec.pattern.names().cloned().collect(),
            options: route.options,
        };
        let node = &mut self.nodes[at];
        match route.spec.pattern.tail {
            Tail::None => node.here.push(candidate),
            Tail::Rest(_) => node.rest.push(candidate),
            Tail::All => node.all.push(candidate),
        }
    }

    fn literal_child(&mut self, at: usize, text: &str) -> usize {
        let new = self.nodes.len();
        match self.nodes[at].literals.binary_search_by(|(known, _)| (**known).cmp(text)) {
            Ok(found) => self.nodes[at].literals[found].1,
            Err(place) => {
                self.nodes[at].literals.insert(place, (text.into(), new));
                self.nodes.push(Node::default());
                new
            }
        }
    }

    fn name_child(&mut self, at: usize) -> usize {
        if let Some(child) = self.nodes[at].name {
            return child;
        }
        let new = self.nodes.len();
        self.nodes[at].name = Some(new);
        self.nodes.push(Node::default());
        new
    }

    /// The route of this request.
    pub(crate) fn route(&self, request: &Request) -> Result<Matched, Unmatched> {
        if self.nodes.is_empty() {
            return Err(Unmatched::NotFound);
        }
        let path = request.path.strip_prefix('/').unwrap_or(&request.path);
        let mut segments = Segments::new();
        for part in path.split('/') {
            segments.push(decode(part).ok_or(Unmatched::BadPath)?);
        }
        let mut search = Search { router: self, request, segments: &segments, captured: Captured::new() };
        search.visit(0, 0).unwrap_or(Err(Unmatched::NotFound))
    }
}

struct Search<'a> {
    router: &'a Router,
    request: &'a Request,
    segments: &'a [Cow<'a, str>],
    captured: Captured,
}

/// What the most specific path decides; none where no route has the path.
type Decided = Option<Result<Matched, Unmatched>>;

impl Search<'_> {
    /// Looks for a path below this node; `depth` segments are used up.
    fn visit(&mut self, at: usize, depth: usize) -> Decided {
        let router = self.router;
        let node = &router.nodes[at];
        let Some(segment) = self.segments.get(depth) else {
            return self.choose(&node.here, depth).or_else(|| self.choose(&node.all, depth));
        };
        if let Ok(found) = node.literals.binary_search_by(|(known, _)| (**known).cmp(segment.as_ref()))
            && let Some(decided) = self.visit(node.literals[found].1, depth + 1)
        {
            return Some(decided);
        }
        if let Some(child) = node.name
            && !segment.is_empty()
        {
            self.captured.push(depth);
            let decided = self.visit(child, depth + 1);
            self.captured.pop();
            if decided.is_some() {
                return decided;
            }
        }
        let something = self.segments.len() > depth + 1 || !segment.is_empty();
        let rest = if something { self.choose(&node.rest, depth) } else { None };
        rest.or_else(|| self.choose(&node.all, depth))
    }

    /// Chooses by method among the routes of one path that match in everything else; without any, another path is looked for.
    fn choose(&self, candidates: &[Candidate], depth: usize) -> Decided {
        let method = &self.request.method;
        let fitting = || candidates.iter().filter(|candidate| candidate.fits(self.request));
        let first = fitting().next()?;
        let chosen = fitting()
            .find(|candidate| candidate.takes(method))
            .or_else(|| self.asked_for(fitting().filter(|candidate| candidate.options)));
        let Some(candidate) = chosen else {
            let allowed = methods_of(fitting());
            return Some(Err(Unmatched::Method(Matched { allowed, ..self.matched(first, depth) })));
        };
        let mut matched = self.matched(candidate, depth);
        if *method == Method::OPTIONS {
            let own = || fitting().filter(|other| other.policy == candidate.policy);
            if own().all(|route| !route.spec.methods.is_empty()) {
                matched.allowed = distinct(own().flat_map(|route| route.spec.allowed()));
            }
        }
        Some(Ok(matched))
    }

    /// Whose `OPTIONS` this is, of those that answer it: where a browser asks beforehand, the one that will get the request
    /// itself, since the routes of one path may belong to several policies.
    fn asked_for<'c>(&self, mut candidates: impl Iterator<Item = &'c Candidate> + Clone) -> Option<&'c Candidate> {
        if self.request.method != Method::OPTIONS {
            return None;
        }
        let asked = self.request.headers.get(ACCESS_CONTROL_REQUEST_METHOD);
        let asked = asked.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
        let taking = asked.and_then(|method| candidates.clone().find(|candidate| candidate.takes(&method)));
        taking.or_else(|| candidates.next())
    }

    fn matched(&self, candidate: &Candidate, depth: usize) -> Matched {
        let captured = self.captured.iter().map(|index| self.segments[*index].to_string());
        let rest = matches!(candidate.spec.pattern.tail, Tail::Rest(_)).then(|| self.segments[depth..].join("/"));
        let params = candidate.names.iter().cloned().zip(captured.chain(rest)).collect();
        // A configuration of four thousand million policies does not fit into any memory.
        let [policy, route] = [candidate.policy, candidate.route].map(|index| u32::try_from(index).unwrap_or(u32::MAX));
        Matched { policy, route, params, allowed: Vec::new() }
    }
}

impl Candidate {
    /// Host, headers and query parameters match.
    fn fits(&self, request: &Request) -> bool {
        let host = self.spec.host.as_ref().is_none_or(|host| request.host_name().eq_ignore_ascii_case(host));
        let headers = self.spec.headers.iter().all(|(name, value)| {
            request.headers.get_all(name).iter().any(|found| found.as_bytes() == value.as_bytes())
        });
        let query = self.spec.query.is_empty()
            || request.query_form().is_ok_and(|form| {
                self.spec.query.iter().all(|(name, value)| form.iter().any(|(n, v)| n == name && v == value))
            });
        host && headers && query
    }

    /// The method matches. HEAD goes where GET goes: it must not get past what GET meets there.
    fn takes(&self, method: &Method) -> bool {
        let methods = &self.spec.methods;
        methods.is_empty() || methods.contains(method) || (*method == Method::HEAD && methods.contains(&Method::GET))
    }
}

/// The methods of these routes, as `Allow` names them.
fn methods_of<'c>(candidates: impl Iterator<Item = &'c Candidate>) -> Vec<Method> {
    let of_one =
        |candidate: &'c Candidate| candidate.spec.allowed().chain(candidate.options.then_some(Method::OPTIONS));
    distinct(candidates.flat_map(of_one))
}

fn distinct(all: impl Iterator<Item = Method>) -> Vec<Method> {
    let mut methods = Vec::new();
    for method in all {
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    methods
}

/// How specific a route is, besides its path.
fn rank(spec: &RouteSpec) -> (bool, usize, bool) {
    (spec.host.is_some(), spec.headers.len() + spec.query.len(), !spec.methods.is_empty())
}

/// The pairs among routes of one path, each route with the first that it ties with. Only those for one host can be equal.
fn find_ties(candidates: &[Candidate], ties: &mut Vec<Tie>) {
    let mut by_host: HashMap<Option<&str>, Vec<&Candidate>> = HashMap::new();
    if candidates.len() < 2 {
        return;
    }
    for second in candidates {
        let alike = by_host.entry(second.spec.host.as_deref()).or_default();
        if let Some(first) = alike.iter().find(|first| tie(&first.spec, &second.spec)) {
            let side = |candidate: &Candidate| (candidate.policy, candidate.spec.clone());
            ties.push(Tie { first: side(first), second: side(second) });
        }
        alike.push(second);
    }
}

fn tie(a: &RouteSpec, b: &RouteSpec) -> bool {
    let methods =
        a.methods.is_empty() && b.methods.is_empty() || a.methods.iter().any(|method| b.methods.contains(method));
    rank(a) == rank(b) && methods && !apart(&a.headers, &b.headers) && !apart(&a.query, &b.query)
}

/// Some name is to have one value here and another one there.
fn apart<N: PartialEq>(a: &[(N, String)], b: &[(N, String)]) -> bool {
    a.iter().any(|(name, value)| b.iter().any(|(n, v)| n == name && v != value))
}
