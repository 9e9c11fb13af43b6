//! Pushes to Vercel's REST API: "Create one or more environment variables" of a project.

use super::provider_client::ProviderClient;
use super::{Variables, name, optional_name, reject_unknown};
use crate::server::metadata::DeliveryError;
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The environments of a Vercel project.
const TARGETS: [&str; 3] = ["production", "preview", "development"];

pub(super) fn settings(config: &Map<String, Value>) -> Result<Value, String> {
    reject_unknown(config, &["project_id", "team_id", "targets"])?;
    let known = |name: &Value| TARGETS.into_iter().find(|known| name.as_str() == Some(known));
    let targets: Option<BTreeSet<&str>> = match config.get("targets") {
        None | Some(Value::Null) => Some(TARGETS.into()),
        Some(named) => named.as_array().and_then(|named| named.iter().map(known).collect()),
    };
    let targets = targets.filter(|targets| !targets.is_empty());
    let targets = targets.ok_or_else(|| format!("config.targets must be a list of: {}", TARGETS.join(", ")))?;
    let mut settings = json!({ "project_id": name(config, "project_id")?, "targets": targets });
    if let Some(team) = optional_name(config, "team_id")? {
        settings["team_id"] = json!(team);
    }
    Ok(settings)
}

pub(super) async fn push(
    client: &ProviderClient,
    config: &Value,
    variables: &Variables,
) -> Result<String, DeliveryError> {
    let project = config["project_id"].as_str().unwrap_or_default();
    let team: Vec<(&str, &str)> = config["team_id"].as_str().map(|team| ("teamId", team)).into_iter().collect();
    let found = client.call(Method::GET, &["v9", "projects", project], &team, None).await?;
    let found = found.into_body("project of this name")?;
    let id = found["id"].as_str().ok_or_else(|| client.unexpected())?;
    let variable = |(key, value): &(&str, String)| json!({ "key": key, "value": value, "type": "encrypted", "target": config["targets"] });
    let body = Value::Array(variables.iter().map(variable).collect());
    let query = [&[("upsert", "true")], team.as_slice()].concat();
    let path = ["v10", "projects", project, "env"];
    let answer = client.call(Method::POST, &path, &query, Some(&body)).await?.into_body("project of this name")?;
    // A successful response can still contain rejected variables.
    if let Some(failed) = answer["failed"].as_array().and_then(|failed| failed.first()) {
        let reason = failed.pointer("/error/message").and_then(Value::as_str).unwrap_or("no reason given");
        return Err(DeliveryError::permanent(format!(
            "Vercel rejected a variable: {}",
            crate::util::format::printable(reason, 200)
        )));
    }
    if answer["created"].is_null() {
        return Err(client.unexpected());
    }
    Ok(id.to_owned())
}
