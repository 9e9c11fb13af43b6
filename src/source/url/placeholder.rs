//! Placeholders that consoles and guides put in place of a value: `[YOUR-PASSWORD]`, `<host>`, `***`.

use super::{SourceUrlError, decode};

/// Words that a placeholder consists of.
const WORDS: [&str; 16] = [
    "your", "password", "passwd", "pass", "pwd", "user", "username", "host", "hostname", "port", "database", "dbname",
    "db", "project", "ref", "region",
];

/// Rejects a URL in which a placeholder was not replaced.
pub(super) fn refuse_placeholders(text: &str) -> Result<(), SourceUrlError> {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let database = path.split('?').next().unwrap_or_default();
    let host = host.strip_suffix("]").map_or_else(|| host.split(':').next().unwrap_or_default(), |_| host);
    let parts = [("password", password), ("user", user), ("host", host), ("database", database)];
    let decoded = |part: &str| decode(part).is_ok_and(|part| is_placeholder(&part));
    if let Some((what, _)) = parts.into_iter().find(|(_, part)| is_placeholder(part) || decoded(part)) {
        return Err(SourceUrlError::Placeholder(what));
    }
    // The example of a guide: `USER:PASSWORD@HOST`, `user:password@host`. One such word alone may be real.
    let is_word = |part: &str| !part.is_empty() && of_words(part);
    let is_capital = |part: &str| is_word(part) && !part.contains(|c: char| c.is_ascii_lowercase());
    let (all_words, capitals) = (is_word(user) && is_word(password), is_capital(user) && is_capital(password));
    if is_capital(host) || (all_words && is_word(host)) {
        return Err(SourceUrlError::Placeholder("host"));
    }
    if capitals { Err(SourceUrlError::Placeholder("password")) } else { Ok(()) }
}

/// Whether a part of a URL is a placeholder. Real passwords may contain brackets, so these need a word
/// inside that names what belongs there.
fn is_placeholder(part: &str) -> bool {
    let brackets = [('[', ']'), ('<', '>'), ('{', '}')];
    let inner = brackets.iter().find_map(|(open, close)| part.strip_prefix(*open)?.strip_suffix(*close));
    if let Some(inner) = inner {
        return of_words(inner.trim_matches(['{', '}', '<', '>', '[', ']']));
    }
    let is_hidden = part.chars().count() >= 3 && part.chars().all(|c| ['*', '•', '●'].contains(&c));
    is_hidden || is_variable(part) || (part.to_ascii_lowercase().starts_with("your") && of_words(part))
}

/// `$NAME`, `${NAME}` or `%NAME%`, which a shell did not replace.
fn is_variable(part: &str) -> bool {
    let name = part.strip_prefix('$').map(|name| name.trim_start_matches('{').trim_end_matches('}'));
    let name = name.or_else(|| part.strip_prefix('%')?.strip_suffix('%'));
    name.is_some_and(|name| {
        name.len() > 1
            && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
            && name.split('_').any(|word| WORDS.iter().any(|known| word.to_ascii_lowercase().ends_with(known)))
    })
}

fn of_words(text: &str) -> bool {
    const OTHERS: [&str; 8] = ["the", "my", "here", "name", "new", "postgres", "aws", "supabase"];
    let words: Vec<String> =
        text.split(['-', '_', ' ']).filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect();
    words.iter().any(|word| WORDS.contains(&word.as_str()))
        && words.iter().all(|word| WORDS.contains(&word.as_str()) || OTHERS.contains(&word.as_str()))
}
