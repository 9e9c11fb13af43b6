//! What handlers of the API share.

use super::host::ApiHost;
use super::limits::Admission;
use crate::server::Core;
use secrecy::SecretString;
use std::sync::Arc;

/// The state of a process that answers HTTP.
pub(in crate::server) struct ApiState {
    pub(in crate::server) core: Arc<Core>,
    /// Where the API answers.
    pub(in crate::server) host: ApiHost,
    /// `capydb dev`: the key that the panel may have without asking for it.
    pub(in crate::server) owner_key: Option<SecretString>,
    pub(in crate::server) admission: Admission,
}
