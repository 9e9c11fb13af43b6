//! A dump file: what it is, and what it holds.

pub mod archive;
pub mod detect;
mod lexer;
pub mod sql;
pub mod statement;
pub mod survey;

pub use detect::{DumpFile, DumpFormat, DumpProblem};
