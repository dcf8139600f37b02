//! The request of a step.

use std::sync::Arc;

use http::{HeaderName, Method};

use super::Reader;
use crate::diagnostic::Span;
use crate::exchange::ClientCertificate;
use crate::route::RouteSpec;
use crate::settings::Spanned;
use crate::testing::file::table::{CertificateTable, RequestTable};
use crate::testing::file::values::{Named, Texts};
use crate::testing::model::{TestBody, TestRequest, header_value};

impl Reader<'_> {
    pub(super) fn request(&mut self, span: Span, table: RequestTable, route: Option<&RouteSpec>) -> TestRequest {
        let form = table.form.map(|form| (form.span, TestBody::Form(pairs(form.value))));
        let json = table.json.map(|json| (json.span, TestBody::Json(json.value)));
        let text = table.text.map(|text| (text.span, TestBody::Text(text.value.0)));
        let mut bodies = [form, json, text].into_iter().flatten();
        let body = bodies.next().map_or(TestBody::None, |(_, body)| body);
        if let Some((second, _)) = bodies.next() {
            self.error(second, "the test's request has more than one body", "one of `form`, `json` and `text`");
        }
        let basic = table.basic.and_then(|basic| match basic.value.as_slice() {
            [id, secret] => Some((id.0.clone(), secret.0.clone())),
            _ => {
                self.error(basic.span, "`basic` is to have two texts", "basic = [\"id\", \"secret\"]");
                None
            }
        });
        if let (Some(_), Some(bearer)) = (&basic, &table.bearer) {
            self.error(bearer.span, "the test's request has two credentials", "`basic` or `bearer`");
        }
        let from = table.from.and_then(|from| {
            let address = from.value.0.parse().ok();
            if address.is_none() {
                self.error(from.span, format!("`{}` is no address", from.value.0), "from = \"10.0.0.1\"");
            }
            address
        });
        let secure = table.scheme.is_some_and(|scheme| match scheme.value.0.as_str() {
            "https" => true,
            "http" => false,
            other => {
                self.error(scheme.span, format!("`{other}` is no scheme of a request"), "`\"http\"` or `\"https\"`");
                false
            }
        });
        let default_method = || match (route.and_then(|route| route.methods.first()), &body) {
            (Some(method), _) => method.clone(),
            (None, TestBody::None) => Method::GET,
            (None, _) => Method::POST,
        };
        TestRequest {
            method: table.method.map_or_else(default_method, |method| method.0.0),
            path: table.path.map_or_else(|| self.default_path(route, span), |path| path.value.0),
            query: pairs(table.query),
            headers: self.headers(table.headers),
            basic,
            bearer: table.bearer.map(|bearer| bearer.value.0),
            from,
            secure: secure || table.certificate.is_some(),
            certificate: table.certificate.map(certificate),
            body,
        }
    }

    /// The path of the policy's first route, where it stands for a single one.
    fn default_path(&mut self, route: Option<&RouteSpec>, span: Span) -> String {
        let Some(route) = route else { return String::from("/") };
        if route.pattern.names().next().is_some() {
            let help = "the route's path has names in it: say what they stand for";
            self.error(span, "the test's request has no `path`", help);
        }
        let path = route.path.strip_suffix("/**").unwrap_or(&route.path);
        if path.is_empty() { String::from("/") } else { path.to_owned() }
    }

    fn headers(&mut self, table: Named<Texts>) -> Vec<(HeaderName, String)> {
        let mut headers = Vec::new();
        for (name, values) in table.0 {
            let Some(parsed) = self.header_name(&name) else { continue };
            for value in values.value.0 {
                // A kept value is not there yet; what it is, shows when it is sent.
                match header_value(&value) {
                    Some(_) => headers.push((parsed.clone(), value)),
                    None => self.error(
                        values.span,
                        format!("`{}` cannot be a header of this value", name.value),
                        "visible ASCII alone",
                    ),
                }
            }
        }
        headers
    }
}

fn certificate(table: CertificateTable) -> Arc<ClientCertificate> {
    let CertificateTable { subject, issuer, common_name, serial, sha256, dns_names, uris, emails, ip_addresses } =
        table;
    Arc::new(ClientCertificate {
        subject,
        issuer,
        common_name,
        serial,
        sha256,
        dns_names,
        uris,
        emails,
        ip_addresses,
        ..ClientCertificate::default()
    })
}

/// Names and texts; a list repeats its name.
fn pairs(table: Named<Texts>) -> Vec<(String, String)> {
    let repeated = |(name, texts): (Spanned<String>, Spanned<Texts>)| {
        texts.value.0.into_iter().map(move |text| (name.value.clone(), text))
    };
    table.0.into_iter().flat_map(repeated).collect()
}
