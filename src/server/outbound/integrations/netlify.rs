//! Pushes to Netlify's API: environment variables belong to an account, and can be limited to a site.

use super::provider_client::ProviderClient;
use super::{Variables, is_name, name, reject_unknown};
use crate::server::metadata::DeliveryError;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

pub(super) fn settings(config: &Map<String, Value>) -> Result<Value, String> {
    reject_unknown(config, &["site_id"])?;
    Ok(json!({ "site_id": name(config, "site_id")? }))
}

pub(super) async fn push(
    client: &ProviderClient,
    config: &Value,
    variables: &Variables,
) -> Result<String, DeliveryError> {
    let named = config["site_id"].as_str().unwrap_or_default();
    let site =
        client.call(Method::GET, &["api", "v1", "sites", named], &[], None).await?.into_body("site of this name")?;
    // Validated, because they become parts of URLs.
    let text = |key: &str| site[key].as_str().filter(|text| is_name(text));
    let (Some(id), Some(account)) = (text("id"), text("account_id").or_else(|| text("account_slug"))) else {
        return Err(client.unexpected());
    };
    for (key, value) in variables {
        let variable = json!({ "key": key, "values": [{ "context": "all", "value": value }] });
        let (path, query) = (["api", "v1", "accounts", account, "env", key], [("site_id", id)]);
        let answer = client.call(Method::PUT, &path, &query, Some(&variable)).await?;
        let result = if answer.status == StatusCode::NOT_FOUND {
            // The variable does not exist yet.
            let all = Value::Array(vec![variable]);
            let answer = client.call(Method::POST, &path[..5], &query, Some(&all)).await?;
            answer.into_body("account for this site")?.get(0).cloned().unwrap_or_default()
        } else {
            answer.into_body("account for this site")?
        };
        if result["key"] != **key {
            return Err(client.unexpected());
        }
    }
    Ok(id.to_owned())
}
