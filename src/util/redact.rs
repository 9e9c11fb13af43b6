//! Redacts passwords and API keys in text.

/// Masks API keys and passwords in URLs with `***`. A last resort for secrets that users enter
/// in the wrong place.
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
            // Placeholders are not secrets.
            Some((user, password)) if !["password", "…", "***"].contains(&password) => {
                // Query parameters may be secrets.
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
    fn secrets_in_a_text_are_masked() {
        for (text, expected) in [
            ("no 'postgres://u:p@ss/w#rd@h/d' here", "no 'postgres://u:***@h/d' here"),
            ("postgres://u@h/d and capy_live_abc-1, x", "postgres://u@h/d and capy_live_***, x"),
            ("capy_live_… stays, https://h/a?password=x&b", "capy_live_… stays, https://h/a?password=***"),
            ("nothing to do", "nothing to do"),
        ] {
            assert_eq!(masked(text), expected);
        }
    }
}
