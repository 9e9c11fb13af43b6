//! Netlify's API: environment variables belong to an account, with a site to restrict them to.

use super::{Providers, Trouble, Variables, address, call, name, only, refusal};
use reqwest::StatusCode;
use serde_json::{Map, Value, json};

pub(super) fn settings(config: &Map<String, Value>) -> Result<Value, String> {
    only(config, &["site_id"])?;
    Ok(json!({ "site_id": name(config, "site_id")? }))
}

pub(super) async fn push(
    http: &reqwest::Client,
    providers: &Providers,
    config: &Value,
    token: &str,
    variables: &Variables,
) -> Result<Option<String>, Trouble> {
    let base = &providers.netlify;
    let url = address(base, &["api", "v1", "sites", config["site_id"].as_str().unwrap_or_default()], &[]);
    let (status, site) = call("Netlify", http.get(url).bearer_auth(token)).await?;
    if !status.is_success() {
        return Err(refusal("Netlify", "site of this name", status, &site));
    }
    let text = |key: &str| site[key].as_str();
    let (Some(id), Some(account)) = (text("id"), text("account_id").or_else(|| text("account_slug"))) else {
        return Err(Trouble::passing("Netlify did not say whose site this is"));
    };
    for (key, value) in variables {
        let variable = json!({ "key": key, "values": [{ "context": "all", "value": value }] });
        let url = address(base, &["api", "v1", "accounts", account, "env", key], &[("site_id", id)]);
        let (status, answer) = call("Netlify", http.put(url).bearer_auth(token).json(&variable)).await?;
        if status != StatusCode::NOT_FOUND {
            if status.is_success() {
                continue;
            }
            return Err(refusal("Netlify", "variable", status, &answer));
        }
        // It is not there yet.
        let url = address(base, &["api", "v1", "accounts", account, "env"], &[("site_id", id)]);
        let (status, answer) = call("Netlify", http.post(url).bearer_auth(token).json(&[variable])).await?;
        if !status.is_success() {
            return Err(refusal("Netlify", "account for this site", status, &answer));
        }
    }
    Ok(Some(id.to_owned()))
}
