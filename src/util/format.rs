//! Formats values for people: sizes, versions, and untrusted text made safe to show.

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

/// Major version of a version text: `15.18 (Debian …)`, `17`, `9.6.24` (which is 9).
pub fn major(version: &str) -> Option<u32> {
    let digits: String = version.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|major| *major > 0)
}

/// A size for people, in units of 1000.
pub fn bytes(size: u64) -> String {
    bytesize::ByteSize::b(size).display().si().to_string()
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
    fn a_tail_begins_with_a_whole_line() {
        assert_eq!(tail("first line\nsecond\nthird", 10), "…\nthird");
        assert_eq!(tail("ääää", 3), "…\nä");
    }
}
