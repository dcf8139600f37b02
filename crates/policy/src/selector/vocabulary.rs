//! The words of selectors and conditions that the engine itself knows, explained. The filter library's attributes explain
//! themselves ([`Attribute::fields`](crate::attribute::Attribute::fields)).

/// A root of selectors: the first word of `${request.method}`.
#[derive(Clone, Copy, Debug)]
pub struct Root {
    /// The word.
    pub name: &'static str,
    /// What it stands for.
    pub doc: &'static str,
    /// What may stand behind it; empty where that is any name, or nothing.
    pub fields: &'static [(&'static str, &'static str)],
}

/// All roots of the engine.
pub const ROOTS: &[Root] = &[
    Root { name: "request", doc: "The request as it came.", fields: REQUEST },
    Root {
        name: "response",
        doc: "The response, once there is one: after `proxy`, and in `[[response]]`.",
        fields: RESPONSE,
    },
    Root { name: "path", doc: "A name of the route's path: `path.id` for `/orders/{id}`.", fields: &[] },
    Root { name: "vars", doc: "A variable that `set` or another filter has set: `vars.NAME`.", fields: &[] },
    Root {
        name: "input",
        doc: "An input that the policy declares under `[input]`, given by `call` with `with`.",
        fields: &[],
    },
    Root { name: "failure", doc: "What failed, after an `on_failure` or in `[[on_failure]]`.", fields: FAILURE },
    Root { name: "values", doc: "A value of `[values]` in node.toml: what differs between environments.", fields: &[] },
    Root { name: "node", doc: "The node that runs the policy.", fields: &[("name", "The node's name.")] },
    Root { name: "now", doc: "The time, in seconds since 1970.", fields: &[] },
    Root {
        name: "kps",
        doc: "A row of a key property store, or a column of it: `kps.NAME[KEY].COLUMN`, where the key is another selector's name or a text in quotes. The row is looked up before the filter runs.",
        fields: &[],
    },
];

const REQUEST: &[(&str, &str)] = &[
    ("method", "The method: `GET`."),
    ("path", "The path in its normal form, without the query."),
    ("uri", "Path and query, as they were asked for."),
    ("url", "Scheme, host, path and query."),
    ("query_string", "The query, without the `?`."),
    ("host", "The host that was asked for, with its port."),
    ("scheme", "`http` or `https`."),
    ("id", "The request's id, as the access log has it."),
    ("content_type", "The media type of the body."),
    (
        "header",
        "A header field: `request.header.NAME`, or `request.header[\"x-api-key\"]`. Several are one value, joined by `, `.",
    ),
    ("query", "A parameter of the query: `request.query.NAME`. Of several the first; `query-rules` refuses several."),
    ("form", "A parameter of a form in the body: `request.form.NAME`. Of several the first. Reads the body."),
    ("cookie", "A cookie: `request.cookie.NAME`."),
    ("body", "The body as text. Reads the body."),
    ("json", "A part of a JSON body: `request.json:$.a.b` (JSONPath). Reads the body."),
    ("client_ip", "The client's address: where the connection came from, or what `trusted_proxies` say."),
    (
        "client_network",
        "The same for limits by address: of IPv6 the network of 64 bits, which one subscriber has as a whole (`2001:db8::/64`); of IPv4 the address.",
    ),
    (
        "cert",
        "The certificate that the client proved itself with (mutual TLS): `request.cert.subject`, and `issuer`, `common_name`, `serial`, `sha256`, `not_before`, `not_after`, `dns_names`, `uris`, `emails`, `ip_addresses`.",
    ),
];

const RESPONSE: &[(&str, &str)] = &[
    ("status", "The status code."),
    ("header", "A header field: `response.header.NAME`."),
    ("body", "The body as text. Reads the body."),
    ("json", "A part of a JSON body: `response.json:$.a.b` (JSONPath). Reads the body."),
];

const FAILURE: &[(&str, &str)] = &[
    ("reason", "The reason's code: `invalid_token`."),
    ("message", "What went wrong, for people."),
    ("filter", "The name of the filter that failed."),
    ("status", "The status code that the built-in answer would have."),
];
