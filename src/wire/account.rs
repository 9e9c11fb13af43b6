//! Errors, service status, accounts and logins.

use serde::{Deserialize, Serialize};

/// The body of every response outside 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ApiError {
    /// Error message for the user, one sentence.
    pub error: String,
    /// Error code, present only for errors that clients distinguish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
}

/// Errors that clients distinguish: `code` of an [`ApiError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The path does not exist in the API.
    RouteNotFound,
    /// The path does not support this method.
    MethodNotAllowed,
    /// The resource does not exist, or the key cannot access it.
    ResourceNotFound,
    /// An import of the project is running.
    ImportRunning,
    /// A code that this version does not recognize.
    #[serde(other)]
    Unknown,
}

/// `GET /status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Status {
    /// Name of the service.
    #[serde(default)]
    pub service: String,
    /// `operational` when the service works normally.
    pub status: String,
    /// Components of the service, in a service-specific format.
    #[serde(default, deserialize_with = "super::list")]
    pub components: Vec<serde_json::Value>,
    /// Time of this response (RFC 3339).
    #[serde(default)]
    pub generated_at: String,
    /// Time of the last status change (RFC 3339).
    #[serde(default)]
    pub updated_at: String,
}

/// `GET /v1/me`: the current key and its organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Me {
    /// The holder and permissions of the key.
    pub principal: Principal,
    /// The organization that owns the key.
    #[serde(default)]
    pub organization: Option<Organization>,
}

/// The holder of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Principal {
    /// `api_key` for an API key.
    #[serde(default)]
    pub auth_source: String,
    /// The organization that the key belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<String>,
    /// Scopes of the key.
    #[serde(default, deserialize_with = "super::list")]
    pub scopes: Vec<String>,
    /// Whether the holder is an administrator of the service.
    #[serde(default)]
    pub is_admin: bool,
    /// Id of the user that the key belongs to, if any.
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
    /// URL slug.
    pub slug: String,
}

/// `POST /v1/cli/login/sessions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct LoginRequest {
    /// Name of the requesting machine, shown to the user who approves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// Name of the key to create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The requesting tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Expiration time of the key (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// A login that waits for approval.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct LoginSession {
    /// Opaque id, used in the approval URL.
    pub session_id: String,
    /// Secret that authorizes polling for the key.
    pub poll_token: String,
    /// Expiration time of the login (RFC 3339).
    #[serde(default)]
    pub expires_at: String,
    /// State of the login: `pending`.
    #[serde(default)]
    pub state: String,
}

/// `GET /v1/cli/login/sessions/{id}`: the state of a login.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct LoginState {
    /// `pending`, then `approved` or another final state.
    #[serde(default)]
    pub state: String,
    /// The organization that the key is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<String>,
    /// Display name of the organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_name: Option<String>,
    /// URL slug of the organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_slug: Option<String>,
    /// The new key; returned exactly once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plaintext_api_key: Option<String>,
}

// These contain secrets, so `Debug` omits fields.

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
