//! `capydb config show`: every setting and its origin.

use super::CliError;
use super::context::Context;
use super::output::report;
use crate::config;
use crate::source::SourceUrl;
use secrecy::ExposeSecret;
use serde_json::json;

/// A short hash that identifies a key without revealing it.
fn fingerprint(key: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, key.as_bytes());
    let start = digest.as_ref().iter().take(6).fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    format!("sha256:{start:012x}…")
}

/// `capydb config show`.
pub(super) fn run(context: &Context<'_>) -> Result<(), CliError> {
    let here = std::env::current_dir().map_err(anyhow::Error::from)?;
    let key = context.api_key.as_ref().map(|key| fingerprint(key.expose_secret()));
    let source = std::env::var(config::ENV_SOURCE_URL).ok().filter(|text| !text.trim().is_empty());
    let source = source
        .map(|text| SourceUrl::parse_local(&text).map_or_else(|problem| problem.to_string(), |url| url.to_string()));
    let link = context
        .link
        .as_ref()
        .map(|link| if link.project_slug.is_empty() { &link.project_id } else { &link.project_slug });
    let file = |path: Option<std::path::PathBuf>| path.map(|path| (path.display().to_string(), path.exists()));
    let login_file = file(config::login_path());
    let link_file = file(Some(config::link_path(&here)));
    let settings = [
        ("api_url", Some(context.api_url.to_string()), context.api_url_from),
        ("app_url", Some(context.app_url.to_string()), context.app_url_from),
        ("api_key", key, context.api_key_from),
        ("project", link.cloned(), "the linked project"),
        ("source_url", source, config::ENV_SOURCE_URL),
    ];
    let rows: Vec<Vec<String>> = settings
        .iter()
        .map(|(name, value, from)| match value {
            Some(value) => {
                vec![format!("  {name}"), crate::util::format::printable(value, 200), format!("from {from}")]
            }
            None => vec![format!("  {name}"), "not set".to_owned()],
        })
        .collect();
    let files: Vec<Vec<String>> = [("saved login", &login_file), ("project link", &link_file)]
        .iter()
        .filter_map(|(name, file)| file.as_ref().map(|(path, there)| (name, path, *there)))
        .map(|(name, path, there)| {
            vec![format!("  {name}"), path.clone(), if there { "" } else { "missing" }.to_owned()]
        })
        .collect();
    let text = format!("{}\n\nFiles\n{}", report::rows(&rows), report::rows(&files));
    context.output.result(&text, || {
        let settings: Vec<_> = settings.iter().map(|(name, value, from)| json!({ "name": name, "value": value, "from": value.as_ref().map(|_| from) })).collect();
        json!({ "settings": settings, "login_file": login_file.as_ref().map(|(path, _)| path), "link_file": link_file.as_ref().map(|(path, _)| path) })
    });
    Ok(())
}
