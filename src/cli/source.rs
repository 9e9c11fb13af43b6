use super::args::SOURCE_VARIABLE;
use super::{Failure, Kind, output::Output};
use crate::source::{SourceUrl, providers};
use std::io::Read;

/// Longest URL that is read from standard input, in bytes.
const LONGEST_URL: u64 = 16 << 10;

/// The source URL from the flag, standard input or the environment, as it is written there.
pub(super) fn given(flag: Option<String>) -> Result<Option<String>, Failure> {
    match flag {
        Some(dash) if dash == "-" => {
            let mut text = String::new();
            let read = std::io::stdin().take(LONGEST_URL).read_to_string(&mut text);
            read.map_err(|_| Failure::new(Kind::Usage, "standard input holds no text for --source-url -"))?;
            Ok(Some(text.lines().next().unwrap_or_default().to_owned()))
        }
        Some(url) => Ok(Some(url)),
        None => Ok(std::env::var(SOURCE_VARIABLE).ok().filter(|url| !url.trim().is_empty())),
    }
}

/// Reads the URL, brings it into the form that is dialled, and says what was changed.
pub(super) fn resolve(text: &str, output: &Output) -> Result<SourceUrl, Failure> {
    let (url, changes) = SourceUrl::parse(text)?.normalise();
    if let Some(pooled) = providers::pooled_endpoint(&url) {
        return Err(Failure::new(Kind::Conflict, pooled.advice()).hint("run the command again with that URL"));
    }
    output.note(&format!("Source: {url}"));
    for change in changes {
        output.note(&format!("  {change}"));
    }
    Ok(url)
}

/// For commands that need a URL.
pub(super) fn missing() -> Failure {
    Failure::new(Kind::Usage, "no source given").hint(format!("use --source-url URL, or set {SOURCE_VARIABLE}"))
}
