//! Webhook endpoints, deliveries and events.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An import succeeded.
pub const IMPORT_COMPLETED: &str = "import.completed";
/// A job succeeded.
pub const JOB_COMPLETED: &str = "job.completed";
/// A job failed.
pub const JOB_FAILED: &str = "job.failed";
/// A test event.
pub const WEBHOOK_TEST: &str = "webhook.test";
/// Event types that an endpoint can subscribe to.
pub const EVENT_TYPES: [&str; 3] = [IMPORT_COMPLETED, JOB_COMPLETED, JOB_FAILED];

/// Header with the event type.
pub const EVENT_HEADER: &str = "X-CapyDB-Event";
/// Header with the delivery id.
pub const DELIVERY_HEADER: &str = "X-CapyDB-Delivery";
/// Header with time and signature: `t=<unix>,v1=<hex HMAC-SHA256 of "<t>.<body>">`.
pub const SIGNATURE_HEADER: &str = "X-CapyDB-Signature";

/// A webhook endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct WebhookEndpoint {
    /// Opaque id.
    pub id: String,
    /// The organization whose events the endpoint receives.
    #[serde(default)]
    pub organization_id: String,
    /// URL that events are sent to.
    pub url: String,
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Event types to send; empty means all.
    #[serde(default, deserialize_with = "super::list")]
    pub event_types: Vec<String>,
    /// Whether events are sent.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Creation time (RFC 3339).
    #[serde(default)]
    pub created_at: String,
    /// Time of the last change (RFC 3339).
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
    /// URL that events are sent to: https, with a public address.
    pub url: String,
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Event types to send; empty means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_types: Option<Vec<String>>,
}

/// `PATCH …/webhook-endpoints/{id}`: absent fields are unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct UpdateWebhookEndpoint {
    /// URL that events are sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Description; an empty string removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Event types to send; an empty list means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_types: Option<Vec<String>>,
    /// Whether events are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// An endpoint. The secret is included only once, after creation or rotation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct WebhookEndpointAnswer {
    /// The endpoint.
    pub webhook_endpoint: WebhookEndpoint,
    /// Signing secret (`whsec_…`).
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
    /// Endpoints, oldest first.
    #[serde(default, deserialize_with = "super::list")]
    pub webhook_endpoints: Vec<WebhookEndpoint>,
}

/// The delivery of an event to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct WebhookDelivery {
    /// Opaque id, sent as `X-CapyDB-Delivery`; the same for every attempt.
    pub id: String,
    /// Id of the endpoint.
    #[serde(default)]
    pub webhook_endpoint_id: String,
    /// Id of the event (`evt_…`).
    #[serde(default)]
    pub event_id: String,
    /// Event type.
    #[serde(default)]
    pub event_type: String,
    /// `pending`, `delivered`, or `failed` when the attempts are exhausted.
    #[serde(default)]
    pub state: String,
    /// Number of attempts so far.
    #[serde(default)]
    pub attempts: i32,
    /// Maximum number of attempts.
    #[serde(default)]
    pub max_attempts: i32,
    /// HTTP status of the receiver's last response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_status: Option<i32>,
    /// Error of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Time of the next attempt, if any (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<String>,
    /// When the receiver acknowledged the event (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<String>,
    /// Time of the event (RFC 3339).
    #[serde(default)]
    pub created_at: String,
}

/// `GET …/webhook-endpoints/{id}/deliveries`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct WebhookDeliveryList {
    /// Deliveries, newest first.
    #[serde(default, deserialize_with = "super::list")]
    pub deliveries: Vec<WebhookDelivery>,
}

/// `POST …/webhook-endpoints/{id}/test`, an extension to the API contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct WebhookDeliveryAnswer {
    /// The pending delivery.
    pub delivery: WebhookDelivery,
}

/// The payload that an endpoint receives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WebhookEvent {
    /// Opaque id (`evt_…`), for deduplication.
    pub id: String,
    /// Event type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Time of the event (RFC 3339).
    pub created_at: String,
    /// Details of the event.
    pub data: WebhookEventData,
}

/// Details of an event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WebhookEventData {
    /// Id of the organization.
    pub organization_id: String,
    /// Id of the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Id of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Type of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_type: Option<String>,
    /// Final state of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Error message of a failed job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Result of a completed import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<serde_json::Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_contains_no_secret() {
        let text = r#"{"webhook_endpoint":{"id":"e","url":"https://x"},"plaintext_secret":"whsec_canary"}"#;
        let answer: WebhookEndpointAnswer = serde_json::from_str(text).expect("a valid response");
        assert!(answer.webhook_endpoint.enabled && answer.plaintext_secret.is_some());
        assert!(!format!("{answer:?}").contains("canary"));
    }
}
