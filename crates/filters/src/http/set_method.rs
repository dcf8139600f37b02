//! `set-method`: gives the request another method, for the filters after it and for the upstream. In Oracle API Gateway: Set HTTP Verb.
//!
//! The route is chosen before, and stays; so does what the client is answered: to a `HEAD` there is no body, whatever the upstream was asked. A
//! `GET` and a `HEAD` take no body along.
//!
//! ```toml
//! [[filter]]
//! use    = "set-method"
//! method = "POST"
//! ```

use http::Method;
use http::header::{CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE};
use schemars::JsonSchema;
use serde::Deserialize;

use policy::exchange::remove_alike;
use policy::settings::Method as Name;
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, ReasonCode,
};

/// The method is none that may go to an upstream.
const BAD_METHOD: ReasonCode = ReasonCode::new("bad-method");

/// `use = "set-method"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The method, in capitals. Not `CONNECT` and not `TRACE`.
    method: Dynamic<String>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "set-method";
    type Filter = SetMethod;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<SetMethod, Diagnostics> {
        let getter = cx.dynamic(&self.method)?;
        match getter.constant().map(|text| method(text)) {
            Some(Ok(method)) => Ok(SetMethod(Which::Constant(method))),
            Some(Err(_)) => {
                let help = "a method in capitals, such as \"POST\"; `CONNECT` and `TRACE` go to no upstream";
                Err(cx.error(self.method.span(), "this is no method for an upstream", help).into())
            }
            None => {
                cx.fails(&[BAD_METHOD]);
                Ok(SetMethod(Which::Computed(getter)))
            }
        }
    }
}

enum Which {
    Constant(Method),
    Computed(Getter<String>),
}

/// The compiled filter.
pub(crate) struct SetMethod(Which);

impl Filter for SetMethod {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let found = match &self.0 {
            Which::Constant(method) => Ok(method.clone()),
            Which::Computed(getter) => getter.get(exchange).and_then(|text| method(&text)),
        };
        let method = match found {
            Ok(method) => method,
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        let request = &mut exchange.request;
        if method != request.method && [Method::GET, Method::HEAD].contains(&method) {
            request.set_body(bytes::Bytes::new());
            remove_alike(&mut request.headers, &[CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE]);
        }
        request.method = method;
        Ok(Outcome::Success)
    }
}

/// TRACE would send a caller's credentials back, CONNECT opens a way to somewhere else.
fn method(text: &str) -> Result<Method, Reason> {
    let method =
        Name::parse(text).map(|name| name.0).filter(|method| ![Method::CONNECT, Method::TRACE].contains(method));
    method.ok_or_else(|| {
        Reason::new(BAD_METHOD, "the method is none for an upstream").with_status(http::StatusCode::BAD_REQUEST)
    })
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use crate::fixture::{policy, request, sent, told};

    fn tested(method: &str) -> policy::testing::Fixture {
        policy(&format!(
            "[[filter]]\nuse = 'set-method'\nmethod = '{method}'\n\n[[filter]]\nuse = 'proxy'\nupstream = 'orders'"
        ))
    }

    #[test]
    fn the_upstream_is_asked_otherwise() {
        let post = |method: &str| {
            let headers = [("content-type", "text/plain"), ("x-method", "DELETE")];
            let seen = sent(&tested(method).run(request(Method::POST, "/x", &headers, "body")));
            (seen["method"].clone(), seen["body"].clone(), seen["headers"]["content-type"].clone())
        };
        assert_eq!(post("PUT"), (json!("PUT"), json!("body"), json!("text/plain")));
        assert_eq!(post("${request.header.x-method}"), (json!("DELETE"), json!("body"), json!("text/plain")));
        assert_eq!(post("GET"), (json!("GET"), json!(""), json!(null)));
    }

    #[test]
    fn to_a_head_there_is_no_body_whatever_the_upstream_was_asked() {
        let ran = tested("GET").run(request(Method::HEAD, "/x", &[], ""));
        assert_eq!((ran.status, ran.text()), (200, ""));
        assert_ne!(ran.header("content-length"), "");
    }

    #[test]
    fn what_is_no_method_for_an_upstream() {
        for method in ["get", "TRACE", "CONNECT", "", "A B"] {
            let ran =
                tested("${request.header.x-method ?? }").run(request(Method::POST, "/x", &[("x-method", method)], ""));
            assert!(["400 bad-method", "400 missing-value"].contains(&told(&ran).as_str()), "{method}: {}", told(&ran));
            let problems = tested(method).problems();
            assert!(
                problems.len() == 1 && problems[0].contains("no method for an upstream"),
                "{method}: {problems:#?}"
            );
        }
    }
}
