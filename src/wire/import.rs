use serde::{Deserialize, Serialize};
use std::fmt;

/// `POST …/imports/preflight`.
#[derive(Clone, Serialize, Deserialize)]
pub struct PreflightRequest {
    /// The source, password included.
    pub source_url: String,
}

/// `POST …/imports`: exactly one of `source_url` and `upload_key` is set.
#[derive(Clone, Serialize, Deserialize)]
pub struct ImportRequest {
    /// Must be true: imports write.
    #[serde(default)]
    pub confirm: bool,
    /// Replace the target database instead of loading into it.
    #[serde(default)]
    pub recreate: bool,
    /// A live source, password included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_url: Option<String>,
    /// The object key of an uploaded dump.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_key: Option<String>,
}

/// Where to put a dump: a presigned URL that lives one hour.
#[derive(Clone, Serialize, Deserialize)]
pub struct UploadSlot {
    /// Names the object when the import is started.
    pub object_key: String,
    /// Takes one `PUT` of the file. Anyone who has it can write: it is a secret.
    pub upload_url: String,
    /// End of the URL's life (RFC 3339).
    #[serde(default)]
    pub expires_at: String,
}

/// `POST …/imports/uploads`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UploadSlotAnswer {
    /// The slot.
    pub upload: UploadSlot,
}

// These carry secrets, so `Debug` says only that they are there.

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

impl fmt::Debug for UploadSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadSlot")
            .field("object_key", &self.object_key)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
