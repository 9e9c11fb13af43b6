//! Requests for preflights and imports.

use serde::{Deserialize, Serialize};
use std::fmt;

/// `POST …/imports/preflight`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct PreflightRequest {
    /// The source's connection URL, including the password.
    pub source_url: String,
    /// Whether the import will replace the target; absent if not yet decided. Only if the project's
    /// `import_features` contain `checks_target`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recreate: Option<bool>,
    /// Whether an empty source may replace a target that has tables. Only with `checks_target`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_empty: bool,
    /// Certificates of the authorities that verify the source's server, in PEM format. Only if the project's
    /// `import_features` contain `source_ca`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ca: Option<String>,
}

/// `POST …/imports`: exactly one of `source_url` and `upload_key` is set.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ImportRequest {
    /// Must be true, because an import writes to the target.
    #[serde(default)]
    pub confirm: bool,
    /// Replace the target database instead of adding to it.
    #[serde(default)]
    pub recreate: bool,
    /// Connection URL of a live source, including the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_url: Option<String>,
    /// Object key of an uploaded dump.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_key: Option<String>,
    /// Encoding of the uploaded dump's text by its Postgres name (`WIN1252`), whatever the dump declares.
    /// Only if the project's `import_features` contain `source_encoding`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_encoding: Option<String>,
    /// Whether an empty source may replace a target that has tables. Only if the project's
    /// `import_features` contain `checks_target`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_empty: bool,
    /// Certificates of the authorities that verify the source's server, in PEM format. Only if the project's
    /// `import_features` contain `source_ca`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ca: Option<String>,
}

// These contain secrets, so `Debug` omits fields.

impl fmt::Debug for PreflightRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreflightRequest").finish_non_exhaustive()
    }
}

impl fmt::Debug for ImportRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportRequest")
            .field("confirm", &self.confirm)
            .field("recreate", &self.recreate)
            .field("upload_key", &self.upload_key)
            .finish_non_exhaustive()
    }
}
