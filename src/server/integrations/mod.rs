//! Pushing a project's connection strings to where its application runs.

mod caller;
mod dotenv;
mod netlify;
mod vercel;

use self::caller::Caller;
use super::outbox::Due;
use super::store::{DuePush, TELLINGS, Trouble};
use super::{App, outbox, outside};
use crate::wire::{DATABASE_URL, DATABASE_URL_UNPOOLED};
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

/// How the providers are called.
pub(super) struct Providers {
    http: reqwest::Client,
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
            http: outside::providers()?,
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
        Ok(_) => tracing::info!("project {}: connection strings pushed to {}", due.project_id, due.provider),
        Err(Trouble { why, .. }) => {
            tracing::warn!("project {}: pushing to {}, attempt {}: {why}", due.project_id, due.provider, due.attempt);
        }
    }
    app.metrics.pushed(&due.provider, &pushed);
    app.store.end_push(&due, &pushed, outbox::pause(due.attempt, &pushed)).await
}

/// Gives what the provider calls the place that has the connection strings now.
async fn attempt(app: &App, due: &DuePush) -> Result<String, Trouble> {
    if due.attempt > TELLINGS {
        return Err(Trouble::worn());
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
    let (connections, password, token) = known.await.map_err(|error: anyhow::Error| {
        tracing::error!("project {}: {error:#}", due.project_id);
        Trouble::passing("the control plane could not read what it needs; its log says why")
    })?;
    let variables = [
        (DATABASE_URL, connections.pooled_url.unwrap_or_default()),
        (DATABASE_URL_UNPOOLED, connections.direct_url.unwrap_or_default()),
    ];
    let caller = |provider, base: &Url| Caller {
        provider,
        http: app.providers.http.clone(),
        base: base.clone(),
        secrets: vec![token.clone(), variables[0].1.clone(), variables[1].1.clone(), password.clone()],
        token: token.clone(),
    };
    let pushed = match Provider::named(&due.provider) {
        Some(provider) if provider.wants_token() && token.is_empty() => {
            Err(Trouble::lasting("its token is gone; connect it again"))
        }
        Some(Provider::Vercel) => vercel::push(&caller("Vercel", &app.providers.vercel), &due.config, &variables).await,
        Some(Provider::Netlify) => {
            netlify::push(&caller("Netlify", &app.providers.netlify), &due.config, &variables).await
        }
        Some(Provider::Dotenv) if app.is_local => dotenv::push(&due.config, variables.clone()).await,
        _ => Err(Trouble::lasting("this control plane does not push there")),
    };
    pushed.map(|id| crate::text::printable(&id, 300))
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
}
