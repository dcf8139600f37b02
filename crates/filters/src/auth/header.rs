//! `auth.header`: lets in whom a trusted peer names in a header, and sets `subject.*`: a proxy before the gateway that has logged the
//! user in. In Oracle API Gateway: HTTP Header Authentication.
//!
//! Whoever can send the header is believed, so it counts only on connections from the addresses in `from`, which is the address of the
//! connection itself and no `X-Forwarded-For`; from others it is taken off and counts as absent. The peer must take off what came
//! to it under that name.
//!
//! ```toml
//! [[filter]]
//! use    = "auth.header"
//! header = "x-remote-user"
//! from   = ["10.1.0.0/16", "fd00::1"]
//! ```

use std::sync::Arc;

use http::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;

use policy::attribute::Slot;
use policy::settings::{Network, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode};

use crate::oauth::{SUBJECT, Subject};

/// No peer that is trusted names anybody.
const NO_SUBJECT: ReasonCode = ReasonCode::new("no-subject");
/// It names several, or nobody that could be.
const WRONG_SUBJECT: ReasonCode = ReasonCode::new("wrong-subject");

/// `use = "auth.header"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The header that names the subject: 1 to 255 visible ASCII characters, no comma.
    header: Spanned<String>,
    /// The peers that are believed: addresses, and networks such as `10.1.0.0/16`.
    from: Vec<Network>,
    /// Whether the header stays on the request that goes upstream. Default: false.
    #[serde(default)]
    keep_credential: bool,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "auth.header";
    type Filter = Header;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Header, Diagnostics> {
        cx.authorizes();
        cx.fails(&[NO_SUBJECT, WRONG_SUBJECT]);
        let header = HeaderName::try_from(&self.header.value).map_err(|_| {
            let message = format!("`{}` is no name of a header", self.header.value);
            cx.error(self.header.span, message, "letters, digits and `-`: `x-remote-user`")
        })?;
        if self.from.is_empty() {
            let help = "name the addresses of the proxy that sets the header";
            return Err(cx.error(cx.own_place().span, "nobody is believed: `from` is empty", help).into());
        }
        Ok(Header {
            header,
            from: self.from.clone(),
            keep_credential: self.keep_credential,
            subject: cx.writes(&SUBJECT),
        })
    }
}

/// The compiled filter.
pub(crate) struct Header {
    header: HeaderName,
    from: Vec<Network>,
    keep_credential: bool,
    subject: Slot<Subject>,
}

impl Filter for Header {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let request = &mut exchange.request;
        let peer = request.peer.ip();
        let believed = self.from.iter().any(|network| network.has(peer));
        let named: Vec<_> = request.headers.get_all(&self.header).iter().cloned().collect();
        if !believed || !self.keep_credential {
            request.headers.remove(&self.header);
        }
        let name = match named.as_slice() {
            [name] if believed => name.to_str().unwrap_or_default(),
            [] => return Ok(Outcome::Failure(absent("the request names nobody"))),
            _ if !believed => {
                return Ok(Outcome::Failure(absent("the request names somebody, and its peer is not believed")));
            }
            _ => "",
        };
        if !store::Users::is_name(name) || name.contains(',') {
            return Ok(Outcome::Failure(Reason::new(
                WRONG_SUBJECT,
                "the header names several, or nobody that could be",
            )));
        }
        let id = Arc::from(name);
        let subject = Subject { id, is_client: false, authenticated_at: None, methods: Vec::new(), acr: None };
        exchange.set(self.subject, subject);
        Ok(Outcome::Success)
    }
}

fn absent(message: &'static str) -> Reason {
    Reason::new(NO_SUBJECT, message).with_absent()
}

#[cfg(test)]
mod tests {
    use crate::fixture::{get, policy, sent, told};

    fn from(network: &str, more: &str) -> String {
        format!(
            "[[filter]]\nuse = 'auth.header'\nheader = 'x-remote-user'\nfrom = ['{network}']\n{more}\
             [[filter]]\nuse = 'set-header'\nset = {{ x-who = '${{subject.id}}' }}\n\
             [[filter]]\nuse = 'proxy'\nupstream = 'orders'\n"
        )
    }

    #[test]
    fn whom_a_trusted_peer_names_is_let_in() {
        let ran = policy(&from("127.0.0.0/8", "")).run(get("/", &[("x-remote-user", "ann")]));
        assert_eq!(sent(&ran)["headers"]["x-who"], "ann");
        assert_eq!(sent(&ran)["headers"].get("x-remote-user"), None);
        let kept = policy(&from("127.0.0.1", "keep_credential = true\n")).run(get("/", &[("x-remote-user", "ann")]));
        assert_eq!(sent(&kept)["headers"]["x-remote-user"], "ann");
    }

    /// D50: what others send under that name is nothing.
    #[test]
    fn from_others_and_without_a_name_nobody_is() {
        let others = policy(&from("10.0.0.0/8", "keep_credential = true\n"));
        assert_eq!(told(&others.run(get("/", &[("x-remote-user", "ann")]))), "403 no-subject");
        let forwarded = [("x-remote-user", "ann"), ("x-forwarded-for", "10.0.0.1")];
        assert_eq!(told(&others.run(get("/", &forwarded))), "403 no-subject");
        let peer = policy(&from("127.0.0.1", ""));
        for (headers, expected) in [
            (&[][..], "403 no-subject"),
            (&[("x-remote-user", "")], "403 wrong-subject"),
            (&[("x-remote-user", "ann, eve")], "403 wrong-subject"),
            (&[("x-remote-user", "ann,eve")], "403 wrong-subject"),
            (&[("x-remote-user", "ann"), ("x-remote-user", "eve")], "403 wrong-subject"),
        ] {
            assert_eq!(told(&peer.run(get("/", headers))), expected, "{headers:?}");
        }
    }

    #[test]
    fn what_comes_from_nowhere_is_refused_at_load() {
        let empty =
            "[[filter]]\nuse = 'auth.header'\nheader = 'x-remote-user'\nfrom = []\n[[filter]]\nuse = 'respond'\n";
        assert!(policy(empty).problems()[0].contains("nobody is believed"));
        assert!(policy(&from("10.1.0.1/16", "")).problems()[0].contains("a network without bits behind its length"));
    }
}
