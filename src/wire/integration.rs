use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The variable with the pooled connection string.
pub const DATABASE_URL: &str = "DATABASE_URL";
/// The variable with the direct one.
pub const DATABASE_URL_UNPOOLED: &str = "DATABASE_URL_UNPOOLED";

/// A place that a project's connection strings are pushed to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Integration {
    /// `vercel`, `netlify` or `dotenv`.
    pub provider: String,
    /// `pending` while a push waits or is tried again, `connected` when the last one has
    /// succeeded, `error` when it has not.
    #[serde(default)]
    pub state: String,
    /// Settings, in a form that depends on the provider.
    #[serde(default)]
    #[cfg_attr(feature = "server", schema(value_type = Object))]
    pub config: serde_json::Value,
    /// Whether it has a token. The token itself never comes back.
    #[serde(default)]
    pub has_credentials: bool,
    /// What the provider calls the place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Pushes that were begun since the last wish for one.
    #[serde(default)]
    pub attempts: i32,
    /// Why the last push failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When a push last succeeded (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pushed_at: Option<String>,
    /// When it is tried again (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<String>,
    /// When it was made (RFC 3339).
    #[serde(default)]
    pub created_at: String,
    /// When it last changed (RFC 3339).
    #[serde(default)]
    pub updated_at: String,
}

/// `PUT …/integrations/{provider}`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ConnectIntegration {
    /// Settings: `project_id`, `team_id` and `targets` of Vercel, `site_id` of Netlify, `path` of
    /// a dotenv file.
    #[serde(default)]
    #[cfg_attr(feature = "server", schema(value_type = Object))]
    pub config: serde_json::Map<String, serde_json::Value>,
    /// Secrets: `token` of Vercel and Netlify. Absent, those that are there stay.
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
    /// By provider.
    #[serde(default, deserialize_with = "super::list")]
    pub integrations: Vec<Integration>,
}
