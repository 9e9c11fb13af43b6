//! Tables of webhook endpoints, deliveries and integrations.

use super::table::aligned;
use crate::util::format::printable;
use crate::wire::{Integration, WebhookDelivery, WebhookEndpoint};
use console::{StyledObject, style};

/// Webhook endpoints as a table.
pub(in crate::cli) fn endpoints(endpoints: &[WebhookEndpoint]) -> String {
    if endpoints.is_empty() {
        return "no webhook endpoints".to_owned();
    }
    let mut rows = vec![headings(&["ID", "STATE", "EVENTS", "URL", "DESCRIPTION"])];
    rows.extend(endpoints.iter().map(|endpoint| {
        let events = if endpoint.event_types.is_empty() { "all".to_owned() } else { endpoint.event_types.join(", ") };
        vec![
            printable(&endpoint.id, 60),
            (if endpoint.enabled { style("enabled").green() } else { style("disabled").yellow() }).to_string(),
            printable(&events, 100),
            printable(&endpoint.url, 300),
            printable(endpoint.description.as_deref().unwrap_or(""), 200),
        ]
    }));
    aligned(&rows)
}

/// Deliveries to an endpoint as a table.
pub(in crate::cli) fn deliveries(deliveries: &[WebhookDelivery]) -> String {
    if deliveries.is_empty() {
        return "no deliveries".to_owned();
    }
    let mut rows = vec![headings(&["CREATED", "EVENT", "STATE", "ATTEMPTS", "RESPONSE", "EVENT ID", "ERROR"])];
    rows.extend(deliveries.iter().map(|delivery| {
        vec![
            printable(&delivery.created_at, 30),
            printable(&delivery.event_type, 40),
            state(&delivery.state).to_string(),
            format!("{} of {}", delivery.attempts, delivery.max_attempts),
            delivery.last_status.map_or_else(String::new, |status| status.to_string()),
            printable(&delivery.event_id, 60),
            printable(delivery.last_error.as_deref().unwrap_or(""), 200),
        ]
    }));
    aligned(&rows)
}

/// Integrations of a project as a table.
pub(in crate::cli) fn integrations(integrations: &[Integration]) -> String {
    if integrations.is_empty() {
        return "no integrations".to_owned();
    }
    let mut rows = vec![headings(&["PROVIDER", "STATE", "TARGET", "LAST PUSH", "NEXT RETRY", "ERROR"])];
    rows.extend(integrations.iter().map(|found| {
        let named = ["project_id", "site_id", "path"].iter().find_map(|key| found.config.get(key)?.as_str());
        vec![
            printable(&found.provider, 40),
            state(&found.state).to_string(),
            printable(named.or(found.external_id.as_deref()).unwrap_or(""), 200),
            printable(found.last_pushed_at.as_deref().unwrap_or("never"), 30),
            printable(found.next_attempt_at.as_deref().unwrap_or(""), 30),
            printable(found.last_error.as_deref().unwrap_or(""), 200),
        ]
    }));
    aligned(&rows)
}

fn headings(state_text: &[&str]) -> Vec<String> {
    state_text.iter().map(|word| (*word).to_owned()).collect()
}

fn state(word: &str) -> StyledObject<String> {
    let shown = style(printable(word, 20));
    match word {
        "delivered" | "connected" => shown.green(),
        "failed" | "error" => shown.red(),
        _ => shown.yellow(),
    }
}
