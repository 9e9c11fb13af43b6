//! Checksums of uploads, and their verification against storage's response.

use crate::wire::crc64_of_text;
use crc_fast::CrcAlgorithm::Crc64Nvme;
use data_encoding::BASE64;
use hyper::HeaderMap;
use md5::{Digest, Md5};
use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

/// Computing MD5 during the upload would slow down a fast connection, and not every store
/// returns one. The connection's speed is measured after this many bytes …
const MEASURE_AT: u64 = 32 << 20;
/// … without the first bytes, which fill the system's buffers …
const BURST: u64 = 8 << 20;
/// … and MD5 is computed on the fly below this rate in bytes per second.
const SLOW: u64 = 250_000_000;

/// Checksums of a range of a file, computed while it is sent.
pub(super) struct Checksums<'a> {
    crc64: crc_fast::Digest,
    /// Bytes so far.
    seen: u64,
    /// When the first [`BURST`] bytes were sent.
    since: Option<Instant>,
    decided: bool,
    md5: Option<TrailingChecksum<'a>>,
    file: &'a File,
    start: u64,
}

/// The checksums of the sent data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) crc64: u64,
    /// Only computed on slow connections.
    pub(super) md5: Option<[u8; 16]>,
}

impl<'a> Checksums<'a> {
    /// For a file that is sent from this offset in bytes.
    pub(super) fn new(file: &'a File, start: u64) -> Self {
        let crc64 = crc_fast::Digest::new(Crc64Nvme);
        Self { crc64, seen: 0, since: None, decided: false, md5: None, file, start }
    }

    /// Adds the next block, read at time `now`.
    pub(super) fn add(&mut self, block: &[u8], now: Instant) -> io::Result<()> {
        self.crc64.update(block);
        if let Some(md5) = &mut self.md5 {
            md5.add(block, self.start + self.seen)?;
        }
        self.seen += block.len() as u64;
        if self.md5.is_none() && self.has_time_for_md5(now) {
            self.md5 =
                Some(TrailingChecksum { md5: Md5::new(), file: self.file, at: self.start, block: vec![0; TRAIL] });
        }
        Ok(())
    }

    /// Whether the connection is slow enough for MD5; decided once, after [`MEASURE_AT`] bytes.
    fn has_time_for_md5(&mut self, now: Instant) -> bool {
        if self.decided || self.seen < BURST {
            return false;
        }
        let since = *self.since.get_or_insert(now);
        self.decided = self.seen >= MEASURE_AT;
        self.decided && now.duration_since(since) > Duration::from_millis((MEASURE_AT - BURST) * 1000 / SLOW)
    }

    pub(super) fn finish(mut self) -> io::Result<Sent> {
        if let Some(md5) = &mut self.md5 {
            md5.follow(self.start + self.seen, u64::MAX)?;
        }
        Ok(Sent { crc64: self.crc64.finalize(), md5: self.md5.map(|md5| md5.md5.finalize().into()) })
    }
}

/// Bytes that an MD5 started late catches up with each block.
const TRAIL: usize = 512 << 10;

/// An MD5 that started late and catches up with the reader.
struct TrailingChecksum<'a> {
    md5: Md5,
    file: &'a File,
    /// Current offset in the file, in bytes.
    at: u64,
    block: Vec<u8>,
}

impl TrailingChecksum<'_> {
    /// Adds a block that was read at offset `at`, or catches up towards that offset.
    fn add(&mut self, block: &[u8], at: u64) -> io::Result<()> {
        if self.at == at {
            self.md5.update(block);
            self.at += block.len() as u64;
            return Ok(());
        }
        self.follow(at + block.len() as u64, TRAIL as u64)
    }

    /// Rereads the file up to offset `end`, at most `most` bytes.
    fn follow(&mut self, end: u64, most: u64) -> io::Result<()> {
        let end = end.min(self.at.saturating_add(most));
        while self.at < end {
            let wanted = usize::try_from(end - self.at).map_or(self.block.len(), |left| left.min(self.block.len()));
            match super::body::read_at(self.file, &mut self.block[..wanted], self.at)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => {
                    self.md5.update(&self.block[..read]);
                    self.at += read as u64;
                }
            }
        }
        Ok(())
    }
}

/// The checksum of the stored object in storage's response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StoredChecksum {
    /// CRC-64/NVME.
    Crc64(u64),
    /// MD5.
    Md5([u8; 16]),
    /// No comparable checksum.
    Nothing,
}

/// Reads the checksum from response headers: Amazon's or Google's, `Content-MD5`, or the ETag
/// if it is an MD5. According to Amazon's documentation it is not with KMS or customer keys,
/// nor for multipart objects, whose ETag contains a dash.
pub(super) fn stored_checksum(headers: &HeaderMap) -> StoredChecksum {
    let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.trim());
    // A COMPOSITE checksum covers the checksums of the parts, not the content.
    let whole = text("x-amz-checksum-type").is_none_or(|kind| kind.eq_ignore_ascii_case("FULL_OBJECT"));
    if let Some(crc64) = text("x-amz-checksum-crc64nvme").filter(|_| whole).and_then(crc64_of_text) {
        return StoredChecksum::Crc64(crc64);
    }
    let google = headers.get_all("x-goog-hash").iter().filter_map(|value| value.to_str().ok());
    let google = google.flat_map(|value| value.split(',')).find_map(|part| part.trim().strip_prefix("md5="));
    if let Some(md5) = google.or_else(|| text("content-md5")).and_then(decoded::<16>) {
        return StoredChecksum::Md5(md5);
    }
    let encrypted = text("x-amz-server-side-encryption").is_some_and(|kind| kind.starts_with("aws:kms"))
        || headers.contains_key("x-amz-server-side-encryption-customer-algorithm");
    match text("etag").filter(|_| !encrypted).and_then(md5_of_tag) {
        Some(md5) => StoredChecksum::Md5(md5),
        None => StoredChecksum::Nothing,
    }
}

/// The MD5 in an ETag, if it has that form.
fn md5_of_tag(tag: &str) -> Option<[u8; 16]> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut md5 = [0; 16];
    for (byte, pair) in md5.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(md5)
}

fn decoded<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// The MD5 of a range of a file, which is read again.
pub(super) fn md5_of(file: &File, start: u64, length: u64) -> io::Result<[u8; 16]> {
    let mut all = TrailingChecksum { md5: Md5::new(), file, at: start, block: vec![0; TRAIL] };
    all.follow(start + length, u64::MAX)?;
    Ok(all.md5.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::crc64_text;
    use proptest::prelude::*;

    fn stored(headers: &[(&'static str, &str)]) -> StoredChecksum {
        let parsed = headers
            .iter()
            .map(|(name, value)| (name.parse().expect("a valid name"), value.parse().expect("a valid value")));
        stored_checksum(&parsed.collect())
    }

    const MD5_OF_A: &str = "0cc175b9c0f1b6a831c399e269772661";

    #[test]
    fn the_crc64_of_the_check_input_is_the_check_value() {
        let file = tempfile::tempfile().expect("a temporary file");
        let mut checksums = Checksums::new(&file, 0);
        checksums.add(b"1234", Instant::now()).expect("a readable file");
        checksums.add(b"56789", Instant::now()).expect("a readable file");
        let sent = checksums.finish().expect("a readable file");
        assert_eq!(sent, Sent { crc64: 0xae8b_1486_0a79_9888, md5: None }, "the check value of CRC-64/NVME");
        assert_eq!(crc64_of_text(&crc64_text(sent.crc64)), Some(sent.crc64));
    }

    #[test]
    fn md5_is_skipped_if_the_network_is_faster() {
        let mut file = tempfile::tempfile().expect("a temporary file");
        let all: Vec<u8> = (0_u32..(48 << 20) / 4).flat_map(u32::to_le_bytes).collect();
        io::Write::write_all(&mut file, &all).expect("a writable file");
        let sent = |pause: Duration| {
            let (mut checksums, mut now) = (Checksums::new(&file, 4), Instant::now());
            for block in all[4..].chunks(256 << 10) {
                now += pause;
                checksums.add(block, now).expect("a readable file");
            }
            checksums.finish().expect("a readable file")
        };
        let (slow, fast) = (sent(Duration::from_millis(2)), sent(Duration::from_micros(200)));
        assert_eq!(slow.crc64, fast.crc64);
        assert_eq!(slow.md5, Some(Md5::digest(&all[4..]).into()), "1 Gbit/s");
        assert_eq!(fast.md5, None, "10 Gbit/s");
    }

    #[test]
    fn only_checksums_of_the_content_are_used() {
        let tag = format!("\"{MD5_OF_A}\"");
        assert!(matches!(stored(&[("etag", &tag)]), StoredChecksum::Md5(_)));
        assert_eq!(
            stored(&[("etag", &tag), ("x-amz-server-side-encryption", "aws:kms:dsse")]),
            StoredChecksum::Nothing
        );
        assert!(matches!(
            stored(&[("etag", &tag), ("x-amz-server-side-encryption", "AES256")]),
            StoredChecksum::Md5(_)
        ));
        let customer = ("x-amz-server-side-encryption-customer-algorithm", "AES256");
        assert_eq!(stored(&[("etag", &tag), customer]), StoredChecksum::Nothing);
        for other in
            ["x", "\"0x8DC\"", "W/\"0cc175b9c0f1b6a831c399e269772661\"", "\"0cc175b9c0f1b6a831c399e269772661-3\""]
        {
            assert_eq!(stored(&[("etag", other)]), StoredChecksum::Nothing, "{other}");
        }
        assert_eq!(stored(&[("x-amz-checksum-crc64nvme", &crc64_text(7)), ("etag", &tag)]), StoredChecksum::Crc64(7));
        let composite = [("x-amz-checksum-crc64nvme", &*crc64_text(7)), ("x-amz-checksum-type", "COMPOSITE")];
        assert_eq!(stored(&composite), StoredChecksum::Nothing);
        let google = ("x-goog-hash", "crc32c=AAAAAA==,md5=DMF1ucDxtqgxw5niaXcmYQ==");
        assert_eq!(stored(&[google]), stored(&[("etag", &tag)]));
        assert_eq!(stored(&[("content-md5", "DMF1ucDxtqgxw5niaXcmYQ==")]), stored(&[("etag", &tag)]));
    }

    #[test]
    fn the_md5_of_a_file_range_is_computed() {
        let mut file = tempfile::tempfile().expect("a temporary file");
        io::Write::write_all(&mut file, b"xxabc").expect("a writable file");
        assert_eq!(md5_of(&file, 2, 3).expect("a readable file"), <[u8; 16]>::from(Md5::digest(b"abc")));
        assert!(md5_of(&file, 2, 4).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_headers_never_panic(tag in "\\PC{0,50}", checksum in "\\PC{0,20}", hash in "[a-z0-9=,+/ ]{0,60}") {
            let headers: HeaderMap = [("etag", tag), ("x-amz-checksum-crc64nvme", checksum), ("x-goog-hash", hash)]
                .into_iter()
                .filter_map(|(name, value)| Some((name.parse().ok()?, hyper::header::HeaderValue::from_bytes(value.as_bytes()).ok()?)))
                .collect();
            let _ = stored_checksum(&headers);
        }
    }
}
