use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `POST …/imports/uploads`. The body is an addition to the contract: without one, or where it
/// is not known, the answer is a slot for one `PUT`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct UploadRequest {
    /// Length of the dump in bytes.
    #[serde(default)]
    pub size_bytes: u64,
    /// Whether the dump may come in parts.
    #[serde(default)]
    pub parts: bool,
}

/// Where to put a dump: a presigned URL that lives one hour, or an upload in parts.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct UploadSlot {
    /// Names the object when the import is started.
    pub object_key: String,
    /// Takes one `PUT` of the file. Anyone who has it can write: it is a secret. Empty for an
    /// upload in parts.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub upload_url: String,
    /// End of the URL's life, or of the upload's (RFC 3339).
    #[serde(default)]
    pub expires_at: String,
    /// Names an upload in parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Length of every part but the last, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_size_bytes: Option<u64>,
}

/// `POST …/imports/uploads`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct UploadSlotAnswer {
    /// The slot.
    pub upload: UploadSlot,
}

/// How far an upload in parts is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Upload {
    /// Names the upload.
    pub id: String,
    /// Names the object when the import is started.
    pub object_key: String,
    /// Length of the whole in bytes.
    pub size_bytes: u64,
    /// Length of every part but the last, in bytes.
    pub part_size_bytes: u64,
    /// Whether the object is there.
    #[serde(default)]
    pub complete: bool,
    /// The parts that have arrived, in order.
    #[serde(default, deserialize_with = "super::list")]
    pub parts: Vec<UploadPart>,
}

/// A part that has arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct UploadPart {
    /// Its number, from 1.
    pub part_number: u32,
    /// Its length in bytes.
    #[serde(default)]
    pub size_bytes: u64,
    /// What storage called it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// CRC-64/NVME of its bytes, in Base64 as Amazon's API writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum_crc64nvme: Option<String>,
}

/// `GET …/imports/uploads/{id}` and `POST …/complete`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct UploadAnswer {
    /// The upload.
    pub upload: Upload,
}

/// `POST …/imports/uploads/{id}/parts`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct PartsRequest {
    /// The parts whose URLs are wanted, at most 100.
    pub part_numbers: Vec<u32>,
}

/// Where a part goes.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct PartSlot {
    /// Its number, from 1.
    pub part_number: u32,
    /// Takes a `PUT` of the part within an hour: a secret.
    pub upload_url: String,
}

/// `POST …/imports/uploads/{id}/parts`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct PartsAnswer {
    /// One for each number that was asked for.
    pub parts: Vec<PartSlot>,
}

/// `POST …/imports/uploads/{id}/complete`: all parts, as they were sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct CompleteRequest {
    /// All parts, in order.
    pub parts: Vec<UploadPart>,
}

/// A CRC-64/NVME as Amazon's API writes it, and so ours.
pub fn crc64_text(crc64: u64) -> String {
    BASE64_STANDARD.encode(crc64.to_be_bytes())
}

/// The other way round.
pub fn crc64_of_text(text: &str) -> Option<u64> {
    let bytes: [u8; 8] = BASE64_STANDARD.decode(text).ok()?.try_into().ok()?;
    Some(u64::from_be_bytes(bytes))
}

// URLs are secrets, so `Debug` does not show them.

impl fmt::Debug for UploadSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadSlot")
            .field("object_key", &self.object_key)
            .field("id", &self.id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PartSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartSlot").field("part_number", &self.part_number).finish_non_exhaustive()
    }
}
