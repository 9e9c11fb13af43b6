use serde::{Deserialize, Serialize};

/// The body of every answer outside 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ApiError {
    /// One sentence for the user who made the call.
    pub error: String,
    /// What went wrong, where a client decides on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
}

/// Errors that clients tell apart: `code` of an [`ApiError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The API has no such path.
    RouteNotFound,
    /// The path does not support this method.
    MethodNotAllowed,
    /// What the path names does not exist, or the key cannot see it.
    ResourceNotFound,
    /// An import of the project is running.
    ImportRunning,
    /// A code that this version does not know.
    #[serde(other)]
    Unknown,
}

/// `GET /status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Status {
    /// Name of the service that answers.
    #[serde(default)]
    pub service: String,
    /// `operational` when all is well.
    pub status: String,
    /// The parts that make up the service, in the service's own form.
    #[serde(default, deserialize_with = "super::list")]
    pub components: Vec<serde_json::Value>,
    /// When this answer was made (RFC 3339).
    #[serde(default)]
    pub generated_at: String,
    /// When a state last changed (RFC 3339).
    #[serde(default)]
    pub updated_at: String,
}

/// `GET /v1/me`: whose key this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Me {
    /// What the key may do.
    pub principal: Principal,
    /// The organization that owns the key.
    #[serde(default)]
    pub organization: Option<Organization>,
}

/// The holder of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Principal {
    /// `api_key` for a key.
    #[serde(default)]
    pub auth_source: String,
    /// The organization that the key belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<String>,
    /// What the key may do.
    #[serde(default, deserialize_with = "super::list")]
    pub scopes: Vec<String>,
    /// Whether the holder administers the service.
    #[serde(default)]
    pub is_admin: bool,
    /// The person behind the key, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

/// An organization: the owner of projects and keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Organization {
    /// Opaque id.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Name in URLs.
    pub slug: String,
}

/// `POST /v1/cli/login/sessions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct LoginRequest {
    /// The machine that asks, for the person who approves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// Name of the key that will be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The tool that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When the key shall end (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// A login that a person may approve.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct LoginSession {
    /// Names it in the browser.
    pub session_id: String,
    /// Proves that the one who asks for the key is the one who began: a secret.
    pub poll_token: String,
    /// End of its life (RFC 3339).
    #[serde(default)]
    pub expires_at: String,
    /// `pending`.
    #[serde(default)]
    pub state: String,
}

/// `GET /v1/cli/login/sessions/{id}`: where a login stands.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct LoginState {
    /// `pending`, then `approved` or another end.
    #[serde(default)]
    pub state: String,
    /// The organization that the key is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<String>,
    /// Its display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_name: Option<String>,
    /// Its name in URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_slug: Option<String>,
    /// The new key; it comes exactly once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plaintext_api_key: Option<String>,
}

// These carry secrets, so `Debug` says only that they are there.

impl std::fmt::Debug for LoginSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginSession").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for LoginState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginState").field("state", &self.state).finish_non_exhaustive()
    }
}
