//! Vercel's REST API: "Create one or more environment variables" of a project.

use super::{Providers, Trouble, Variables, address, call, name, only, optional_name, refusal};
use serde_json::{Map, Value, json};

/// The environments of a Vercel project.
const TARGETS: [&str; 3] = ["production", "preview", "development"];

pub(super) fn settings(config: &Map<String, Value>) -> Result<Value, String> {
    only(config, &["project_id", "team_id", "targets"])?;
    let targets: Vec<&str> = match config.get("targets") {
        None | Some(Value::Null) => TARGETS.to_vec(),
        Some(Value::Array(named)) => {
            named.iter().filter_map(Value::as_str).filter(|name| TARGETS.contains(name)).collect()
        }
        Some(_) => Vec::new(),
    };
    let named = config.get("targets").and_then(Value::as_array).map_or(targets.len(), Vec::len);
    if targets.is_empty() || targets.len() != named {
        return Err(format!("config.targets must be a list of: {}", TARGETS.join(", ")));
    }
    let mut settings = json!({ "project_id": name(config, "project_id")?, "targets": targets });
    if let Some(team) = optional_name(config, "team_id")? {
        settings["team_id"] = json!(team);
    }
    Ok(settings)
}

pub(super) async fn push(
    http: &reqwest::Client,
    providers: &Providers,
    config: &Value,
    token: &str,
    variables: &Variables,
) -> Result<Option<String>, Trouble> {
    let text = |key: &str| config[key].as_str().unwrap_or_default();
    let team: Vec<(&str, &str)> = config["team_id"].as_str().map(|team| ("teamId", team)).into_iter().collect();
    let url = address(&providers.vercel, &["v9", "projects", text("project_id")], &team);
    let (status, project) = call("Vercel", http.get(url).bearer_auth(token)).await?;
    if !status.is_success() {
        return Err(refusal("Vercel", "project of this name", status, &project));
    }
    let variable = |(key, value): &(&str, String)| json!({ "key": key, "value": value, "type": "encrypted", "target": config["targets"] });
    let body: Vec<Value> = variables.iter().map(variable).collect();
    let query = [&[("upsert", "true")], team.as_slice()].concat();
    let url = address(&providers.vercel, &["v10", "projects", text("project_id"), "env"], &query);
    let (status, answer) = call("Vercel", http.post(url).bearer_auth(token).json(&body)).await?;
    if !status.is_success() {
        return Err(refusal("Vercel", "project of this name", status, &answer));
    }
    // Some of them may have been refused all the same.
    if let Some(failed) = answer["failed"].as_array().and_then(|failed| failed.first()) {
        let said = failed.pointer("/error/message").and_then(Value::as_str).unwrap_or("it did not say why");
        return Err(Trouble::lasting(format!("Vercel refused a variable: {}", crate::text::printable(said, 200))));
    }
    Ok(project["id"].as_str().map(str::to_owned))
}
