//! The import panel: a web page without external resources, which uses the same API as every
//! other client.

use super::body::{Body, Path};
use super::error::ErrorResponse;
use super::serve::LocalAddress;
use super::state::ApiState;
use super::{JsonResult, SharedState};
use crate::source::providers::{self, Advice};
use crate::source::{SourceUrl, address_policy};
use axum::extract::{ConnectInfo, Extension, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The files of the page: name, content type, text.
const FILES: [(&str, &str, &str); 11] = [
    ("main.js", SCRIPT, include_str!("../panel/main.js")),
    ("api.js", SCRIPT, include_str!("../panel/api.js")),
    ("dom.js", SCRIPT, include_str!("../panel/dom.js")),
    ("dump.js", SCRIPT, include_str!("../panel/dump.js")),
    ("form.js", SCRIPT, include_str!("../panel/form.js")),
    ("history.js", SCRIPT, include_str!("../panel/history.js")),
    ("job.js", SCRIPT, include_str!("../panel/job.js")),
    ("source.js", SCRIPT, include_str!("../panel/source.js")),
    ("upload.js", SCRIPT, include_str!("../panel/upload.js")),
    ("panel.css", "text/css; charset=utf-8", include_str!("../panel/panel.css")),
    ("icon.svg", "image/svg+xml", include_str!("../panel/icon.svg")),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PAGE: &str = include_str!("../panel/index.html");

pub(super) fn routes() -> Router<Arc<ApiState>> {
    Router::new()
        .route("/", get(page))
        .route("/panel/key", get(key))
        .route("/panel/source", post(source))
        .route("/panel/{file}", get(file))
}

async fn page(State(api): SharedState) -> Response {
    // The page uploads dumps directly to storage.
    let storage = api.core.objects.origin().unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {storage}; \
         form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    );
    sent("text/html; charset=utf-8", &policy, PAGE)
}

async fn file(Path(name): Path<String>) -> Result<Response, ErrorResponse> {
    let found = FILES.iter().find(|(known, ..)| *known == name);
    let (_, kind, text) = found.ok_or_else(|| ErrorResponse::not_found("not found: the panel has no such file"))?;
    Ok(sent(kind, "default-src 'none'", text))
}

fn sent(kind: &'static str, policy: &str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy.to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin".to_owned()),
    ];
    (StatusCode::OK, headers, text).into_response()
}

#[derive(Serialize)]
struct OwnerKey {
    api_key: String,
}

/// Returns the API key of `capydb dev` to a browser of the same user, who can read the key file
/// anyway.
async fn key(
    State(api): SharedState,
    Extension(ConnectInfo(peer)): Extension<ConnectInfo<SocketAddr>>,
    Extension(LocalAddress(ours)): Extension<LocalAddress>,
    headers: HeaderMap,
) -> Result<Response, ErrorResponse> {
    let key_required = || ErrorResponse::unauthorized("API key required");
    // Other origins need a CORS preflight for this header, and none is granted. A proxy does not
    // prove who its client is.
    let from_page = headers.contains_key("x-capydb-panel");
    let is_proxied = ["forwarded", "x-forwarded-for", "via"].iter().any(|name| headers.contains_key(*name));
    let allowed = from_page && !is_proxied && ours.is_some_and(|ours| is_owner(peer, ours));
    let key = api.owner_key.as_ref().filter(|_| allowed).ok_or_else(key_required)?;
    let headers = [(header::CACHE_CONTROL, "no-store")];
    Ok((headers, Json(OwnerKey { api_key: key.expose_secret().to_owned() })).into_response())
}

/// Whether the peer process belongs to our user. Known on Linux only; elsewhere the page asks for
/// the key.
fn is_owner(peer: SocketAddr, ours: SocketAddr) -> bool {
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
    let text = tables.map(|table| std::fs::read_to_string(table).unwrap_or_default()).join("\n");
    owner_in(&text, peer, ours) == Some(rustix::process::geteuid().as_raw())
}

/// The user id of a connection's peer, from Linux's socket tables (`proc_pid_net(5)`): the second
/// field is the local address, the third the remote address, the fourth the state, the eighth the
/// user id. A port can have several connections, so both addresses must match exactly one socket.
fn owner_in(tables: &str, peer: SocketAddr, ours: SocketAddr) -> Option<u32> {
    const CONNECTED: &str = "01";
    let (from, to) = (table_addresses(peer)?, table_addresses(ours)?);
    let mut found = tables.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, own, other, state, _, _, _, user, ..] = fields.as_slice() else { return None };
        (from.iter().any(|form| form == own) && to.iter().any(|form| form == other) && *state == CONNECTED)
            .then_some(*user)
    });
    let owner = found.next()?.parse().ok();
    owner.filter(|_| found.next().is_none())
}

/// An IPv4 address as in the tables, plain and IPv4-mapped; 32-bit words are in host byte order.
fn table_addresses(address: SocketAddr) -> Option<[String; 2]> {
    let IpAddr::V4(ip) = address.ip() else { return None };
    let bare = format!("{:08X}", u32::from_ne_bytes(ip.octets()));
    let mapped = format!("0000000000000000{:08X}{bare}", u32::from_ne_bytes([0, 0, 0xff, 0xff]));
    Some([bare, mapped].map(|ip| format!("{ip}:{:04X}", address.port())))
}

#[derive(Deserialize)]
struct SourceQuery {
    url: String,
}

/// Facts about a source URL, without a connection.
#[derive(Serialize, Default)]
struct RecognizedSource {
    ok: bool,
    /// The normalized URL.
    shown: String,
    provider: Option<&'static str>,
    /// Changes made by the normalization.
    changes: Vec<String>,
    caveats: &'static [&'static str],
    message: Option<String>,
    fix: Option<String>,
    /// The same database at its direct endpoint.
    instead: Option<String>,
}

/// Recognizes a URL while the user types. The page sends it without its password.
async fn source(State(api): SharedState, Body(query): Body<SourceQuery>) -> JsonResult<RecognizedSource> {
    Ok(Json(recognize(&query.url, api.core.allow_private_sources)))
}

fn recognize(text: &str, allow_private: bool) -> RecognizedSource {
    let url = match SourceUrl::parse(text) {
        Ok(url) => url,
        Err(problem) => return RecognizedSource { message: Some(problem.to_string()), ..RecognizedSource::default() },
    };
    let refused = |message: String, fix: &str| RecognizedSource {
        message: Some(message),
        fix: Some(fix.to_owned()),
        ..RecognizedSource::default()
    };
    let advice = providers::advise(&url);
    let provider = providers::recognize(url.host());
    if let (Some(problem), Some(fix)) = (advice.problem(), advice.fix()) {
        let instead = match &advice {
            Advice::Rewrite(_, instead, _) => Some(instead.expose().to_owned()),
            _ => None,
        };
        return RecognizedSource {
            provider: provider.map(|provider| provider.name),
            instead,
            ..refused(problem, &fix)
        };
    }
    if !allow_private && address_policy::is_private(&url) {
        return refused(
            "the source must be publicly reachable, but its address is private".to_owned(),
            "dump the source from inside its network (pg_dump -Fc) and upload the file",
        );
    }
    let (url, changes) = address_policy::normalized(url);
    RecognizedSource {
        ok: true,
        shown: url.to_string(),
        provider: provider.map(|provider| provider.name),
        caveats: provider.map_or(&[], |provider| provider.caveats),
        changes: changes.iter().map(ToString::to_string).collect(),
        ..RecognizedSource::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_connection_is_found() {
        let row = |local: &str, remote: &str, state: &str, user: u32| {
            format!("   1: {local} {remote} {state} 00000000:00000000 00:00000000 00000000  {user}        0 2 1 0\n")
        };
        let (client, server) = ("0100007F:9C40", "0100007F:1DE6");
        let address = |text: &str| text.parse().expect("a valid address");
        let (peer, listener) = (address("127.0.0.1:40000"), address("127.0.0.1:7654"));
        let listening = row(server, "00000000:0000", "0A", 1000);
        let other_port = row(client, "0100007F:0050", "01", 1000);
        let table = format!("{listening}{other_port}{}", row(client, server, "01", 1001));
        if cfg!(target_endian = "little") {
            assert_eq!(
                owner_in(&table, peer, listener),
                Some(1001),
                "the same port with another remote address is a different connection"
            );
            let mapped = "0000000000000000FFFF00000100007F";
            let table = row(&format!("{mapped}:9C40"), &format!("{mapped}:1DE6"), "01", 1002);
            assert_eq!(owner_in(&table, peer, listener), Some(1002));
        }
        assert_eq!(owner_in(&format!("{listening}{other_port}"), peer, listener), None);
        assert_eq!(owner_in(&table.repeat(2), peer, listener), None, "two matching sockets are ambiguous");
    }

    #[test]
    fn a_url_without_its_password_is_recognized() {
        let result = recognize("postgres://u@ep-x-1.eu-central-1.aws.neon.tech/shop", false);
        assert!(result.ok && result.provider == Some("Neon") && result.shown.contains("sslmode=require"));
        let result = recognize("postgres://u@ep-x-1-pooler.eu-central-1.aws.neon.tech/shop", false);
        assert!(!result.ok && result.instead.expect("a direct endpoint").contains("@ep-x-1.eu-central-1"));
        let result = recognize("postgres://u@10.0.0.7/shop", false);
        assert!(!result.ok && result.message.expect("a message").contains("publicly reachable"));
        assert!(recognize("postgres://u@10.0.0.7/shop", true).ok);
        assert!(recognize("mysql://u@h/shop", true).message.expect("a message").contains("starts with postgres://"));
    }

    /// Counts all files, uncompressed.
    #[test]
    fn the_panel_is_smaller_than_100_kilobytes() {
        let size: usize = FILES.iter().map(|(_, _, text)| text.len()).sum();
        assert!(size + PAGE.len() < 100_000, "{size}");
    }
}
