//! Removes passwords and API keys from text that may contain them by mistake.

/// The text without what looks like a password in a URL or an API key. What is printed by
/// purpose never holds one; this is for what people type into the wrong place.
pub fn masked(text: &str) -> String {
    let ends_word = |c: char| c.is_whitespace() || ['\'', '"', '`', '«', '»'].contains(&c);
    text.split_inclusive(ends_word).map(masked_word).collect()
}

fn masked_word(word: &str) -> String {
    const KEY: &str = "capy_live_";
    if let Some(at) = word.find(KEY) {
        let (before, key) = word.split_at(at + KEY.len());
        let rest = key.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        return if rest.len() == key.len() { word.to_owned() } else { format!("{before}***{rest}") };
    }
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let rest = match rest.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            // An example is no secret.
            Some((user, password)) if !["password", "…", "***"].contains(&password) => {
                // What follows a `?` may be a secret as well.
                format!("{user}:***@{}", host.split(['?', '&']).next().unwrap_or_default())
            }
            _ => rest.to_owned(),
        },
        None => rest.to_owned(),
    };
    let end = rest.find("password=").map_or(rest.len(), |at| at + "password=".len());
    let hidden = if end < rest.len() { "***" } else { "" };
    format!("{scheme}://{}{hidden}", &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_masked() {
        for (given, shown) in [
            ("no 'postgres://u:p@ss/w#rd@h/d' here", "no 'postgres://u:***@h/d' here"),
            ("postgres://u@h/d and capy_live_abc-1, x", "postgres://u@h/d and capy_live_***, x"),
            ("capy_live_… stays, https://h/a?password=x&b", "capy_live_… stays, https://h/a?password=***"),
            ("nothing to do", "nothing to do"),
        ] {
            assert_eq!(masked(given), shown);
        }
    }
}
