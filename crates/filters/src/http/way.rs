//! Where `proxy` sends requests: to one upstream, or to the one of several that a URL names.

use std::sync::Arc;

use http::{StatusCode, Uri};

use policy::ports::UpstreamHandle;
use policy::settings::Spanned;
use policy::{BuildContext, Diagnostics, Dynamic, Getter, Reason, ReasonCode};

use super::location::Origin;
use crate::upstreams::UpstreamExt;

/// A URL that is not allowed.
const NOT_ALLOWED: ReasonCode = ReasonCode::new("url-not-allowed");

/// The way.
pub(super) enum Way {
    /// To one upstream; redirects lead to these too.
    To(Arc<UpstreamHandle>, Vec<Arc<UpstreamHandle>>),
    /// To the one of these that the URL names.
    By(Getter<String>, Vec<Arc<UpstreamHandle>>),
}

impl Way {
    /// `follows`: whether redirects are followed.
    pub(super) fn compile(
        upstream: Option<&Spanned<String>>,
        url: Option<&Dynamic<String>>,
        allow: &[Spanned<String>],
        follows: bool,
        cx: &mut BuildContext<'_>,
    ) -> Result<Way, Diagnostics> {
        match (upstream, url) {
            (None, None) => {
                let help = "declare `[upstream.NAME]` in `node.toml` and use `upstream = \"NAME\"`";
                Err(cx.error(cx.own_place().span, "`proxy` needs an `upstream`", help).into())
            }
            (Some(upstream), Some(_)) => {
                let help =
                    "`upstream` for one that is always the same, `url` with `allow` for one that a selector names";
                Err(cx.error(upstream.span, "`proxy` has an `upstream` and a `url`", help).into())
            }
            (Some(upstream), None) => {
                if let (Some(first), false) = (allow.first(), follows) {
                    let help = "it says where a `url` may lead, or a redirect that is followed";
                    return Err(cx.error(first.span, "`allow` says nothing without `url`", help).into());
                }
                Ok(Way::To(cx.upstream(upstream)?, upstreams(allow, cx)?))
            }
            (None, Some(url)) => {
                if allow.is_empty() {
                    let help = "`allow = [\"NAME\"]`: the upstreams of `node.toml` that it may name; a URL that anybody may choose leads anywhere";
                    return Err(cx.error(url.span(), "`url` needs `allow`", help).into());
                }
                cx.fails(&[NOT_ALLOWED]);
                Ok(Way::By(cx.dynamic(url)?, upstreams(allow, cx)?))
            }
        }
    }

    /// The upstreams that redirects may lead to, beside the one that answered.
    pub(super) fn allowed(&self) -> &[Arc<UpstreamHandle>] {
        match self {
            Way::To(_, allowed) | Way::By(_, allowed) => allowed,
        }
    }
}

fn upstreams(names: &[Spanned<String>], cx: &mut BuildContext<'_>) -> Result<Vec<Arc<UpstreamHandle>>, Diagnostics> {
    let upstream = |name: &Spanned<String>| {
        if name.value.contains("://") {
            let help = format!(
                "declare `[upstream.NAME]` with `targets = [\"{}\"]` in `node.toml`, which says how it is reached, and write its name here",
                name.value
            );
            return Err(cx.error(name.span, "`allow` has the names of upstreams", help).into());
        }
        cx.upstream(name)
    };
    names.iter().map(upstream).collect()
}

/// The upstream that a URL names, and path and query there.
pub(super) fn chosen<'a>(
    url: &str,
    allowed: &'a [Arc<UpstreamHandle>],
) -> Result<(&'a UpstreamHandle, String), Reason> {
    let refused = |why: &str| Reason::new(NOT_ALLOWED, format!("the URL {why}")).with_status(StatusCode::FORBIDDEN);
    let uri: Uri = url.parse().map_err(|_| refused("is malformed"))?;
    let origin = Origin::of(&uri).ok_or_else(|| refused("is none of http or https, or has user information"))?;
    let upstream = allowed.iter().find(|upstream| is_at(upstream, &origin));
    let upstream = upstream.ok_or_else(|| refused("names no upstream that is allowed"))?;
    match target(&uri) {
        Some(target) => Ok((upstream, target)),
        None => Err(refused("has a segment `.` or `..`")),
    }
}

/// Whether the upstream is at this origin.
pub(super) fn is_at(upstream: &UpstreamHandle, origin: &Origin) -> bool {
    upstream.0.is_at(origin.scheme, &origin.host, origin.port)
}

/// Path and query of a URL, where no segment leads upwards, however it is encoded.
pub(super) fn target(uri: &Uri) -> Option<String> {
    let mut path = uri.path().to_ascii_lowercase();
    for (encoded, plain) in [("%2e", "."), ("%2f", "/"), ("%5c", "\\"), ("%3b", ";")] {
        path = path.replace(encoded, plain);
    }
    if leads_upwards(&path) {
        return None;
    }
    Some(uri.path_and_query().map_or_else(|| String::from("/"), ToString::to_string))
}

/// Whether a segment of a path does.
pub(super) fn leads_upwards(path: &str) -> bool {
    path.split(['/', '\\']).any(|segment| matches!(segment.split(';').next(), Some("." | "..")))
}
