//! What failed in an import: the message, where it happened, its cause and its fix.

pub(super) mod catalog;
pub(super) mod failure;
pub(super) mod location;
