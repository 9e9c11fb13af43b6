//! The forms in which people have a connection string: shell commands, assignments, the URL schemes of
//! drivers, keyword strings. All become one URL that starts with `postgres://`.

use super::keywords;
use super::{SourceUrlError, UrlChange};

/// Schemes of the same meaning: libpq's, and those of drivers and frameworks.
const SCHEMES: [&str; 9] =
    ["postgres", "postgresql", "pgsql", "psql", "postgis", "pdo-pgsql", "ecto", "timescale", "timescaledb"];

/// Converts pasted text to a URL; returns it with what was changed.
pub(super) fn to_url(text: &str) -> Result<(String, Vec<UrlChange>), SourceUrlError> {
    let mut changes = Vec::new();
    let bare = unquoted(without_assignment(text.trim()));
    if bare.is_empty() {
        return Err(SourceUrlError::Empty);
    }
    if is_variable(bare) {
        return Err(SourceUrlError::Variable);
    }
    if let Some((command, url)) = keywords::of_command(bare) {
        return Ok((url?, vec![UrlChange::Converted(command)]));
    }
    let bare = unquoted(without_assignment(bare));
    if bare.len() < text.trim().trim_matches(['"', '\'']).len() {
        changes.push(UrlChange::Extracted);
    }
    if bare.to_ascii_lowercase().starts_with("prisma") && bare.contains("://") {
        return Err(SourceUrlError::PrismaProxy);
    }
    let Some((scheme, rest)) = scheme_of(bare) else {
        // PHP's PDO writes its driver before the keywords.
        return match keywords::of_connection_string(bare.strip_prefix("pgsql:").unwrap_or(bare)) {
            Some(url) => Ok((url?, vec![UrlChange::Converted("connection string")])),
            None => Err(SourceUrlError::Scheme(super::shown_start(bare))),
        };
    };
    if !["postgres", "postgresql"].contains(&scheme.as_str()) {
        changes.push(UrlChange::SchemeReplaced(scheme));
    } else if !bare.starts_with(scheme.as_str()) {
        return Ok((format!("{scheme}://{rest}"), changes)); // upper case
    }
    let scheme = if bare.starts_with("postgresql://") { "postgresql" } else { "postgres" };
    Ok((format!("{scheme}://{rest}"), changes))
}

/// Whether the text is `$NAME`, `${NAME}`, `$env:NAME` or `%NAME%`, which a shell did not replace.
pub(super) fn is_variable(text: &str) -> bool {
    let name = text.strip_prefix("$env:").or_else(|| text.strip_prefix('$')).map(|name| name.trim_matches(['{', '}']));
    let name = name.or_else(|| text.strip_prefix('%')?.strip_suffix('%'));
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
}

/// The scheme, if it stands for Postgres, and what follows its `://`.
fn scheme_of(text: &str) -> Option<(String, &str)> {
    let (written, rest) = text.split_once("://")?;
    let scheme = written.to_ascii_lowercase();
    let driver = scheme.strip_prefix("jdbc:").unwrap_or(&scheme);
    let base = driver.split_once('+').map_or(driver, |(base, _)| base);
    let is_plain = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-_:".contains(&byte));
    (SCHEMES.contains(&base) && is_plain).then_some((scheme, rest))
}

/// Text after `NAME=`, `export NAME=` or `NAME:` if a quote or a URL follows.
fn without_assignment(text: &str) -> &str {
    if scheme_of(text).is_some() {
        return text; // `jdbc:` is not a name
    }
    let body = ["export ", "set ", "setenv ", "$env:"].iter().find_map(|word| text.strip_prefix(word)).unwrap_or(text);
    let name = body.trim_start().trim_start_matches(['"', '\'']);
    let length = name.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    let after = name[length..].trim_start_matches(['"', '\'']).trim_start();
    let Some(value) = after.strip_prefix(['=', ':']).filter(|_| length > 0) else { return text };
    let value = value.trim_start();
    let is_url = value.trim_start_matches(['"', '\'']).split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-_:".contains(&byte))
    });
    if is_url || is_quoted(value) { value } else { text }
}

/// Whether the whole text is one quoted string.
fn is_quoted(text: &str) -> bool {
    let inner = |quote: char| text.strip_prefix(quote)?.trim_end_matches(';').strip_suffix(quote);
    ['"', '\''].into_iter().any(|quote| inner(quote).is_some_and(|inner| !inner.contains(quote)))
}

/// Text without the quotes around it and what ends a statement after them.
fn unquoted(text: &str) -> &str {
    let text = text.trim().trim_end_matches([';', ',']).trim_end();
    for quote in ['"', '\'', '`'] {
        if let Some(inner) = text.strip_prefix(quote) {
            return inner.strip_suffix(quote).unwrap_or(inner).trim();
        }
    }
    // A quote that was not selected whole. In a command, it belongs to an argument.
    if text.contains(char::is_whitespace) { text } else { text.trim_end_matches(['"', '\'']) }
}
