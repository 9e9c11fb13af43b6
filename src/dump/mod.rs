//! Dump files: identification and contents.
//!
//! [`detect`] opens and identifies a dump. [`read()`] returns its [`Contents`]: from the table of
//! contents of an archive ([`archive`]), or in one pass over plain SQL ([`sql`], [`scan`]).

pub mod archive;
mod archive_data;
pub mod catalog_changes;
mod contents;
mod copy_target;
mod decompress;
pub mod definitions;
pub mod detect;
pub mod encoding;
mod extension_use;
mod findings;
pub mod join;
mod lexer;
#[cfg(test)]
mod lexer_agreement;
pub mod psql_commands;
mod read;
mod references;
pub mod rewrite;
pub mod scan;
mod search_path;
pub mod settings;
pub mod spool;
pub mod sql;
pub mod statement;
mod superuser;
mod tar;
mod tokens;
pub mod treatment;
mod window;

pub use contents::{Contents, DumpLocation, Finding, Occurrences};
pub use decompress::OuterCompression;
pub use detect::{DumpError, DumpFile, Format};
pub use read::{FORCE_ROW_SECURITY, read};
