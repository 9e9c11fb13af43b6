//! The control plane of `capydb dev` in its default data directory, for commands of the same user.

use crate::util::dirs::{DEV_KEY_FILE, DEV_LOCK_FILE, DEV_URL_FILE, dev_data_dir};
use crate::util::net::is_loopback_url;
use secrecy::SecretString;
use std::fs::{self, File};
use url::Url;

/// A running `capydb dev`.
pub struct RunningDev {
    /// Base URL of its API, on this machine.
    pub api_url: String,
    /// Its API key.
    pub api_key: SecretString,
}

/// The `capydb dev` that runs in the default data directory, if any.
pub fn running_dev() -> Option<RunningDev> {
    let dir = dev_data_dir()?;
    let lock = File::open(dir.join(DEV_LOCK_FILE)).ok()?;
    if lock.try_lock_shared().is_ok() {
        return None; // left behind by a process that has ended
    }
    let read = |name: &str| fs::read_to_string(dir.join(name)).ok().map(|text| text.trim().to_owned());
    let api_url = read(DEV_URL_FILE).filter(|url| Url::parse(url).is_ok_and(|url| is_loopback_url(&url)))?;
    Some(RunningDev { api_url, api_key: read(DEV_KEY_FILE)?.into() })
}
