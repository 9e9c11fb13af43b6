//! What failed in an import: the message, where it happened, its cause and its fix.

mod catalog;
pub(super) mod explain;
pub(super) mod failure;
pub(super) mod location;
pub(super) mod source_catalog;
