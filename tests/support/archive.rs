//! Writes archives of pg_dump's custom format (version 1.14, without compression), with
//! whatever an attacker would put into them.

/// An entry of the table of contents.
#[derive(Clone, Default)]
pub struct Entry<'a> {
    pub kind: &'a str,
    pub tag: &'a str,
    pub definition: &'a str,
    pub copy: &'a str,
    pub schema: &'a str,
    pub owner: &'a str,
    /// Rows, for `TABLE DATA`.
    pub rows: Option<&'a str>,
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn int(&mut self, value: usize) {
        self.0.push(0);
        self.0.extend(u32::try_from(value).expect("small").to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.int(text.len());
        self.0.extend(text.as_bytes());
    }

    fn null(&mut self) {
        self.0.extend([1, 1, 0, 0, 0]);
    }
}

/// Section of an entry: pre-data, data.
fn section(entry: &Entry<'_>) -> usize {
    if entry.kind == "TABLE DATA" { 3 } else { 2 }
}

pub fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    // The offsets of the data come after the table of contents, whose length they do not change.
    let length = table_of_contents(entries, &vec![0; entries.len()]).len();
    let (mut data, mut offsets) = (Vec::new(), Vec::new());
    for (number, entry) in entries.iter().enumerate() {
        offsets.push(length + data.len());
        if let Some(rows) = entry.rows {
            let mut block = Writer(vec![1]);
            block.int(number + 1);
            block.text(rows);
            block.int(0);
            data.extend(block.0);
        }
    }
    [table_of_contents(entries, &offsets), data].concat()
}

fn table_of_contents(entries: &[Entry<'_>], offsets: &[usize]) -> Vec<u8> {
    let mut w = Writer(b"PGDMP\x01\x0e\x00\x04\x08\x01".to_vec());
    w.int(0);
    for part in [0, 0, 12, 1, 0, 125, 0] {
        w.int(part);
    }
    for text in ["app", "15.18", "15.18"] {
        w.text(text);
    }
    w.int(entries.len());
    for (number, entry) in entries.iter().enumerate() {
        w.int(number + 1);
        w.int(usize::from(entry.rows.is_some()));
        w.text("0");
        w.text("0");
        w.text(entry.tag);
        w.text(entry.kind);
        w.int(section(entry));
        w.text(entry.definition);
        w.text("");
        if entry.copy.is_empty() {
            w.null();
        } else {
            w.text(entry.copy);
        }
        w.text(entry.schema);
        w.text("");
        w.text("heap");
        w.text(entry.owner);
        w.text("false");
        w.null();
        w.0.push(if entry.rows.is_some() { 2 } else { 3 });
        w.0.extend((offsets[number] as u64).to_le_bytes());
    }
    w.0
}

/// An archive of this length in bytes, nearly all of which is a hole behind its end.
pub fn sparse(path: &std::path::Path, length: u64) {
    let table =
        Entry { kind: "TABLE", tag: "t", definition: "CREATE TABLE t (x int);", schema: "public", ..Entry::default() };
    std::fs::write(path, archive(&[table])).expect("written");
    std::fs::OpenOptions::new().write(true).open(path).expect("opens").set_len(length).expect("grows");
}
