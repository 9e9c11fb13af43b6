//! A dump file: what it is, and what it holds.
//!
//! [`detect`] opens and identifies it, [`read()`] gives its [`Contents`]: of an archive from its
//! table of contents ([`archive`]), of plain SQL in one pass ([`sql`], [`scan`]).

pub mod archive;
mod classify;
mod contents;
pub mod definitions;
pub mod detect;
mod lexer;
mod read;
pub mod scan;
pub mod settings;
pub mod spool;
pub mod sql;
pub mod statement;
mod tar;
mod tokens;
mod unpack;
mod window;

pub use contents::{Contents, DumpLocation, Finding, Occurrences};
pub use detect::{DumpError, DumpFile, Format};
pub use read::read;
pub use unpack::OuterCompression;
