//! Outbound requests: webhook deliveries, and pushes to integrations.

pub(super) mod integrations;
pub(super) mod outbox;
pub(super) mod webhooks;
