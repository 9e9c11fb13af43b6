//! Integrations: where connection strings are pushed to.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Name of the variable with the pooled connection string.
pub const DATABASE_URL: &str = "DATABASE_URL";
/// Name of the variable with the direct connection string.
pub const DATABASE_URL_UNPOOLED: &str = "DATABASE_URL_UNPOOLED";

/// A provider that connection strings can be pushed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntegrationProvider {
    /// A Vercel project.
    Vercel,
    /// A Netlify site.
    Netlify,
    /// A dotenv file on the machine that runs `capydb dev`.
    Dotenv,
}

impl IntegrationProvider {
    /// All providers.
    pub const ALL: [Self; 3] = [Self::Vercel, Self::Netlify, Self::Dotenv];

    /// The provider's name in the API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vercel => "vercel",
            Self::Netlify => "netlify",
            Self::Dotenv => "dotenv",
        }
    }

    /// The provider with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == name)
    }

    /// All names, for messages.
    pub fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

/// A destination that a project's connection strings are pushed to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Integration {
    /// Provider: `vercel`, `netlify` or `dotenv`.
    pub provider: String,
    /// `pending` while a push is queued or will be retried, `connected` if the last push succeeded,
    /// `error` if it failed.
    #[serde(default)]
    pub state: String,
    /// Provider-specific settings.
    #[serde(default)]
    #[cfg_attr(feature = "server", schema(value_type = Object))]
    pub config: serde_json::Value,
    /// Whether a token is stored. The token itself is never returned.
    #[serde(default)]
    pub has_credentials: bool,
    /// The provider's id of the destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Number of attempts of the current push.
    #[serde(default)]
    pub attempts: i32,
    /// Error of the last push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Time of the last successful push (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pushed_at: Option<String>,
    /// Time of the next attempt (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<String>,
    /// Creation time (RFC 3339).
    #[serde(default)]
    pub created_at: String,
    /// Time of the last change (RFC 3339).
    #[serde(default)]
    pub updated_at: String,
}

/// `PUT …/integrations/{provider}`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ConnectIntegration {
    /// Settings: `project_id`, `team_id` and `targets` for Vercel, `site_id` for Netlify, `path` for
    /// a dotenv file.
    #[serde(default)]
    #[cfg_attr(feature = "server", schema(value_type = Object))]
    pub config: serde_json::Map<String, serde_json::Value>,
    /// Secrets: `token` for Vercel and Netlify. If absent, the stored secrets are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<BTreeMap<String, String>>,
}

impl fmt::Debug for ConnectIntegration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectIntegration").field("config", &self.config).finish_non_exhaustive()
    }
}

/// `GET …/integrations`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct IntegrationList {
    /// Integrations, sorted by provider.
    #[serde(default, deserialize_with = "super::list")]
    pub integrations: Vec<Integration>,
}
