//! Lints that look at more than one filter: tokens for clients that nobody has authenticated, scopes that nobody knows.

use std::collections::BTreeSet;
use std::sync::Arc;

use policy::diagnostic::{Problem, codes};
use policy::lint::{RouteLint, RouteSubject, Routed};
use policy::{Diagnostics, FilterConfig};

use super::server::{FILE, ServerSettings};
use super::{authenticate_client, check_scope, issue_token};

/// The lints of this category.
pub const LINTS: &[RouteLint] = &[tokens_without_client, undeclared_scopes, unused_scopes];

/// P0706. A grant filter proves that the client may use the grant, and not that the request comes from the client: something else
/// may have set `client`.
fn tokens_without_client(subject: &RouteSubject<'_>) -> Diagnostics {
    let mut found = Diagnostics::new();
    for route in subject.routes {
        let stands = |name: &str| route.steps.iter().find(|step| step.uses == name);
        if let (Some(issues), None) = (stands(issue_token::Settings::TYPE), stands(authenticate_client::Settings::TYPE))
        {
            let message = format!("`{}` issues tokens, and nothing on its way authenticates the client", route.policy);
            let lint = Problem::warning(codes::TOKEN_ROUTE_WITHOUT_CLIENT, message)
                .with_help("let `oauth.authenticate-client` stand first (RFC 6749, section 3.2.1)");
            found.push(lint.at(route.place.clone()).with_related(issues.place.clone(), "issued here"));
        }
    }
    found
}

/// The scopes that `server.toml` declares; none where it declares none.
fn declared(subject: &RouteSubject<'_>) -> Option<Arc<ServerSettings>> {
    let settings = subject.shared.settings_file::<ServerSettings>(FILE).ok()??;
    let any = settings.scopes().next().is_some();
    any.then_some(settings)
}

/// P0707: nobody could have it, so the route is closed; most likely the name is a slip.
fn undeclared_scopes(subject: &RouteSubject<'_>) -> Diagnostics {
    let mut found = Diagnostics::new();
    let Some(settings) = declared(subject) else { return found };
    let known: Vec<&str> = settings.scopes().map(|scope| scope.value.as_str()).collect();
    let steps = subject.routes.iter().flat_map(|route| &route.steps);
    for step in steps.filter(|step| step.uses == check_scope::Settings::TYPE) {
        for scope in check_scope::asked_scopes(step.effects).filter(|scope| !known.contains(scope)) {
            let message = format!("the scope `{scope}` is asked for, and `policies/{FILE}` does not declare it");
            let help = match policy::reader::did_you_mean(scope, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("declare it: `[scopes]` with `\"{scope}\" = \"what it permits\"`"),
            };
            found.push(Problem::warning(codes::UNDECLARED_SCOPE, message).with_help(help).at(step.place.clone()));
        }
    }
    found
}

/// P0708: a client that has it can do nothing more with it.
fn unused_scopes(subject: &RouteSubject<'_>) -> Diagnostics {
    let Some(settings) = declared(subject) else { return Diagnostics::new() };
    // At the token endpoint it is the client that asks.
    let issues = |route: &Routed<'_>| route.steps.iter().any(|step| step.uses == issue_token::Settings::TYPE);
    let steps = || subject.routes.iter().filter(|route| !issues(route)).flat_map(|route| &route.steps);
    // Where a policy computes what it asks for, any scope may be asked.
    if steps().any(|step| step.uses == check_scope::Settings::TYPE && check_scope::asks_anything(step.effects)) {
        return Diagnostics::new();
    }
    let asked: BTreeSet<&str> = steps().flat_map(|step| check_scope::asked_scopes(step.effects)).collect();
    let unused = settings.scopes().filter(|scope| !asked.contains(scope.value.as_str()));
    unused
        .filter_map(|scope| {
            let message = format!("no policy asks for the scope `{}`", scope.value);
            let lint = Problem::warning(codes::UNUSED_SCOPE, message).with_help("take it out, or ask for it");
            Some(lint.at(subject.shared.settings_place(FILE, scope.span)?))
        })
        .collect()
}
