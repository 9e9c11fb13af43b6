//! Text from elsewhere, made safe to show.

/// The text on one line, without control characters, cut to a number of characters.
pub fn printable(text: &str, longest: usize) -> String {
    let mut shown: String = text.trim().chars().map(|c| if is_unseen(c) { ' ' } else { c }).take(longest).collect();
    if text.trim().chars().count() > longest {
        shown.push('…');
    }
    shown
}

/// Control characters, and those that turn the direction of the text around them.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The end of a long id, by which a person sees that two places speak of the same thing.
pub fn short_code(id: &str) -> String {
    let letters: Vec<char> = id.chars().filter(char::is_ascii_alphanumeric).collect();
    letters[letters.len().saturating_sub(6)..].iter().collect::<String>().to_uppercase()
}

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

/// The last lines of a program's output, at most `longest` bytes, without control characters
/// other than line ends and tabs.
pub fn tail(text: &str, longest: usize) -> String {
    let clean: String = text.trim_end().chars().filter(|c| !is_unseen(*c) || *c == '\n' || *c == '\t').collect();
    if clean.len() <= longest {
        return clean;
    }
    let mut start = clean.len() - longest;
    while !clean.is_char_boundary(start) {
        start += 1;
    }
    // Begin with a whole line where there is one.
    let cut = clean[start..].find('\n').map_or(start, |line| start + line + 1);
    format!("…\n{}", &clean[cut..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(printable("a\x1b[31mb\nc", 20), "a [31mb c");
        assert_eq!(printable("abcdef", 3), "abc…");
        assert_eq!(tail("a\x1b[31mb\n", 100), "a[31mb");
    }

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

    #[test]
    fn a_tail_begins_with_a_whole_line() {
        assert_eq!(tail("first line\nsecond\nthird", 10), "…\nthird");
        assert_eq!(tail("ääää", 3), "…\nä");
    }
}
