//! One `PUT` to object storage: as fast as the wire, with constant memory, and with the truth
//! about what became of it.

mod body;
mod checksum;
mod connect;
mod error;
mod half_open_io;
mod put;
mod rate_limiter;

pub(super) use connect::UploadConnection;
pub use error::UploadError;
pub(super) use put::{Put, Storage};
