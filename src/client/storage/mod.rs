//! `PUT` requests to object storage: streaming, with constant memory and a verified outcome.

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
