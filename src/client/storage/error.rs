//! Upload errors and storage's error responses.

use crate::client::CallError;
use crate::util::format::printable;
use crate::wire::S3Error;
use std::io;
use std::time::Duration;

/// Why an upload failed. The messages contain no presigned URL.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// Reading the file failed.
    #[error("cannot read the dump: {0}")]
    Read(io::Error),
    /// The file changed.
    #[error("the dump changed during the upload; wait until the process that writes it has finished, then retry")]
    Changed,
    /// The path now names another file.
    #[error("the dump was replaced by another file during the upload")]
    Replaced,
    /// The connection failed or stalled: host and cause.
    #[error("the upload to {0} was interrupted: {1}")]
    Broken(String, String),
    /// TLS failed: host and cause.
    #[error("cannot establish a secure connection to {0}: {1}")]
    Tls(String, String),
    /// The host cannot be reached with this configuration: host and cause.
    #[error("cannot connect to {0}: {1}")]
    Unreachable(String, String),
    /// Storage returned an error.
    #[error("{0}")]
    Rejected(StorageRejection),
    /// The checksums differ: host.
    #[error("storage at {0} received corrupted data (checksum mismatch)")]
    Damaged(String),
    /// The dump, of this length in bytes, needs a multipart upload, which is not supported.
    #[error("the dump exceeds 5 GB, the limit for one request, and this control plane has no multipart uploads")]
    TooLargeForOne(u64),
    /// The control plane returned an invalid upload slot.
    #[error("the control plane returned an invalid upload slot: {0}")]
    Unusable(String),
    /// A call to the control plane failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// A response of storage outside 2xx.
#[derive(Debug, thiserror::Error)]
#[error("storage at {host} rejected the upload with status {status}: {message}")]
pub struct StorageRejection {
    /// The HTTP status.
    pub status: u16,
    /// The value of `Retry-After`.
    pub retry_after: Option<Duration>,
    pub(super) host: String,
    /// The S3 error code.
    pub(super) code: String,
    pub(super) message: String,
}

impl UploadError {
    /// Whether a retry may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Broken(..) | Self::Damaged(_) => true,
            Self::Rejected(rejection) => rejection.is_transient(),
            Self::Call(error) => error.is_transient(),
            _ => false,
        }
    }

    /// Whether the presigned URL was rejected, so that a new one may work.
    pub fn needs_new_url(&self) -> bool {
        match self {
            Self::Rejected(rejection) => rejection.status == 403 || rejection.code == "ExpiredToken",
            _ => false,
        }
    }

    /// The value of `Retry-After`.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rejected(rejection) => rejection.retry_after,
            Self::Call(error) => error.retry_after(),
            _ => None,
        }
    }
}

impl StorageRejection {
    /// Reads the response to a request with this query string. The body may quote the request, so
    /// only message and code are kept, and neither if it contains a part of the secret query.
    pub(super) fn read(host: &str, query: &str, status: u16, retry_after: Option<Duration>, body: &str) -> Self {
        let error = S3Error::parse(body);
        let message = match &error {
            Some(error) if !error.message.is_empty() => printable(&error.message, 200),
            Some(error) => printable(&error.code, 60),
            _ if (300..400).contains(&status) => "redirects are not followed".into(),
            _ if body.contains('<') || body.trim().is_empty() => "no reason given".into(),
            _ => printable(body, 200),
        };
        let quoted = |text: &str| query.split(['&', '=', '%']).any(|piece| piece.len() >= 8 && text.contains(piece));
        let message = if quoted(&message) { "reason hidden: it quotes the presigned URL".into() } else { message };
        let code = error.unwrap_or_default().code.chars().take(60).collect();
        Self { status, retry_after, host: host.to_owned(), code, message }
    }

    /// Whether a retry may succeed. S3 returns some network errors with status 400.
    fn is_transient(&self) -> bool {
        let of_the_line = ["RequestTimeout", "IncompleteBody", "BadDigest", "XAmzContentChecksumMismatch"];
        match self.status {
            408 | 425 | 429 => true,
            500..=599 => !matches!(self.status, 501 | 505 | 507),
            400 => of_the_line.contains(&&*self.code),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejection(status: u16, body: &str) -> StorageRejection {
        StorageRejection::read("s3.example", "X-Amz-Signature=CANARY0123", status, None, body)
    }

    #[test]
    fn only_the_message_of_the_storage_is_shown() {
        let xml = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message><X>sig=CANARY</X></Error>";
        assert_eq!(rejection(403, xml).message, "Request has expired");
        assert_eq!(rejection(403, "<html>oops</html>").message, "no reason given");
        assert_eq!(rejection(413, "too large").message, "too large");
        let with_url = rejection(400, "cannot PUT /x?X-Amz-Signature=CANARY0123");
        assert_eq!(with_url.message, "reason hidden: it quotes the presigned URL");
        assert_eq!(rejection(307, "").message, "redirects are not followed");
    }

    #[test]
    fn transient_errors_differ_from_permanent_rejections() {
        let with_code = |code: &str| rejection(400, &format!("<Error><Code>{code}</Code></Error>"));
        assert!(with_code("RequestTimeout").is_transient() && with_code("BadDigest").is_transient());
        assert!(!with_code("EntityTooLarge").is_transient());
        for status in [408, 429, 500, 502, 503, 504, 520] {
            assert!(rejection(status, "").is_transient(), "{status}");
        }
        for status in [301, 400, 401, 403, 404, 409, 411, 413, 501, 507] {
            assert!(!rejection(status, "").is_transient(), "{status}");
        }
        assert!(UploadError::Rejected(with_code("ExpiredToken")).needs_new_url());
    }
}
