//! Formats sizes, versions and untrusted text for display.

/// The text on one line, without control characters, truncated to `longest` characters.
pub fn printable(text: &str, longest: usize) -> String {
    let mut shown: String = text.trim().chars().map(|c| if is_unseen(c) { ' ' } else { c }).take(longest).collect();
    if text.trim().chars().count() > longest {
        shown.push('…');
    }
    shown
}

/// Whether a character is a control or bidirectional formatting character.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The last 6 characters of an id in upper case, for visual comparison.
pub fn short_code(id: &str) -> String {
    let letters: Vec<char> = id.chars().filter(char::is_ascii_alphanumeric).collect();
    letters[letters.len().saturating_sub(6)..].iter().collect::<String>().to_uppercase()
}

/// The last lines of a program's output, at most `longest` bytes, without control characters
/// except newlines and tabs.
pub fn tail(text: &str, longest: usize) -> String {
    let clean: String = text.trim_end().chars().filter(|c| !is_unseen(*c) || *c == '\n' || *c == '\t').collect();
    if clean.len() <= longest {
        return clean;
    }
    let mut start = clean.len() - longest;
    while !clean.is_char_boundary(start) {
        start += 1;
    }
    // Start at a line boundary if possible.
    let cut = clean[start..].find('\n').map_or(start, |line| start + line + 1);
    format!("…\n{}", &clean[cut..])
}

/// The major version in `15.18 (Debian …)`, `17` or `9.6.24` (9).
pub fn major(version: &str) -> Option<u32> {
    let digits: String = version.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|major| *major > 0)
}

/// A human-readable size with SI units (powers of 1000).
pub fn bytes(size: u64) -> String {
    bytesize::ByteSize::b(size).display().si().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_removed() {
        assert_eq!(printable("a\x1b[31mb\nc", 20), "a [31mb c");
        assert_eq!(printable("abcdef", 3), "abc…");
        assert_eq!(tail("a\x1b[31mb\n", 100), "a[31mb");
    }

    #[test]
    fn a_tail_starts_with_a_complete_line() {
        assert_eq!(tail("first line\nsecond\nthird", 10), "…\nthird");
        assert_eq!(tail("ääää", 3), "…\nä");
    }
}
