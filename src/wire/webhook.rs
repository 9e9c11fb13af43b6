use serde::{Deserialize, Serialize};
use std::fmt;

/// An import has succeeded.
pub const IMPORT_COMPLETED: &str = "import.completed";
/// A job has succeeded.
pub const JOB_COMPLETED: &str = "job.completed";
/// A job has failed.
pub const JOB_FAILED: &str = "job.failed";
/// Somebody tries an endpoint out.
pub const WEBHOOK_TEST: &str = "webhook.test";
/// What an endpoint can ask for.
pub const EVENT_TYPES: [&str; 3] = [IMPORT_COMPLETED, JOB_COMPLETED, JOB_FAILED];

/// The header that names an event's type.
pub const EVENT_HEADER: &str = "X-CapyDB-Event";
/// The header that names the delivery.
pub const DELIVERY_HEADER: &str = "X-CapyDB-Delivery";
/// The header with time and signature: `t=<unix>,v1=<hex HMAC-SHA256 of "<t>.<body>">`.
pub const SIGNATURE_HEADER: &str = "X-CapyDB-Signature";

/// A place that wants to hear of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct WebhookEndpoint {
    /// Opaque id.
    pub id: String,
    /// The organization whose events it gets.
    #[serde(default)]
    pub organization_id: String,
    /// Where events are sent.
    pub url: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The types that it gets; none named means all.
    #[serde(default, deserialize_with = "super::list")]
    pub event_types: Vec<String>,
    /// Whether it gets any.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// When it was made (RFC 3339).
    #[serde(default)]
    pub created_at: String,
    /// When it last changed (RFC 3339).
    #[serde(default)]
    pub updated_at: String,
}

fn yes() -> bool {
    true
}

/// `POST …/webhook-endpoints`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct CreateWebhookEndpoint {
    /// Where events are sent: https, at a public address.
    pub url: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The types that it gets; none named means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_types: Option<Vec<String>>,
}

/// `PATCH …/webhook-endpoints/{id}`: what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct UpdateWebhookEndpoint {
    /// Where events are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What it is for; empty takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The types that it gets; an empty list means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_types: Option<Vec<String>>,
    /// Whether it gets any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// One endpoint; its secret only when it was made or changed, and then never again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct WebhookEndpointAnswer {
    /// The endpoint.
    pub webhook_endpoint: WebhookEndpoint,
    /// What its deliveries are signed with (`whsec_…`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plaintext_secret: Option<String>,
}

impl fmt::Debug for WebhookEndpointAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("WebhookEndpointAnswer");
        shown.field("webhook_endpoint", &self.webhook_endpoint).finish_non_exhaustive()
    }
}

/// `GET …/webhook-endpoints`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct WebhookEndpointList {
    /// The oldest first.
    #[serde(default, deserialize_with = "super::list")]
    pub webhook_endpoints: Vec<WebhookEndpoint>,
}

/// One event on its way to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct WebhookDelivery {
    /// Opaque id, sent as `X-CapyDB-Delivery`: the same in every attempt.
    pub id: String,
    /// The endpoint.
    #[serde(default)]
    pub webhook_endpoint_id: String,
    /// The event (`evt_…`).
    #[serde(default)]
    pub event_id: String,
    /// Its type.
    #[serde(default)]
    pub event_type: String,
    /// `pending`, `delivered`, or `failed` when no attempt is left.
    #[serde(default)]
    pub state: String,
    /// How often it was sent.
    #[serde(default)]
    pub attempts: i32,
    /// How often it is sent at most.
    #[serde(default)]
    pub max_attempts: i32,
    /// What the receiver answered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_status: Option<i32>,
    /// Why the last attempt was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When it is sent again, if it is (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<String>,
    /// When the receiver took it (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<String>,
    /// When the event happened (RFC 3339).
    #[serde(default)]
    pub created_at: String,
}

/// `GET …/webhook-endpoints/{id}/deliveries`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct WebhookDeliveryList {
    /// Newest first.
    #[serde(default, deserialize_with = "super::list")]
    pub deliveries: Vec<WebhookDelivery>,
}

/// `POST …/webhook-endpoints/{id}/test`, an addition to the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct WebhookDeliveryAnswer {
    /// The delivery, which is about to be sent.
    pub delivery: WebhookDelivery,
}

/// What an endpoint receives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WebhookEvent {
    /// `evt_…`: by this a receiver knows what it has had already.
    pub id: String,
    /// The type.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened (RFC 3339).
    pub created_at: String,
    /// What happened.
    pub data: WebhookEventData,
}

/// What an event is about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WebhookEventData {
    /// The organization.
    pub organization_id: String,
    /// The project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_type: Option<String>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What a completed import brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<serde_json::Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let text = r#"{"webhook_endpoint":{"id":"e","url":"https://x"},"plaintext_secret":"whsec_canary"}"#;
        let answer: WebhookEndpointAnswer = serde_json::from_str(text).expect("reads");
        assert!(answer.webhook_endpoint.enabled && answer.plaintext_secret.is_some());
        assert!(!format!("{answer:?}").contains("canary"));
    }
}
