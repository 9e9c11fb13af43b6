//! Delivers webhooks: signs, sends and retries.

use super::outbox;
use super::outbox::OutboxItem;
use crate::server::crypto::Signer;
use crate::server::metadata::{DeliveryError, DueDelivery, MAX_DELIVERY_ATTEMPTS};
use crate::server::{Core, egress};
use crate::wire::{DELIVERY_HEADER, EVENT_HEADER, SIGNATURE_HEADER, retry_after};
use reqwest::header::CONTENT_TYPE;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

impl OutboxItem for DueDelivery {
    fn receiver(&self) -> &str {
        &self.endpoint_id
    }
}

/// Delivers due webhooks until `stop`.
pub(crate) async fn run(core: Arc<Core>, stop: CancellationToken) {
    outbox::run(core, stop, async |core, most, busy| core.store.claim_deliveries(most, busy).await, deliver).await;
}

async fn deliver(core: Arc<Core>, item: DueDelivery) -> anyhow::Result<()> {
    let result = send(&core, &item).await;
    match &result {
        Ok(status) => tracing::info!("delivery {} ({}): {status}", item.id, item.event_type),
        Err(error) => {
            tracing::warn!("delivery {} ({}), attempt {}: {}", item.id, item.event_type, item.attempt, error.message);
        }
    }
    core.metrics.delivered(&result);
    core.store.end_delivery(&item, &result, outbox::retry_delay(item.attempt, &result)).await
}

/// Sends a delivery, and returns the receiver's HTTP status if it is a success.
async fn send(core: &Core, item: &DueDelivery) -> Result<u16, DeliveryError> {
    if !item.enabled {
        return Err(DeliveryError::permanent("the endpoint is disabled"));
    }
    if item.attempt > MAX_DELIVERY_ATTEMPTS {
        return Err(DeliveryError::attempts_exhausted());
    }
    // Checked when it was stored, but the rules may have changed since.
    let url = egress::parse_receiver_url(&item.url, core.is_local).map_err(DeliveryError::permanent)?;
    let secret = core.secret_box.open(&item.secret).map_err(|error| DeliveryError::transient(error.to_string()))?;
    let request = core
        .webhook_client
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header(EVENT_HEADER, &item.event_type)
        .header(DELIVERY_HEADER, &item.id)
        .header(SIGNATURE_HEADER, signature(&secret, jiff::Timestamp::now().as_second(), &item.body))
        .body(item.body.clone());
    let answer = request.send().await.map_err(|error| DeliveryError::transient(egress::error(&error)))?;
    // The body is not read: it does not matter, and may be endless.
    let status = answer.status().as_u16();
    if answer.status().is_success() {
        return Ok(status);
    }
    Err(DeliveryError {
        status: Some(status),
        retry_after: retry_after(answer.headers()),
        ..DeliveryError::transient(format!("the receiver returned HTTP status {status}"))
    })
}

/// The signature header: the Unix time in seconds, and the HMAC of time and body (the API's rules).
fn signature(secret: &str, seconds: i64, body: &str) -> String {
    format!("t={seconds},v1={}", Signer::new(secret.as_bytes()).sign(&format!("{seconds}.{body}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_follows_the_contract() {
        // openssl dgst -sha256 -hmac whsec_test over `1700000000.{"id":"evt_1"}`
        let expected = "t=1700000000,v1=c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925";
        assert_eq!(signature("whsec_test", 1_700_000_000, "{\"id\":\"evt_1\"}"), expected);
    }
}
