//! Integrations: pushes a project's connection strings to where its application is deployed.

mod dotenv;
mod netlify;
mod provider_client;
mod vercel;

use super::outbox;
use super::outbox::OutboxItem;
use crate::server::metadata::{DeliveryError, DuePush, MAX_DELIVERY_ATTEMPTS};
use crate::server::{Core, egress};
use crate::wire::{DATABASE_URL, DATABASE_URL_UNPOOLED, IntegrationProvider};
use provider_client::ProviderClient;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use url::Url;

impl IntegrationProvider {
    /// Whether pushes need a token.
    pub(crate) fn needs_token(self) -> bool {
        self != Self::Dotenv
    }

    /// The settings in their stored form, or why they are invalid.
    pub(crate) fn settings(self, config: &Map<String, Value>) -> Result<Value, String> {
        match self {
            Self::Vercel => vercel::settings(config),
            Self::Netlify => netlify::settings(config),
            Self::Dotenv => dotenv::settings(config),
        }
    }
}

/// HTTP client and base URLs of the providers' APIs.
pub(crate) struct ProviderApis {
    http: reqwest::Client,
    vercel: Url,
    netlify: Url,
}

impl ProviderApis {
    /// The providers' public URLs, unless environment variables override them.
    pub(crate) fn from_environment() -> anyhow::Result<Self> {
        let address = |name: &str, usual: &str| {
            let set = std::env::var(name).ok().filter(|value| !value.is_empty());
            let url = Url::parse(set.as_deref().unwrap_or(usual)).ok().filter(|url| !url.cannot_be_a_base());
            url.ok_or_else(|| anyhow::anyhow!("{name} is not a valid URL"))
        };
        Ok(Self {
            http: egress::provider_client()?,
            vercel: address("CAPYDB_VERCEL_API_URL", "https://api.vercel.com")?,
            netlify: address("CAPYDB_NETLIFY_API_URL", "https://api.netlify.com")?,
        })
    }
}

/// The variables to push: names and values.
type Variables = [(&'static str, String); 2];

impl OutboxItem for DuePush {
    fn receiver(&self) -> &str {
        &self.project_id
    }
}

/// Runs due pushes until `stop`.
pub(crate) async fn run(core: Arc<Core>, stop: CancellationToken) {
    outbox::run(core, stop, async |core, most, busy| core.store.claim_pushes(most, busy).await, push).await;
}

async fn push(core: Arc<Core>, item: DuePush) -> anyhow::Result<()> {
    let pushed = attempt(&core, &item).await;
    match &pushed {
        Ok(_) => tracing::info!("project {}: connection strings pushed to {}", item.project_id, item.provider),
        Err(DeliveryError { message, .. }) => {
            tracing::warn!(
                "project {}: push to {} failed, attempt {}: {message}",
                item.project_id,
                item.provider,
                item.attempt
            );
        }
    }
    core.metrics.pushed(&item.provider, &pushed);
    core.store.end_push(&item, &pushed, outbox::retry_delay(item.attempt, &pushed)).await
}

/// Pushes the connection strings, and returns the provider's id of the target.
async fn attempt(core: &Core, item: &DuePush) -> Result<String, DeliveryError> {
    if item.attempt > MAX_DELIVERY_ATTEMPTS {
        return Err(DeliveryError::attempts_exhausted());
    }
    let loaded = async {
        let row = core.store.project(&item.project_id).await?;
        let row = row.ok_or_else(|| anyhow::anyhow!("the project no longer exists"))?;
        let (connections, password) = (core.connections(&row)?, core.secret_box.open(&row.role_password)?);
        let credentials: BTreeMap<String, String> = match &item.credentials {
            Some(sealed) => serde_json::from_str(&core.secret_box.open(sealed)?)?,
            None => BTreeMap::new(),
        };
        anyhow::Ok((connections, password, credentials.get("token").cloned().unwrap_or_default()))
    };
    let (connections, password, token) = loaded.await.map_err(|error: anyhow::Error| {
        tracing::error!("project {}: {error:#}", item.project_id);
        DeliveryError::transient("internal error of the control plane; see its log")
    })?;
    let variables = [
        (DATABASE_URL, connections.pooled_url.unwrap_or_default()),
        (DATABASE_URL_UNPOOLED, connections.direct_url.unwrap_or_default()),
    ];
    let client = |provider, base: &Url| ProviderClient {
        provider,
        http: core.providers.http.clone(),
        base: base.clone(),
        secrets: vec![token.clone(), variables[0].1.clone(), variables[1].1.clone(), password.clone()],
        token: token.clone(),
    };
    let pushed = match IntegrationProvider::named(&item.provider) {
        Some(provider) if provider.needs_token() && token.is_empty() => {
            Err(DeliveryError::permanent("the integration has no token; connect it again"))
        }
        Some(IntegrationProvider::Vercel) => {
            vercel::push(&client("Vercel", &core.providers.vercel), &item.config, &variables).await
        }
        Some(IntegrationProvider::Netlify) => {
            netlify::push(&client("Netlify", &core.providers.netlify), &item.config, &variables).await
        }
        Some(IntegrationProvider::Dotenv) if core.is_local => dotenv::push(&item.config, variables.clone()).await,
        _ => Err(DeliveryError::permanent("this control plane does not support the provider")),
    };
    pushed.map(|id| crate::util::format::printable(&id, 300))
}

/// A required setting: a name of at most 100 characters.
fn name(config: &Map<String, Value>, key: &str) -> Result<String, String> {
    optional_name(config, key)?.ok_or_else(|| format!("config.{key} is missing"))
}

fn optional_name(config: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match config.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if is_name(text) => Ok(Some(text.clone())),
        Some(_) => Err(format!("config.{key} must be a string of 1 to 100 letters, digits and . _ -")),
    }
}

fn is_name(text: &str) -> bool {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    (1..=100).contains(&text.len()) && plain && text.chars().any(|c| c.is_ascii_alphanumeric())
}

/// Rejects unknown settings, which are probably typos.
fn reject_unknown(config: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match config.keys().find(|key| !known.contains(&key.as_str())) {
        Some(other) => Err(format!(
            "unknown setting config.{}; supported: {}",
            crate::util::format::printable(other, 60),
            known.join(", ")
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings(provider: IntegrationProvider, config: &Value) -> Result<Value, String> {
        provider.settings(config.as_object().expect("a JSON object"))
    }

    #[test]
    fn settings_are_validated_for_each_provider() {
        let stored = settings(IntegrationProvider::Vercel, &json!({ "project_id": "shop", "team_id": null }))
            .expect("valid settings");
        assert_eq!(stored, json!({ "project_id": "shop", "targets": ["development", "preview", "production"] }));
        assert!(settings(IntegrationProvider::Netlify, &json!({ "site_id": "a.netlify.app" })).is_ok());
        for (provider, config, message) in [
            (IntegrationProvider::Vercel, json!({}), "config.project_id is missing"),
            (IntegrationProvider::Vercel, json!({ "project_id": "a", "x": 1 }), "unknown setting config.x"),
            (IntegrationProvider::Vercel, json!({ "project_id": "../x" }), "config.project_id must be"),
            (IntegrationProvider::Vercel, json!({ "project_id": ".." }), "config.project_id must be"),
            (IntegrationProvider::Vercel, json!({ "project_id": "a", "targets": ["prod"] }), "config.targets must be"),
            (IntegrationProvider::Netlify, json!({ "site_id": 7 }), "config.site_id must be"),
            (IntegrationProvider::Dotenv, json!({ "path": "x/.env" }), "config.path must be"),
            (IntegrationProvider::Dotenv, json!({ "path": "/etc/passwd" }), "config.path must be"),
        ] {
            let error = settings(provider, &config).expect_err("invalid settings");
            assert!(error.starts_with(message), "{config}: {error}");
        }
    }
}
