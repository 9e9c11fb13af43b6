//! Writes uncompressed pg_dump custom-format archives (version 1.14) with arbitrary, possibly
//! malicious entries.

/// A table-of-contents entry.
#[derive(Clone, Default)]
pub struct Entry<'a> {
    pub kind: &'a str,
    pub tag: &'a str,
    pub definition: &'a str,
    pub copy: &'a str,
    pub schema: &'a str,
    pub owner: &'a str,
    /// The `COPY` rows of a `TABLE DATA` entry.
    pub rows: Option<&'a str>,
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn int(&mut self, value: usize) {
        self.0.push(0);
        self.0.extend(u32::try_from(value).expect("fits in 32 bits").to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.int(text.len());
        self.0.extend(text.as_bytes());
    }

    fn null(&mut self) {
        self.0.extend([1, 1, 0, 0, 0]);
    }
}

/// The section of an entry: 2 is pre-data, 3 is data.
fn section(entry: &Entry<'_>) -> usize {
    if entry.kind == "TABLE DATA" { 3 } else { 2 }
}

/// The bytes of an archive with these entries.
pub fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    // The data follows the table of contents, whose length does not depend on the offsets in it.
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

/// Writes a sparse file of `length` bytes that begins with a small archive.
pub fn write_sparse(path: &std::path::Path, length: u64) {
    let table =
        Entry { kind: "TABLE", tag: "t", definition: "CREATE TABLE t (x int);", schema: "public", ..Entry::default() };
    // Zeros directly after the archive would be an unfinished copy.
    std::fs::write(path, [archive(&[table]), b"padding".to_vec()].concat()).expect("write file");
    std::fs::OpenOptions::new().write(true).open(path).expect("open file").set_len(length).expect("extend file");
}
