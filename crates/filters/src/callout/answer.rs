//! The answer to a call, as `vars.NAME` has it.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use policy::Value;
use policy::ports::UpstreamError;

/// An answer, read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// JSON taken apart, or text; absent where there is none.
    pub(crate) body: Option<Value>,
    /// How many bytes it takes in memory, about.
    pub(crate) weight: u64,
}

impl Answer {
    /// Reads the body by its type: JSON (`application/json`, `...+json`) is taken apart, anything else is text.
    pub(crate) fn read(status: StatusCode, headers: HeaderMap, body: &[u8]) -> Result<Answer, UpstreamError> {
        let malformed = |why: String| UpstreamError::Malformed(format!("the body of the answer {why}"));
        let value = if body.is_empty() {
            None
        } else if is_json(&headers) {
            let json = serde_json::from_slice(body).map_err(|why| malformed(format!("is said to be JSON: {why}")))?;
            Value::from_json(&json)
        } else {
            Some(Value::text(std::str::from_utf8(body).map_err(|_| malformed("is neither JSON nor text".into()))?))
        };
        let names: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        // What JSON becomes in memory is some times its text.
        let weight = (4 * body.len() + 2 * names + 512) as u64;
        Ok(Answer { status, headers, body: value, weight })
    }

    /// `vars.NAME`.
    pub(crate) fn value(&self) -> Value {
        let mut headers: BTreeMap<Arc<str>, String> = BTreeMap::new();
        for (name, value) in &self.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            let entry = headers.entry(Arc::from(name.as_str())).or_default();
            if !entry.is_empty() {
                entry.push_str(", ");
            }
            entry.push_str(&value);
        }
        let headers = headers.into_iter().map(|(name, value)| (name, Value::text(value))).collect();
        let mut members = BTreeMap::from([
            (Arc::from("status"), Value::Int(self.status.as_u16().into())),
            (Arc::from("headers"), Value::Map(Arc::new(headers))),
        ]);
        if let Some(body) = &self.body {
            members.insert(Arc::from("body"), body.clone());
        }
        Value::Map(Arc::new(members))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(essence) = headers.get(CONTENT_TYPE).and_then(|of| of.to_str().ok()?.split(';').next()) else {
        return false;
    };
    let essence = essence.trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(content_type: &'static str, body: &[u8]) -> Result<serde_json::Value, String> {
        let headers = [("content-type", content_type), ("x-a", "1"), ("x-a", "2")];
        let headers: Vec<_> = headers.into_iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        let mut map = HeaderMap::new();
        headers.into_iter().for_each(|(name, value): (http::HeaderName, http::HeaderValue)| {
            map.append(name, value);
        });
        let answer = Answer::read(StatusCode::OK, map, body).map_err(|why| why.to_string())?;
        Ok(answer.value().to_json())
    }

    #[test]
    fn a_body_is_read_by_its_type() {
        let of = |body: Option<serde_json::Value>, content_type: &str| {
            let mut value = json!({ "status": 200, "headers": { "content-type": content_type, "x-a": "1, 2" } });
            if let Some(body) = body {
                value["body"] = body;
            }
            Ok(value)
        };
        for (content_type, body, read_as) in [
            ("application/json", r#"{"a":[1,null]}"#, Some(json!({ "a": [1] }))),
            ("Application/Problem+JSON; charset=utf-8", "7", Some(json!(7))),
            ("application/json", "", None),
            ("text/plain", "{}", Some(json!("{}"))),
        ] {
            assert_eq!(read(content_type, body.as_bytes()), of(read_as, content_type), "{content_type} {body}");
        }
        for (content_type, body) in [("application/json", &b"{"[..]), ("text/plain", b"\xff")] {
            assert!(read(content_type, body).is_err_and(|why| why.contains("malformed")), "{content_type}");
        }
    }
}
