//! Domain-independent helpers: files, addresses, processes, errors, formatting, redaction.

pub mod byte_counter;
pub mod dirs;
pub mod error;
pub mod file_identity;
pub mod format;
pub mod fs;
pub mod net;
pub mod process;
pub mod redact;
pub mod suggest;
