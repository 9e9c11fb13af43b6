//! Calls to servers that others name: webhooks and integrations.

pub(super) mod egress;
pub(super) mod integrations;
pub(super) mod outbox;
pub(super) mod webhooks;
