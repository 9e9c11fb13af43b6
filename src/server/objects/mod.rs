//! Object storage for uploaded dumps: a folder of this machine, with signed upload URLs.

mod disk;

pub(super) use disk::{Disk, Refusal, Ticket};
