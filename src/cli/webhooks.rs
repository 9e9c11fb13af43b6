//! `capydb webhooks …`: manages and tests webhook endpoints.

use super::args::WebhooksCommand;
use super::context::Context;
use super::output::lists;
use super::{CliError, ErrorKind, interrupted};
use crate::client::{Api, CallError};
use crate::util::format::printable;
use crate::wire::{
    CreateWebhookEndpoint, UpdateWebhookEndpoint, WebhookDelivery, WebhookEndpoint, WebhookEndpointAnswer,
};
use serde_json::json;
use std::time::{Duration, Instant};

/// Maximum wait for the first attempt of a test. The receiver's own timeout is ten seconds.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause between two polls of the delivery.
const TEST_POLL_INTERVAL: Duration = Duration::from_millis(300);
/// The value of `--event` that selects all event types.
const ALL: &str = "all";

pub(super) async fn run(context: &Context<'_>, command: WebhooksCommand) -> Result<(), CliError> {
    let api = context.api()?;
    let organization = organization(&api).await?;
    match command {
        WebhooksCommand::List => {
            let endpoints = api.webhook_endpoints(&organization).await?;
            context.output.result(&lists::endpoints(&endpoints), || json!({ "webhook_endpoints": endpoints }));
        }
        WebhooksCommand::Create { url, events, description } => {
            let wanted = CreateWebhookEndpoint { url, description, event_types: event_types(&events) };
            let made = api.create_webhook_endpoint(&organization, &wanted).await?;
            secret(context, &made, "Created");
        }
        WebhooksCommand::Update { id, url, events, description, enable, disable } => {
            let enabled = (enable || disable).then_some(enable);
            let change = UpdateWebhookEndpoint { url, description, event_types: event_types(&events), enabled };
            if change == UpdateWebhookEndpoint::default() {
                return Err(
                    CliError::new(ErrorKind::Usage, "no changes given").hint("see capydb webhooks update --help")
                );
            }
            let changed = api.update_webhook_endpoint(&organization, &id, &change).await.map_err(no_such_endpoint)?;
            let text = lists::endpoints(std::slice::from_ref(&changed));
            context.output.result(&text, || json!({ "webhook_endpoint": changed }));
        }
        WebhooksCommand::Delete { id } => {
            api.delete_webhook_endpoint(&organization, &id).await.map_err(no_such_endpoint)?;
            let text = format!("Deleted {}. No more events are sent to it.", printable(&id, 80));
            context.output.result(&text, || json!({ "deleted": id }));
        }
        WebhooksCommand::RotateSecret { id } => {
            let rotated = api.rotate_webhook_secret(&organization, &id).await.map_err(no_such_endpoint)?;
            secret(context, &rotated, "Rotated the signing secret of");
        }
        WebhooksCommand::Deliveries { id, limit } => {
            let deliveries = api.webhook_deliveries(&organization, &id, limit).await.map_err(no_such_endpoint)?;
            context.output.result(&lists::deliveries(&deliveries), || json!({ "deliveries": deliveries }));
        }
        WebhooksCommand::Test { id } => test(context, &api, &organization, &id).await?,
    }
    Ok(())
}

/// The id of the key's organization.
async fn organization(api: &Api) -> Result<String, CliError> {
    let me = api.me().await?;
    let found = me.organization.map(|organization| organization.id).or(me.principal.organization_id);
    found.ok_or_else(|| CliError::new(ErrorKind::Auth, "the key has no organization, which webhooks require"))
}

/// The `event_types` for `--event`: `all` becomes an empty list, which selects every type.
fn event_types(events: &[String]) -> Option<Vec<String>> {
    let all = events.iter().any(|event| event == ALL);
    (!events.is_empty()).then(|| if all { Vec::new() } else { events.to_vec() })
}

/// Shows an endpoint with its secret, which the API returns only once.
fn secret(context: &Context<'_>, answer: &WebhookEndpointAnswer, what: &str) {
    let WebhookEndpointAnswer { webhook_endpoint: WebhookEndpoint { id, url, .. }, plaintext_secret } = answer;
    let shown = plaintext_secret.as_deref().map_or_else(
        || "The control plane did not return the secret.".to_owned(),
        |secret| format!("Secret, shown only once: {}", printable(secret, 200)),
    );
    let text = format!("{what} {} ({}).\n{shown}", printable(id, 80), printable(url, 300));
    context.output.result(&text, || json!(answer));
}

/// Sends a test event and waits for the result of the first attempt.
async fn test(context: &Context<'_>, api: &Api, organization: &str, id: &str) -> Result<(), CliError> {
    let needs_hint = |error: CallError| {
        let unsupported = error.is_route_missing();
        let failure = no_such_endpoint(error);
        if unsupported { failure.hint("this control plane may not support testing endpoints") } else { failure }
    };
    let mut delivery = api.test_webhook_endpoint(organization, id).await.map_err(needs_hint)?;
    let next = Instant::now();
    let again = "check the delivery with: capydb webhooks deliveries";
    while !is_attempted(&delivery) && next.elapsed() < TEST_TIMEOUT {
        tokio::select! {
            () = tokio::time::sleep(TEST_POLL_INTERVAL) => {}
            () = interrupted() => {
                let failure = CliError::new(ErrorKind::Interrupted, "stopped waiting; the event will still be sent");
                return Err(failure.hint(format!("{again} {id}")));
            }
        }
        let deliveries = api.webhook_deliveries(organization, id, 25).await?;
        delivery = deliveries.into_iter().find(|found| found.id == delivery.id).unwrap_or(delivery);
    }
    if !is_attempted(&delivery) {
        let failure = CliError::new(ErrorKind::Timeout, "timed out: the event is queued but not sent yet");
        return Err(failure.hint(format!("{again} {id}")).with("delivery", &delivery));
    }
    if delivery.state != "delivered" {
        let why = printable(delivery.last_error.as_deref().unwrap_or("no reason reported"), 300);
        let failure = CliError::new(ErrorKind::Error, format!("the receiver did not accept the event: {why}"));
        let more = if delivery.state == "pending" { "it will be retried" } else { "it will not be retried" };
        return Err(failure.hint(format!("{more}; {again} {id}")).with("delivery", &delivery));
    }
    let text = format!("Delivered: the receiver returned {}.", delivery.last_status.unwrap_or_default());
    context.output.result(&text, || json!({ "delivery": delivery }));
    Ok(())
}

/// Whether an attempt has finished.
fn is_attempted(delivery: &WebhookDelivery) -> bool {
    delivery.state != "pending" || delivery.last_error.is_some()
}

fn no_such_endpoint(error: CallError) -> CliError {
    let failure = CliError::from(error);
    let needs_hint = failure.kind == ErrorKind::NotFound && failure.hint.is_none();
    if needs_hint { failure.hint("list the endpoints with: capydb webhooks list") } else { failure }
}

#[cfg(test)]
mod tests {
    use super::event_types;

    #[test]
    fn all_selects_every_event_type() {
        let selected =
            |events: &[&str]| event_types(&events.iter().map(|event| (*event).to_owned()).collect::<Vec<_>>());
        assert_eq!(selected(&[]), None);
        assert_eq!(selected(&["all"]), Some(Vec::new()));
        assert_eq!(selected(&["all", "job.failed"]), Some(Vec::new()));
        assert_eq!(selected(&["job.failed"]), Some(vec!["job.failed".to_owned()]));
    }
}
