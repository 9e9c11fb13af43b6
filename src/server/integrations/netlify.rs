//! Netlify's API: environment variables belong to an account, with a site to restrict them to.

use super::{Caller, Trouble, Variables, is_name, name, only, refusal, strange};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

pub(super) fn settings(config: &Map<String, Value>) -> Result<Value, String> {
    only(config, &["site_id"])?;
    Ok(json!({ "site_id": name(config, "site_id")? }))
}

pub(super) async fn push(caller: &Caller, config: &Value, variables: &Variables) -> Result<Option<String>, Trouble> {
    let named = config["site_id"].as_str().unwrap_or_default();
    let (status, site) = caller.call("Netlify", Method::GET, &["api", "v1", "sites", named], &[], None).await?;
    if !status.is_success() {
        return Err(refusal("Netlify", "site of this name", status, &site));
    }
    // They become parts of addresses.
    let text = |key: &str| site[key].as_str().filter(|text| is_name(text));
    let (Some(id), Some(account)) = (text("id"), text("account_id").or_else(|| text("account_slug"))) else {
        return Err(strange("Netlify"));
    };
    for (key, value) in variables {
        let variable = json!({ "key": key, "values": [{ "context": "all", "value": value }] });
        let (there, query) = (["api", "v1", "accounts", account, "env", key], [("site_id", id)]);
        let (status, answer) = caller.call("Netlify", Method::PUT, &there, &query, Some(&variable)).await?;
        let (status, answer) = if status == StatusCode::NOT_FOUND {
            // It is not there yet.
            let all = Value::Array(vec![variable]);
            let (status, mut answer) = caller.call("Netlify", Method::POST, &there[..5], &query, Some(&all)).await?;
            let first = answer.get_mut(0).map(Value::take);
            (status, first.unwrap_or(answer))
        } else {
            (status, answer)
        };
        if !status.is_success() {
            return Err(refusal("Netlify", "account for this site", status, &answer));
        }
        if answer["key"] != **key {
            return Err(strange("Netlify"));
        }
    }
    Ok(Some(id.to_owned()))
}
