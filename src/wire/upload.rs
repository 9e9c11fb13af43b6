//! Uploads of dumps.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `POST …/imports/uploads`. The body is an extension to the API contract: without a body, or if
/// the service does not support it, the response is a slot for a single `PUT`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct UploadRequest {
    /// Length of the dump, in bytes.
    #[serde(default)]
    pub size_bytes: u64,
    /// Whether the client supports multipart uploads.
    #[serde(default)]
    pub parts: bool,
}

/// Where to upload a dump: a presigned URL that is valid for one hour, or a multipart upload.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct UploadSlot {
    /// Object key, for starting the import.
    pub object_key: String,
    /// Presigned URL for a single `PUT` of the dump; a secret. Empty for a multipart upload.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub upload_url: String,
    /// Expiration time of the URL or the multipart upload (RFC 3339).
    #[serde(default)]
    pub expires_at: String,
    /// Id of the multipart upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Length of every part except the last, in bytes.
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

/// A multipart upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Upload {
    /// Opaque id.
    pub id: String,
    /// Object key, for starting the import.
    pub object_key: String,
    /// Length of the dump, in bytes.
    pub size_bytes: u64,
    /// Length of every part except the last, in bytes.
    pub part_size_bytes: u64,
    /// Whether the upload is complete.
    #[serde(default)]
    pub complete: bool,
    /// Stored parts, in order.
    #[serde(default, deserialize_with = "super::list")]
    pub parts: Vec<UploadPart>,
}

/// A stored part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct UploadPart {
    /// Part number, starting at 1.
    pub part_number: u32,
    /// Length of the part, in bytes.
    #[serde(default)]
    pub size_bytes: u64,
    /// `ETag` that storage returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// CRC-64/NVME of the part, in Base64 as in the Amazon S3 API.
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
    /// Numbers of the parts to get URLs for, at most 100.
    pub part_numbers: Vec<u32>,
}

/// Presigned URL of a part.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct PartSlot {
    /// Part number, starting at 1.
    pub part_number: u32,
    /// Presigned URL for a `PUT` of the part, valid for one hour; a secret.
    pub upload_url: String,
}

/// `POST …/imports/uploads/{id}/parts`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct PartsAnswer {
    /// One slot for each requested number.
    pub parts: Vec<PartSlot>,
}

/// `POST …/imports/uploads/{id}/complete`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct CompleteRequest {
    /// All parts, in order.
    pub parts: Vec<UploadPart>,
}

/// Encodes a CRC-64/NVME as in the Amazon S3 API: big-endian, Base64.
pub fn crc64_text(crc64: u64) -> String {
    BASE64.encode(&crc64.to_be_bytes())
}

/// Decodes a CRC-64/NVME; `None` if invalid.
pub fn crc64_of_text(text: &str) -> Option<u64> {
    let bytes: [u8; 8] = BASE64.decode(text.as_bytes()).ok()?.try_into().ok()?;
    Some(u64::from_be_bytes(bytes))
}

// Presigned URLs are secrets, so `Debug` omits them.

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
