use serde::{Deserialize, Serialize};

/// The body of every answer outside 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// One sentence for the person who made the call.
    pub error: String,
}

/// `GET /status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
pub struct Me {
    /// What the key may do.
    pub principal: Principal,
    /// The organization that owns the key.
    #[serde(default)]
    pub organization: Option<Organization>,
}

/// The holder of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
pub struct Organization {
    /// Opaque id.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Name in URLs.
    pub slug: String,
}
