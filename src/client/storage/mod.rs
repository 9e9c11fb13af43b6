//! One `PUT` to object storage: as fast as the wire, with constant memory, and with the truth
//! about what became of it.

mod blocks;
mod checksum;
mod connect;
mod error;
mod pace;
mod put;
mod sturdy;

pub(super) use connect::Line;
pub use error::UploadError;
pub use put::Progress;
pub(super) use put::{Put, Storage};
