//! Text tables with aligned columns.

use console::{Term, measure_text_width};

/// Rows for standard output with aligned columns, two spaces apart. On a terminal, the last column
/// is wrapped to the terminal's width.
pub(super) fn aligned(rows: &[Vec<String>]) -> String {
    aligned_on(&Term::stdout(), rows)
}

/// Like [`aligned`] without wrapping, for commands to copy.
pub(super) fn unwrapped(rows: &[Vec<String>]) -> String {
    aligned_to(rows, None)
}

/// Like [`aligned`] for another stream.
pub(super) fn aligned_on(term: &Term, rows: &[Vec<String>]) -> String {
    aligned_to(rows, if term.is_term() { term.size_checked().map(|(_, columns)| columns.into()) } else { None })
}

/// Minimum width to wrap the last column to; narrower text would be harder to read.
const MIN_WIDTH: usize = 20;

fn aligned_to(rows: &[Vec<String>], columns: Option<usize>) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    // The last cell of a row does not widen its column.
    let beside = |row: &&Vec<String>, column: usize| column + 1 < row.len();
    let width = |column: usize| {
        let cells = rows.iter().filter(|row| beside(row, column)).map(|row| measure_text_width(&row[column]));
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    rows.iter().map(|row| line(row, &widths, columns)).collect::<Vec<_>>().join("\n")
}

fn line(row: &[String], widths: &[usize], columns: Option<usize>) -> String {
    let Some((last, before)) = row.split_last() else { return String::new() };
    let mut text = String::new();
    for (cell, width) in before.iter().zip(widths) {
        text.push_str(cell);
        text.push_str(&" ".repeat(width + 2 - measure_text_width(cell)));
    }
    let indent = measure_text_width(&text);
    match columns.and_then(|columns| columns.checked_sub(indent)).filter(|room| *room >= MIN_WIDTH) {
        Some(room) => text.push_str(&wrapped(last, room, indent)),
        None => text.push_str(last),
    }
    text.trim_end().to_owned()
}

/// Wraps a text between words. A word that is too long is not broken, so that it can be copied.
fn wrapped(text: &str, room: usize, indent: usize) -> String {
    if measure_text_width(text) <= room {
        return text.to_owned();
    }
    let (mut lines, mut used) = (String::new(), 0);
    for word in text.split(' ') {
        let width = measure_text_width(word);
        if used > 0 && used + 1 + width > room {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            used = 0;
        } else if used > 0 {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += width;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::aligned_to;

    fn rows(texts: &[&[&str]]) -> Vec<Vec<String>> {
        texts.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
    }

    #[test]
    fn columns_are_aligned_and_the_last_is_wrapped() {
        let rows = rows(&[
            &["a", "fail", "one two three four five six seven"],
            &["longer", "ok", "x"],
            &["alone and very long indeed"],
        ]);
        assert_eq!(
            aligned_to(&rows, None),
            "a       fail  one two three four five six seven\nlonger  ok    x\nalone and very long indeed"
        );
        assert_eq!(
            aligned_to(&rows, Some(36)).lines().take(3).collect::<Vec<_>>(),
            ["a       fail  one two three four", "              five six seven", "longer  ok    x"]
        );
        assert_eq!(aligned_to(&rows, Some(10)), aligned_to(&rows, None), "too narrow to wrap");
    }
}
