//! Which route takes which request.

use std::sync::Arc;

use http::Method;

use super::{Route, RouteSpec, Router, Tie, Unmatched};
use crate::compile::table::Reporter;
use crate::diagnostic::{Diagnostics, SourceFile};
use crate::reader::{Node, parse};
use crate::testing::request;

/// The routes of a TOML list, a policy each.
fn specs(list: &str) -> Vec<Arc<RouteSpec>> {
    let file = Arc::new(SourceFile::new("p.toml", format!("routes = {list}")));
    let document = parse(&file).unwrap();
    let nodes = document.root.get("routes").and_then(Node::as_list).unwrap();
    let mut problems = Diagnostics::new();
    let mut r = Reporter { file: &file, problems: &mut problems };
    let specs = nodes.iter().filter_map(|node| RouteSpec::read(&mut r, node)).map(Arc::new).collect();
    assert!(problems.is_empty(), "{problems:?}");
    specs
}

fn router_and_ties(list: &str) -> (Router, Vec<Tie>) {
    let specs = specs(list);
    let routes: Vec<Route<'_>> =
        specs.iter().enumerate().map(|(policy, spec)| Route { policy, route: 0, spec, options: false }).collect();
    Router::new(&routes)
}

fn router(list: &str) -> Router {
    router_and_ties(list).0
}

/// The number of the route and its parameters, `405 ALLOW`, or `404`.
fn routed(router: &Router, method: Method, path: &str, host: &str, headers: &[(&str, &str)]) -> String {
    let mut request = request(method, path, headers, "");
    host.clone_into(&mut request.host);
    match router.route(&request) {
        Ok(matched) => {
            let params: Vec<String> = matched.params.iter().map(|(name, value)| format!(" {name}={value}")).collect();
            format!("{}{}", matched.policy, params.join(""))
        }
        Err(Unmatched::Method(matched)) => {
            format!("405 {}", matched.allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(","))
        }
        Err(Unmatched::NotFound) => "404".into(),
        Err(Unmatched::BadPath) => "400".into(),
    }
}

fn get(router: &Router, path: &str) -> String {
    routed(router, Method::GET, path, "localhost", &[])
}

#[test]
fn a_name_is_one_segment_and_the_rest_one_character_or_more() {
    let router = router("['/o/{id}', '/f/{*rest}', '/a/**', '/', '/t/']");
    for (path, expected) in [
        ("/o/1", "0 id=1"),
        ("/o/", "404"),
        ("/o", "404"),
        ("/o/1/", "404"),
        ("/o/1/2", "404"),
        ("/f/x", "1 rest=x"),
        ("/f/x/y/", "1 rest=x/y/"),
        ("/f/", "404"),
        ("/f", "404"),
        ("/a", "2"),
        ("/a/", "2"),
        ("/a/b/c", "2"),
        ("/ab", "404"),
        ("/", "3"),
        ("/t", "404"),
        ("/t/", "4"),
        ("/T/", "404"),
        ("*", "404"),
        ("", "3"),
    ] {
        assert_eq!(get(&router, path), expected, "{path}");
    }
}

#[test]
fn the_most_specific_path_wins() {
    let router = router("['/**', '/{*rest}', '/{a}/{b}', '/x/{b}', '/x/y', '/{a}/y/z']");
    for (path, expected) in [
        ("/", "0"),
        ("/q", "1 rest=q"),
        ("/q/r", "2 a=q b=r"),
        ("/x/r", "3 b=r"),
        ("/x/y", "4"),
        ("/x/y/z", "5 a=x"),
        ("/x/y/w", "1 rest=x/y/w"),
    ] {
        assert_eq!(get(&router, path), expected, "{path}");
    }
}

/// What stands behind a catch-all must not get a request with another method that a path of its own would refuse.
#[test]
fn the_path_decides_before_the_method() {
    let router = router(
        "['POST /api/token', '/{*rest}', 'PUT /u', 'DELETE /u', 'GET /o/{id}', 'DELETE /o/1', '/**', { path = '/beta', headers = { x-beta = 'yes' }, methods = ['GET'] }]",
    );
    for (method, path, headers, expected) in [
        ("POST", "/api/token", &[][..], "0"),
        ("GET", "/api/token", &[], "405 POST"),
        ("HEAD", "/api/token?token=x", &[], "405 POST"),
        ("OPTIONS", "/api/token", &[], "405 POST"),
        ("GET", "/api/%74oken", &[], "405 POST"),
        ("GET", "/api/token/", &[], "1 rest=api/token/"),
        ("GET", "/api/other", &[], "1 rest=api/other"),
        // Routes with the same path: together they have these methods.
        ("GET", "/u", &[], "405 PUT,DELETE"),
        ("DELETE", "/u", &[], "3"),
        // A name is less specific than text, and more than the rest.
        ("GET", "/o/1", &[], "405 DELETE"),
        ("GET", "/o/2", &[], "4 id=2"),
        ("DELETE", "/o/2", &[], "405 GET,HEAD"),
        // A route whose headers, query or host do not match does not have the path either.
        ("GET", "/beta", &[("x-beta", "yes")], "7"),
        ("POST", "/beta", &[("x-beta", "yes")], "405 GET,HEAD"),
        ("POST", "/beta", &[], "1 rest=beta"),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(routed(&router, method.clone(), path, "localhost", headers), expected, "{method} {path}");
    }
}

#[test]
fn methods_choose_among_routes_of_one_path_whatever_else_they_ask_for() {
    let router = router(
        "[{ path = '/', host = 'a.example', methods = ['GET'] }, { path = '/', methods = ['POST'] }, { path = '/', host = 'b.example', methods = ['PUT'] }]",
    );
    for (method, host, expected) in [
        (Method::GET, "a.example", "0"),
        (Method::POST, "a.example", "1"),
        (Method::PUT, "a.example", "405 GET,HEAD,POST"),
        (Method::PUT, "b.example", "2"),
        (Method::GET, "c.example", "405 POST"),
    ] {
        assert_eq!(routed(&router, method.clone(), "/", host, &[]), expected, "{method} {host}");
    }
}

#[test]
fn head_is_served_as_get_where_it_has_no_route_of_its_own() {
    let one = router("['GET /']");
    assert_eq!(routed(&one, Method::HEAD, "/", "localhost", &[]), "0");
    let own = router("['GET /', 'HEAD /']");
    assert_eq!(routed(&own, Method::HEAD, "/", "localhost", &[]), "1");
    assert_eq!(routed(&own, Method::PUT, "/", "localhost", &[]), "405 HEAD,GET");

    // A route for all methods is nobody's own: HEAD must not get past what GET meets.
    let all = router("['/', 'GET /']");
    assert_eq!(routed(&all, Method::HEAD, "/", "localhost", &[]), "1");
    assert_eq!(routed(&all, Method::PUT, "/", "localhost", &[]), "0");
    // Nor does it go to a less specific path that has HEAD.
    let other = router("['POST /a', 'HEAD /{*rest}', 'GET /b', 'HEAD /**']");
    assert_eq!(routed(&other, Method::HEAD, "/a", "localhost", &[]), "405 POST");
    assert_eq!(routed(&other, Method::HEAD, "/b", "localhost", &[]), "2");
}

#[test]
fn paths_with_an_encoded_slash_are_no_ties() {
    let (_, ties) = router_and_ties("['/a%2Fb', '/a/b', '/%7B%7D', '/{x}', '/%2F%2A%2A', '/**']");
    assert!(ties.is_empty());
    let (_, ties) = router_and_ties("['/a%2Fb', '/a%2fb', '/{x}/**', '/{y}/**', 'GET /c', 'PUT /c']");
    let found: Vec<_> = ties.iter().map(|tie| (tie.first.0, tie.second.0)).collect();
    assert_eq!(found, [(0, 1), (2, 3)]);
}

#[test]
fn host_headers_and_query_make_a_route_more_specific() {
    let router = router(
        "['/', { path = '/', host = 'API.example.com' }, { path = '/', headers = { x-v = '2' } }, { path = '/', query = { v = '2' } }, { path = '/', headers = { x-v = '2' }, query = { v = '2' } }]",
    );
    for (path, host, headers, expected) in [
        ("/", "localhost", &[][..], "0"),
        ("/", "api.EXAMPLE.com:8443", &[], "1"),
        ("/", "localhost", &[("x-v", "2")], "2"),
        ("/", "localhost", &[("x-v", "3")], "0"),
        ("/?a=1&v=2", "localhost", &[], "3"),
        ("/?v=2", "localhost", &[("x-v", "2")], "4"),
        ("/?v=2", "api.example.com", &[("x-v", "2")], "1"),
    ] {
        assert_eq!(routed(&router, Method::GET, path, host, headers), expected, "{path} {host} {headers:?}");
    }
}

#[test]
fn literals_are_compared_decoded() {
    let router = router("['/caf%C3%A9', '/a%2Fb']");
    assert_eq!(get(&router, "/caf%c3%a9"), "0");
    assert_eq!(get(&router, "/a%2fb"), "1");
    assert_eq!(get(&router, "/a/b"), "404");
    assert_eq!(get(&router, "/%ff"), "400");
}

#[test]
fn a_long_path_costs_no_more_than_the_routes_have_segments() {
    let path = |depth: usize| (0..depth).map(|n| format!("/{{x{n}}}/a")).collect::<String>();
    let routes: Vec<String> = (0..60).map(|depth| format!("'{}/end{depth}'", path(depth))).collect();
    let router = router(&format!("[{}]", routes.join(",")));
    let path = "/a".repeat(100_000);
    assert_eq!(get(&router, &path), "404");
}
