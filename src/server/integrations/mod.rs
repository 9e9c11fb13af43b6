//! Pushing a project's connection strings to where its application runs.

mod dotenv;
mod netlify;
mod vercel;

use super::outbox::Due;
use super::store::{DuePush, Pushed, TELLINGS};
use super::{App, outbox, outside};
use crate::wire::{DATABASE_URL, DATABASE_URL_UNPOOLED};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use url::Url;

/// A place of a kind that we know how to push to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    /// A project of Vercel.
    Vercel,
    /// A site of Netlify.
    Netlify,
    /// A file of the machine that the control plane runs on.
    Dotenv,
}

impl Provider {
    /// By the word of the API.
    pub(super) fn named(word: &str) -> Option<Self> {
        [Self::Vercel, Self::Netlify, Self::Dotenv].into_iter().find(|provider| provider.word() == word)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Vercel => "vercel",
            Self::Netlify => "netlify",
            Self::Dotenv => "dotenv",
        }
    }

    /// Whether it wants a token.
    pub(super) fn wants_token(self) -> bool {
        self != Self::Dotenv
    }

    /// The settings as they are stored, or what is wrong with them.
    pub(super) fn settings(self, config: &Map<String, Value>) -> Result<Value, String> {
        match self {
            Self::Vercel => vercel::settings(config),
            Self::Netlify => netlify::settings(config),
            Self::Dotenv => dotenv::settings(config),
        }
    }
}

/// Where the providers' APIs are.
#[derive(Debug, Clone)]
pub(super) struct Providers {
    vercel: Url,
    netlify: Url,
}

impl Providers {
    /// Their own addresses, unless the environment names others.
    pub(super) fn from_environment() -> anyhow::Result<Self> {
        let address = |name: &str, usual: &str| {
            let set = std::env::var(name).ok().filter(|value| !value.is_empty());
            let url = Url::parse(set.as_deref().unwrap_or(usual)).ok().filter(|url| !url.cannot_be_a_base());
            url.ok_or_else(|| anyhow::anyhow!("{name} is not a URL"))
        };
        Ok(Self {
            vercel: address("CAPYDB_VERCEL_API_URL", "https://api.vercel.com")?,
            netlify: address("CAPYDB_NETLIFY_API_URL", "https://api.netlify.com")?,
        })
    }
}

/// What is pushed: names and values.
type Variables = [(&'static str, String); 2];

impl Due for DuePush {
    fn receiver(&self) -> &str {
        &self.project_id
    }
}

/// Pushes what is due until it is told to stop.
pub(super) async fn run(app: Arc<App>, stop: CancellationToken) {
    outbox::run(app, stop, async |app, most, busy| app.store.claim_pushes(most, busy).await, push).await;
}

async fn push(app: Arc<App>, due: DuePush) -> anyhow::Result<()> {
    let pushed = attempt(&app, &due).await;
    match &pushed {
        Pushed::Done(_) => tracing::info!("project {}: connection strings pushed to {}", due.project_id, due.provider),
        Pushed::Later(why) | Pushed::Never(why) => {
            tracing::warn!("project {}: pushing to {}, attempt {}: {why}", due.project_id, due.provider, due.attempt);
        }
    }
    app.metrics.pushed(&due.provider, &pushed);
    app.store.end_push(&due, &pushed, outbox::pause(due.attempt)).await
}

async fn attempt(app: &App, due: &DuePush) -> Pushed {
    if due.attempt > TELLINGS {
        return Pushed::Never("whoever pushed ended before it was done, in the last attempt too".to_owned());
    }
    let known = async {
        let row = app.store.project(&due.project_id).await?;
        let row = row.ok_or_else(|| anyhow::anyhow!("the project is gone"))?;
        let (connections, password) = (app.connections(&row)?, app.sealer.open(&row.role_password)?);
        let credentials: BTreeMap<String, String> = match &due.credentials {
            Some(sealed) => serde_json::from_str(&app.sealer.open(sealed)?)?,
            None => BTreeMap::new(),
        };
        anyhow::Ok((connections, password, credentials.get("token").cloned().unwrap_or_default()))
    };
    let (connections, password, token) = match known.await {
        Ok(known) => known,
        Err(error) => {
            tracing::error!("project {}: {error:#}", due.project_id);
            return Pushed::Later("the control plane could not read what it needs; its log says why".to_owned());
        }
    };
    let variables = [
        (DATABASE_URL, connections.pooled_url.unwrap_or_default()),
        (DATABASE_URL_UNPOOLED, connections.direct_url.unwrap_or_default()),
    ];
    let caller = |base: &Url| Caller {
        http: app.providers_http.clone(),
        base: base.clone(),
        secrets: vec![token.clone(), variables[0].1.clone(), variables[1].1.clone(), password.clone()],
        token: token.clone(),
    };
    let pushed = match Provider::named(&due.provider) {
        Some(provider) if provider.wants_token() && token.is_empty() => {
            Err(Trouble::lasting("its token is gone; connect it again"))
        }
        Some(Provider::Vercel) => vercel::push(&caller(&app.providers.vercel), &due.config, &variables).await,
        Some(Provider::Netlify) => netlify::push(&caller(&app.providers.netlify), &due.config, &variables).await,
        Some(Provider::Dotenv) if app.is_local => dotenv::push(&due.config, &variables),
        _ => Err(Trouble::lasting("this control plane does not push there")),
    };
    match pushed {
        Ok(id) => Pushed::Done(id.map(|id| crate::text::printable(&id, 300))),
        Err(Trouble { why, lasting: true }) => Pushed::Never(why),
        Err(Trouble { why, lasting: false }) => Pushed::Later(why),
    }
}

/// Why a push did not come about.
#[derive(Debug)]
struct Trouble {
    why: String,
    /// There is no sense in trying again.
    lasting: bool,
}

impl Trouble {
    fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), lasting: true }
    }

    fn passing(why: impl Into<String>) -> Self {
        Self { why: why.into(), lasting: false }
    }
}

/// Calls one provider for one project.
struct Caller {
    http: reqwest::Client,
    base: Url,
    token: String,
    /// What the provider may send back and nobody else may see.
    secrets: Vec<String>,
}

impl Caller {
    /// Gives the answer's status and what it says, if that is JSON, without secrets.
    async fn call(
        &self,
        provider: &str,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), Trouble> {
        /// No answer of a provider that we read is longer, in bytes.
        const LONGEST: usize = 4 << 20;
        let lost = |error: reqwest::Error| Trouble::passing(format!("{provider}: {}", outside::trouble(&error)));
        let request = self.http.request(method, address(&self.base, path, query)).bearer_auth(&self.token);
        let request = if let Some(body) = body { request.json(body) } else { request };
        let mut answer = request.send().await.map_err(lost)?;
        let (status, mut body) = (answer.status(), Vec::new());
        while let Some(block) = answer.chunk().await.map_err(lost)? {
            body.extend_from_slice(&block);
            if body.len() > LONGEST {
                return Err(Trouble::passing(format!("{provider} answered more than can be read")));
            }
        }
        match serde_json::from_str(&without(String::from_utf8_lossy(&body).into_owned(), &self.secrets)) {
            // A page of whoever stands between us and the provider is no answer of theirs.
            Err(_) if status.is_success() => {
                Err(Trouble::passing(format!("{provider} answered something else than JSON")))
            }
            read => Ok((status, read.unwrap_or_default())),
        }
    }
}

/// The text without secrets, however they are written.
fn without(mut text: String, secrets: &[String]) -> String {
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let escaped = serde_json::to_string(secret).unwrap_or_default();
        for written in [secret.as_str(), encoded.as_str(), escaped.trim_matches('"')] {
            text = text.replace(written, "***");
        }
    }
    text
}

/// What an answer other than the wished-for one means. `what` was asked for.
fn refusal(provider: &str, what: &str, status: StatusCode, answer: &Value) -> Trouble {
    let said = ["/error/message", "/message", "/error"].iter().find_map(|place| answer.pointer(place)?.as_str());
    let said = said.map_or_else(String::new, |said| format!(": {}", crate::text::printable(said, 200)));
    let why = match status.as_u16() {
        401 | 403 => format!("{provider} refuses the token ({}){said}", status.as_u16()),
        404 => format!("{provider} has no {what} that this token may see"),
        code => format!("{provider} answered {code}{said}"),
    };
    let passes = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
    Trouble { why, lasting: !passes }
}

/// An answer of success that does not say what it should.
fn strange(provider: &str) -> Trouble {
    Trouble::passing(format!("{provider} did not answer as it should"))
}

/// An address below a provider's own.
fn address(base: &Url, path: &[&str], query: &[(&str, &str)]) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

/// A setting that must be there: a name of a hundred characters at most.
fn name(config: &Map<String, Value>, key: &str) -> Result<String, String> {
    optional_name(config, key)?.ok_or_else(|| format!("config.{key} is missing"))
}

fn optional_name(config: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match config.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if is_name(text) => Ok(Some(text.clone())),
        Some(_) => Err(format!("config.{key} must be a text of 1 to 100 letters, digits and . _ -")),
    }
}

fn is_name(text: &str) -> bool {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    (1..=100).contains(&text.len()) && plain && text.chars().any(|c| c.is_ascii_alphanumeric())
}

/// Settings that nobody knows are a slip of the pen.
fn only(config: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match config.keys().find(|key| !known.contains(&key.as_str())) {
        Some(other) => {
            Err(format!("config.{} is not known; there are: {}", crate::text::printable(other, 60), known.join(", ")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings(provider: Provider, config: &Value) -> Result<Value, String> {
        provider.settings(config.as_object().expect("an object"))
    }

    #[test]
    fn settings_are_those_of_the_provider() {
        let stored = settings(Provider::Vercel, &json!({ "project_id": "shop", "team_id": null })).expect("fine");
        assert_eq!(stored, json!({ "project_id": "shop", "targets": ["development", "preview", "production"] }));
        assert!(settings(Provider::Netlify, &json!({ "site_id": "a.netlify.app" })).is_ok());
        for (provider, config, why) in [
            (Provider::Vercel, json!({}), "config.project_id is missing"),
            (Provider::Vercel, json!({ "project_id": "a", "x": 1 }), "config.x is not known"),
            (Provider::Vercel, json!({ "project_id": "../x" }), "config.project_id must be"),
            (Provider::Vercel, json!({ "project_id": ".." }), "config.project_id must be"),
            (Provider::Vercel, json!({ "project_id": "a", "targets": ["prod"] }), "config.targets must be"),
            (Provider::Netlify, json!({ "site_id": 7 }), "config.site_id must be"),
            (Provider::Dotenv, json!({ "path": "x/.env" }), "config.path must be"),
            (Provider::Dotenv, json!({ "path": "/etc/passwd" }), "config.path must be"),
        ] {
            let said = settings(provider, &config).expect_err("is refused");
            assert!(said.starts_with(why), "{config}: {said}");
        }
    }

    #[test]
    fn what_a_provider_says_is_told_without_the_token() {
        let said = json!({ "error": { "message": "token T0KEN is not valid" } });
        let trouble = refusal("Vercel", "project", StatusCode::FORBIDDEN, &said);
        assert!(trouble.lasting);
        assert_eq!(trouble.why, "Vercel refuses the token (403): token T0KEN is not valid");
        let secrets = ["T0KEN".to_owned(), "postgres://u:p@h/d?a=b".to_owned()];
        let said = "T0KEN postgres://u:p@h/d?a=b postgres%3A%2F%2Fu%3Ap%40h%2Fd%3Fa%3Db".to_owned();
        assert_eq!(without(said, &secrets), "*** *** ***");
        assert!(!refusal("Vercel", "project", StatusCode::BAD_GATEWAY, &Value::Null).lasting);
        assert!(!refusal("Vercel", "project", StatusCode::TOO_MANY_REQUESTS, &Value::Null).lasting);
    }
}
