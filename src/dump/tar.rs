//! Reads the members of a tar archive that `pg_dump -Ft` writes (POSIX ustar).

use std::io::{self, Read, Seek, SeekFrom};

/// Block size of a tar archive, in bytes.
const BLOCK: u64 = 512;

/// Whether a file begins with the header of a tar member.
pub(super) fn is_tar(start: &[u8]) -> bool {
    start.get(257..262) == Some(b"ustar")
}

/// Whether its first member is the table of contents of a dump.
pub(super) fn is_dump(start: &[u8]) -> bool {
    is_tar(start) && start.starts_with(b"toc.dat\0")
}

/// Length of a member in bytes, from its header.
fn member_length(header: &[u8]) -> Option<u64> {
    let field = header.get(124..136)?;
    if field[0] & 0x80 != 0 {
        // Lengths of 8 GiB and more are binary instead of octal digits.
        return field[4..].iter().try_fold(0_u64, |value, byte| value.checked_mul(256)?.checked_add(u64::from(*byte)));
    }
    let digits = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    u64::from_str_radix(digits, 8).ok()
}

/// Whether the archive is complete: all members fit into `size` bytes, and the end marker follows.
pub(super) fn is_complete(file: &mut (impl Read + Seek), size: u64) -> io::Result<bool> {
    let mut at = 0;
    loop {
        let mut header = [0; 512];
        file.seek(SeekFrom::Start(at))?;
        match file.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            result => result?,
        }
        if header == [0; 512] {
            return Ok(true);
        }
        let Some(length) = member_length(&header).filter(|_| is_tar(&header)) else { return Ok(false) };
        let Some(next) = length.checked_next_multiple_of(BLOCK).and_then(|length| at.checked_add(BLOCK + length))
        else {
            return Ok(false);
        };
        if next > size {
            return Ok(false);
        }
        at = next;
    }
}

/// Returns a reader of the data of the first member.
pub(super) fn first_member<R: Read>(mut reader: R) -> io::Result<io::Take<R>> {
    let mut header = [0; 512];
    reader.read_exact(&mut header)?;
    Ok(reader.take(member_length(&header).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn member(name: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 512];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes[124..135].copy_from_slice(format!("{:011o}", data.len()).as_bytes());
        bytes[257..262].copy_from_slice(b"ustar");
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    fn complete(bytes: &[u8]) -> bool {
        is_complete(&mut Cursor::new(bytes), bytes.len() as u64).expect("readable bytes")
    }

    #[test]
    fn a_truncated_archive_is_detected() {
        let mut tar = member("toc.dat", b"PGDMP");
        tar.extend(member("1.dat", &[b'x'; 2000]));
        tar.extend([0; 1024]);
        assert!(is_dump(&tar) && complete(&tar));
        for length in [tar.len() - 1024, tar.len() - 1200, 700, 100] {
            assert!(!complete(&tar[..length]), "{length}");
        }
        let mut toc = Vec::new();
        first_member(tar.as_slice()).expect("a valid archive").read_to_end(&mut toc).expect("a complete member");
        assert_eq!(toc, b"PGDMP");
    }

    #[test]
    fn large_members_have_binary_lengths() {
        let mut header = member("1.dat", b"");
        header[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1]);
        assert_eq!(member_length(&header), Some((3 << 32) + 1));
    }

    proptest! {
        #[test]
        fn random_bytes_end_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            complete(&bytes);
            complete(&[member("a", b"b"), bytes].concat());
        }
    }
}
