//! Delivering webhooks: signing, sending, trying again.

use super::crypto::Signer;
use super::outbox::Due;
use super::store::{DueDelivery, TELLINGS, Trouble};
use super::{App, outbox, outside};
use crate::wire::{DELIVERY_HEADER, EVENT_HEADER, SIGNATURE_HEADER, retry_after};
use reqwest::header::CONTENT_TYPE;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

impl Due for DueDelivery {
    fn receiver(&self) -> &str {
        &self.endpoint_id
    }
}

/// Delivers what is due until it is told to stop.
pub(super) async fn run(app: Arc<App>, stop: CancellationToken) {
    outbox::run(app, stop, async |app, most, busy| app.store.claim_deliveries(most, busy).await, deliver).await;
}

async fn deliver(app: Arc<App>, due: DueDelivery) -> anyhow::Result<()> {
    let told = send(&app, &due).await;
    match &told {
        Ok(status) => tracing::info!("delivery {} ({}): {status}", due.id, due.event_type),
        Err(trouble) => {
            tracing::warn!("delivery {} ({}), attempt {}: {}", due.id, due.event_type, due.attempt, trouble.why);
        }
    }
    app.metrics.delivered(&told);
    app.store.end_delivery(&due, &told, outbox::pause(due.attempt, &told)).await
}

/// Gives the status with which the receiver took it.
async fn send(app: &App, due: &DueDelivery) -> Result<u16, Trouble> {
    if !due.enabled {
        return Err(Trouble::lasting("the endpoint is disabled"));
    }
    if due.attempt > TELLINGS {
        return Err(Trouble::worn());
    }
    // It was judged when it was stored, but rules may have changed since.
    let url = outside::receiver(&due.url, app.is_local).map_err(Trouble::lasting)?;
    let secret = app.sealer.open(&due.secret).map_err(|error| Trouble::passing(error.to_string()))?;
    let request = app
        .receivers
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header(EVENT_HEADER, &due.event_type)
        .header(DELIVERY_HEADER, &due.id)
        .header(SIGNATURE_HEADER, signature(&secret, jiff::Timestamp::now().as_second(), &due.body))
        .body(due.body.clone());
    let answer = request.send().await.map_err(|error| Trouble::passing(outside::trouble(&error)))?;
    // What else it says is of no interest, and may be without end.
    let status = answer.status().as_u16();
    if answer.status().is_success() {
        return Ok(status);
    }
    Err(Trouble {
        status: Some(status),
        asked: retry_after(answer.headers()),
        ..Trouble::passing(format!("the receiver answered {status}"))
    })
}

/// The signature header: seconds since 1970, and the HMAC of them and the body (the API's rules).
fn signature(secret: &str, seconds: i64, body: &str) -> String {
    format!("t={seconds},v1={}", Signer::new(secret.as_bytes()).sign(&format!("{seconds}.{body}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_contract() {
        // openssl dgst -sha256 -hmac whsec_test over `1700000000.{"id":"evt_1"}`
        let expected = "t=1700000000,v1=c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925";
        assert_eq!(signature("whsec_test", 1_700_000_000, "{\"id\":\"evt_1\"}"), expected);
    }
}
