//! Text from elsewhere, made safe to show.

/// The text on one line, without control characters, cut to a number of characters.
pub fn printable(text: &str, longest: usize) -> String {
    let mut shown: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(longest).collect();
    if text.trim().chars().count() > longest {
        shown.push('…');
    }
    shown
}

/// The last lines of a program's output, at most `longest` bytes, without control characters
/// other than line ends and tabs.
pub fn tail(text: &str, longest: usize) -> String {
    let clean: String = text.trim_end().chars().filter(|c| !c.is_control() || *c == '\n' || *c == '\t').collect();
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
    fn a_tail_begins_with_a_whole_line() {
        assert_eq!(tail("first line\nsecond\nthird", 10), "…\nthird");
        assert_eq!(tail("ääää", 3), "…\nä");
    }
}
