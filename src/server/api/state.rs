//! State shared by the API's handlers.

use super::host::ApiHost;
use super::limits::Admission;
use crate::server::Core;
use secrecy::SecretString;
use std::sync::Arc;

/// State of a process that serves HTTP.
pub(in crate::server) struct ApiState {
    pub(in crate::server) core: Arc<Core>,
    /// Address and public name of the API.
    pub(in crate::server) host: ApiHost,
    /// With `capydb dev`: the API key that the panel gets without a prompt.
    pub(in crate::server) owner_key: Option<SecretString>,
    /// Rate and concurrency limits.
    pub(in crate::server) admission: Admission,
}
