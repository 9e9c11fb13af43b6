//! The text encoding of a dump: the encodings of Postgres, decoding, and the check that text is in
//! the encoding that the dump declares.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::str::FromStr;

/// An encoding that a dump can declare (Postgres, "Supported Character Sets").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// Also the encoding of a dump that declares none, because the target's is UTF-8.
    #[default]
    Utf8,
    /// Any bytes: the source never checked its text. Imported only if it is UTF-8.
    SqlAscii,
    /// ISO 8859-1, in which every byte is a character.
    Latin1,
    /// Another encoding that this program can decode.
    Known(&'static encoding_rs::Encoding),
    /// An encoding that only Postgres can decode.
    Unknown,
}

impl Encoding {
    /// Finds an encoding by its Postgres name, which ignores case and all but letters and digits.
    pub fn parse(name: &str) -> Self {
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        let label = match name.as_str() {
            "utf8" | "unicode" => return Self::Utf8,
            "sqlascii" => return Self::SqlAscii,
            "latin1" | "iso88591" => return Self::Latin1,
            "latin2" | "iso88592" => "iso-8859-2",
            "latin3" | "iso88593" => "iso-8859-3",
            "latin4" | "iso88594" => "iso-8859-4",
            "iso88595" => "iso-8859-5",
            "iso88596" => "iso-8859-6",
            "iso88597" => "iso-8859-7",
            "iso88598" => "iso-8859-8",
            "latin5" | "iso88599" => "windows-1254",
            "latin6" | "iso885910" => "iso-8859-10",
            "latin7" | "iso885913" => "iso-8859-13",
            "latin8" | "iso885914" => "iso-8859-14",
            "latin9" | "iso885915" => "iso-8859-15",
            "latin10" | "iso885916" => "iso-8859-16",
            "win1250" | "windows1250" => "windows-1250",
            "win" | "win1251" | "windows1251" => "windows-1251",
            "win1252" | "windows1252" => "windows-1252",
            "win1253" | "windows1253" => "windows-1253",
            "win1254" | "windows1254" => "windows-1254",
            "win1255" | "windows1255" => "windows-1255",
            "win1256" | "windows1256" => "windows-1256",
            "win1257" | "windows1257" => "windows-1257",
            "abc" | "tcvn" | "tcvn5712" | "vscii" | "win1258" | "windows1258" => "windows-1258",
            "alt" | "win866" | "windows866" => "ibm866",
            "win874" | "windows874" => "windows-874",
            "koi8" | "koi8r" => "koi8-r",
            "koi8u" => "koi8-u",
            "eucjp" => "euc-jp",
            "euckr" => "euc-kr",
            "euccn" => "gbk",
            _ => return Self::Unknown,
        };
        encoding_rs::Encoding::for_label(label.as_bytes()).map_or(Self::Unknown, Self::Known)
    }

    /// Whether every byte must be UTF-8 for an import.
    pub fn must_be_utf8(self) -> bool {
        matches!(self, Self::Utf8 | Self::SqlAscii)
    }

    /// Decodes text; characters that cannot be decoded become U+FFFD.
    pub fn decode(self, text: &[u8]) -> Cow<'_, str> {
        match self {
            Self::Latin1 if !text.is_ascii() => Cow::Owned(text.iter().map(|byte| char::from(*byte)).collect()),
            Self::Known(encoding) => encoding.decode_without_bom_handling(text).0,
            _ => String::from_utf8_lossy(text),
        }
    }

    /// Number of bytes at the end of a text that may be the start of a longer character.
    fn unfinished(self, text: &[u8]) -> usize {
        match self {
            Self::Utf8 | Self::SqlAscii => unfinished_character(text),
            // In the EUC encodings all bytes of a character are above ASCII, and most have two.
            Self::Known(encoding) if !encoding.is_single_byte() => {
                let run = text.iter().rev().take_while(|byte| **byte >= 0x80).count();
                euc_remainder(&text[text.len() - run..])
            }
            _ => 0,
        }
    }

    /// Offset and length in bytes of the first invalid text; `None` if all is valid or cannot be
    /// checked here. Text may end in the middle of a character.
    pub fn first_invalid(self, text: &[u8]) -> Option<(usize, usize)> {
        match self {
            Self::Utf8 | Self::SqlAscii => {
                let error = simdutf8::compat::from_utf8(text).err()?;
                Some((error.valid_up_to(), error.error_len()?))
            }
            Self::Known(_) if text.is_ascii() => None,
            Self::Known(encoding) if encoding.is_single_byte() => {
                let table = characters(encoding);
                let at = text.iter().position(|byte| *byte >= 0x80 && !table[usize::from(*byte - 0x80)])?;
                Some((at, 1))
            }
            Self::Known(_) => first_invalid_euc(text),
            _ => None,
        }
    }
}

/// The encoding that a dump's text really has, whatever the dump declares (`--source-encoding`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceEncoding(String);

/// Why an encoding cannot be used as a source encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an encoding of text that an import supports; use a Postgres name: WIN1252, LATIN1, WIN1251, EUC_JP, UTF8, …"
)]
pub struct UnsupportedEncoding;

impl FromStr for SourceEncoding {
    type Err = UnsupportedEncoding;

    fn from_str(name: &str) -> Result<Self, UnsupportedEncoding> {
        if !is_supported(name) || Encoding::parse(name) == Encoding::SqlAscii || name.len() > 40 {
            return Err(UnsupportedEncoding);
        }
        Ok(Self(name.to_ascii_uppercase()))
    }
}

impl fmt::Display for SourceEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SourceEncoding {
    /// Its Postgres name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// The encoding of a dump's text: known from the start, or as the dump declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TextEncoding {
    pub(super) current: Encoding,
    is_known: bool,
}

impl TextEncoding {
    pub(super) fn new(known: Option<&SourceEncoding>) -> Self {
        let current = known.map_or_else(Encoding::default, |source| Encoding::parse(source.name()));
        Self { current, is_known: known.is_some() }
    }

    /// Follows a declaration of the dump, unless the encoding is known.
    pub(super) fn declare(&mut self, name: &str) {
        if !self.is_known {
            self.current = Encoding::parse(name);
        }
    }
}

/// Whether Postgres has a character for a byte of a single-byte encoding. Where Windows has none, this
/// program's decoder returns a control character.
fn is_character(encoding: &'static encoding_rs::Encoding, byte: u8) -> bool {
    let bytes = [byte];
    let (text, malformed) = encoding.decode_without_bom_handling(&bytes);
    let is_control = text.chars().any(|c| ('\u{80}'..='\u{9f}').contains(&c));
    !(malformed || is_control && encoding.name().starts_with("windows"))
}

/// Which bytes from 0x80 are characters. The last table is kept, because there may be millions of texts.
fn characters(encoding: &'static encoding_rs::Encoding) -> [bool; 128] {
    type Table = (&'static encoding_rs::Encoding, [bool; 128]);
    thread_local! { static LAST: Cell<Option<Table>> = const { Cell::new(None) } }
    LAST.with(|last| match last.get() {
        Some((of, table)) if of == encoding => table,
        _ => {
            let mut byte = 0x7f_u8;
            let table = [(); 128].map(|()| {
                byte += 1;
                is_character(encoding, byte)
            });
            last.set(Some((encoding, table)));
            table
        }
    })
}

/// Length of an EUC character by its first byte. `EUC_JP` has two prefixes for further characters
/// (Postgres, `src/common/wchar.c`).
fn euc_length(first: u8) -> usize {
    match first {
        0x8f => 3,
        0x80.. => 2,
        _ => 1,
    }
}

/// Number of bytes at the end of a run of EUC characters that do not make a whole one.
fn euc_remainder(run: &[u8]) -> usize {
    let mut at = 0;
    while at < run.len() {
        let length = euc_length(run[at]);
        if at + length > run.len() {
            return run.len() - at;
        }
        at += length;
    }
    0
}

/// The first character of an EUC text that does not consist of bytes from 0xa1, as Postgres wants it.
fn first_invalid_euc(text: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    while at < text.len() {
        let length = euc_length(text[at]);
        let prefix = usize::from(matches!(text[at], 0x8e | 0x8f));
        let character = text.get(at..at + length)?;
        if length > 1 && !character[prefix..].iter().all(|byte| (0xa1..=0xfe).contains(byte)) {
            return Some((at, length));
        }
        at += length;
    }
    None
}

/// Whether an import supports a client encoding. Those that Postgres has only for clients are left out:
/// a character can end with the byte of a backslash, so the filter and psql could read a script
/// differently (Postgres, "Supported Character Sets").
pub(super) fn is_supported(name: &str) -> bool {
    Encoding::parse(name) != Encoding::Unknown
}

/// Finds text that is not in its encoding, where a statement or the rows of a table arrive in parts.
#[derive(Default)]
pub(super) struct TextCheck {
    /// The start of a character at the end of the previous part.
    pending: Vec<u8>,
}

impl TextCheck {
    /// Offset in the part and the bytes of the first invalid text. `is_whole`: the text ends with this
    /// part, and not in the middle of a character.
    pub(super) fn first_invalid(
        &mut self,
        encoding: Encoding,
        part: &[u8],
        is_whole: bool,
    ) -> Option<(usize, Vec<u8>)> {
        let pending = std::mem::take(&mut self.pending);
        let before = pending.len();
        let text = if before == 0 { Cow::Borrowed(part) } else { Cow::Owned([&pending, part].concat()) };
        let found = encoding.first_invalid(&text).map(|(at, length)| (at, length.max(1)));
        let rest = encoding.unfinished(&text);
        let unfinished = || (is_whole && rest > 0).then(|| (text.len() - rest, rest));
        let found = found.or_else(unfinished);
        if !is_whole {
            self.pending = text[text.len() - rest..].to_vec();
        }
        found.map(|(at, length)| (at.saturating_sub(before), text[at..(at + length).min(text.len())].to_vec()))
    }
}

/// Number of bytes at the end of a valid text that may be the start of a longer character.
pub(super) fn unfinished_character(text: &[u8]) -> usize {
    let lead = text.iter().rev().take(3).position(|byte| *byte >= 0xc0);
    let length = |byte: u8| {
        if byte >= 0xf0 {
            4
        } else if byte >= 0xe0 {
            3
        } else {
            2
        }
    };
    lead.map_or(0, |back| if length(text[text.len() - 1 - back]) > back + 1 { back + 1 } else { 0 })
}

/// Finds invalid UTF-8 in a stream of blocks.
#[derive(Default)]
pub(super) struct Utf8Check {
    /// The start of a character at the end of the previous block.
    pending: Vec<u8>,
}

impl Utf8Check {
    /// Whether the block is valid UTF-8, with the end of the previous one.
    pub(super) fn is_valid(&mut self, block: &[u8]) -> bool {
        let mut rest = block;
        if !self.pending.is_empty() {
            let missing = 4 - self.pending.len();
            let continues = block.iter().take(missing).take_while(|byte| (0x80..0xc0).contains(*byte)).count();
            self.pending.extend_from_slice(&block[..continues]);
            let pending = std::mem::take(&mut self.pending);
            match std::str::from_utf8(&pending) {
                Ok(_) => {}
                Err(error) if error.error_len().is_none() && continues == block.len() => {
                    self.pending = pending;
                    return true;
                }
                Err(_) => return false,
            }
            rest = &block[continues..];
        }
        let end = rest.len() - unfinished_character(rest);
        self.pending = rest[end..].to_vec();
        let may_continue =
            std::str::from_utf8(&self.pending).map_or_else(|error| error.error_len().is_none(), |_| true);
        may_continue && simdutf8::basic::from_utf8(&rest[..end]).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn postgres_names_are_recognized() {
        assert_eq!(Encoding::parse("UTF8"), Encoding::Utf8);
        assert_eq!(Encoding::parse("SQL_ASCII"), Encoding::SqlAscii);
        assert_eq!(Encoding::parse("iso_8859_1"), Encoding::Latin1);
        assert_eq!(Encoding::parse("MULE_INTERNAL"), Encoding::Unknown);
        assert_eq!(Encoding::parse("latin1").decode(b"caf\xe9"), "caf\u{e9}");
        assert_eq!(Encoding::parse("WIN1251").decode(b"\xcf\xf0"), "\u{41f}\u{440}");
        assert_eq!(Encoding::parse("EUC_JP").decode(b"\xc6\xfc"), "\u{65e5}");
    }

    #[test]
    fn source_encodings_are_those_that_can_be_checked() {
        assert_eq!(
            "win1252".parse::<SourceEncoding>().map(|encoding| encoding.name().to_owned()),
            Ok("WIN1252".into())
        );
        for name in
            ["SQL_ASCII", "SJIS", "mskanji", "windows-932", "gbk", "MULE_INTERNAL", "", "UTF8'; drop table t; --"]
        {
            assert_eq!(name.parse::<SourceEncoding>(), Err(UnsupportedEncoding), "{name}");
        }
    }

    #[test]
    fn invalid_text_is_located() {
        assert_eq!(Encoding::Utf8.first_invalid("a\u{e9}".as_bytes()), None);
        assert_eq!(Encoding::Utf8.first_invalid(b"ab\xe9 c"), Some((2, 1)));
        assert_eq!(Encoding::Utf8.first_invalid(b"ab\xc3"), None, "the character may continue");
        assert_eq!(Encoding::Latin1.first_invalid(b"ab\xff"), None);
        let euc_jp = Encoding::parse("EUC_JP");
        assert_eq!(euc_jp.first_invalid(b"ab\xc6 c"), Some((2, 2)));
        assert_eq!(euc_jp.first_invalid(b"\x8f\xf4\xfb"), None, "an extension of IBM");
        assert_eq!(Encoding::parse("EUC_KR").first_invalid(b"\xb0\x41"), Some((0, 2)), "a character of UHC");
        assert_eq!(Encoding::parse("WIN1252").first_invalid(b"a\x80\x81"), Some((2, 1)));
        assert_eq!(Encoding::parse("LATIN2").first_invalid(b"a\x80\x81"), None);
    }

    #[test]
    fn characters_may_cross_the_parts_of_a_text() {
        let check = |encoding: Encoding, parts: &[&[u8]]| {
            let mut check = TextCheck::default();
            let last = parts.len() - 1;
            let mut found = parts.iter().enumerate().map(|(at, part)| check.first_invalid(encoding, part, at == last));
            found.find_map(|found| found)
        };
        let euc = Encoding::parse("EUC_JP");
        assert_eq!(check(Encoding::Utf8, &[b"a\xe2\x82", b"\xac"]), None);
        assert_eq!(check(Encoding::Utf8, &[b"a\xe2\x82", b"b"]), Some((0, b"\xe2\x82".to_vec())));
        assert_eq!(check(Encoding::Utf8, &[b"\x93quoted\n"]), Some((0, b"\x93".to_vec())));
        assert_eq!(check(Encoding::Utf8, &[b"a\xc3"]), Some((1, b"\xc3".to_vec())));
        assert_eq!(check(euc, &[b"\xc6\xfc\xcb", b"\xdc\n"]), None);
        assert_eq!(check(euc, &[b"\xc6\xfc\xcb", b"\n"]), Some((0, b"\xcb\n".to_vec())));
    }

    proptest! {
        #[test]
        fn blocks_are_valid_exactly_if_the_text_is(
            mut bytes in "[a\u{e9}\u{65e5}\u{1f600}]{0,40}".prop_map(String::into_bytes),
            damage in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
            step in 1_usize..9,
        ) {
            if let Some((at, byte)) = damage.filter(|_| !bytes.is_empty()) {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let mut check = Utf8Check::default();
            let valid = bytes.chunks(step).all(|block| check.is_valid(block));
            // A character that is incomplete at the end is found by the check of its piece.
            let expected = match std::str::from_utf8(&bytes) {
                Ok(_) => true,
                Err(error) => error.error_len().is_none(),
            };
            prop_assert_eq!(valid, expected, "{:?}", bytes);
        }
    }
}
