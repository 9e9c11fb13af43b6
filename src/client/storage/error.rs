use crate::client::CallError;
use crate::util::format::printable;
use crate::wire::S3Error;
use std::io;
use std::time::Duration;

/// Why an upload failed. No message holds a presigned URL.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// Reading the file failed.
    #[error("cannot read the dump: {0}")]
    Read(io::Error),
    /// The file is not what it was.
    #[error("the dump changed while it was being sent; let whatever writes it finish, then try again")]
    Changed,
    /// Its name leads to another file now.
    #[error("the dump was replaced by another file while it was being sent")]
    Replaced,
    /// The connection failed or stood still: host and cause.
    #[error("the upload to {0} broke off: {1}")]
    Broken(String, String),
    /// No connection that can be trusted: host and cause.
    #[error("no secure connection to {0}: {1}")]
    Tls(String, String),
    /// No way leads there: host and cause.
    #[error("no way to {0}: {1}")]
    Unreachable(String, String),
    /// Storage said no.
    #[error("{0}")]
    Rejected(StorageRejection),
    /// Storage holds something else than was sent.
    #[error("storage at {0} received something else than was sent (the checksums differ)")]
    Damaged(String),
    /// No object store takes so much in one request, and nothing else is offered.
    #[error("object stores take at most 5 GB in one request, and this control plane does not take the dump in parts")]
    TooLargeForOne(u64),
    /// What the control plane gave cannot be used.
    #[error("the control plane gave an upload that cannot be used: {0}")]
    Unusable(String),
    /// The control plane did not do its part.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// An answer of storage outside 2xx.
#[derive(Debug, thiserror::Error)]
#[error("storage at {host} refused the upload with status {status}: {words}")]
pub struct StorageRejection {
    /// The HTTP status.
    pub status: u16,
    /// How long storage asked to wait.
    pub retry_after: Option<Duration>,
    pub(super) host: String,
    /// What S3 calls the kind of error.
    pub(super) code: String,
    pub(super) words: String,
}

impl UploadError {
    /// Whether the same may work a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Broken(..) | Self::Damaged(_) => true,
            Self::Rejected(rejection) => rejection.is_transient(),
            Self::Call(error) => error.is_transient(),
            _ => false,
        }
    }

    /// Whether the presigned URL has expired or does not work: another one may.
    pub fn wants_another_url(&self) -> bool {
        match self {
            Self::Rejected(rejection) => rejection.status == 403 || rejection.code == "ExpiredToken",
            _ => false,
        }
    }

    /// How long storage asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rejected(rejection) => rejection.retry_after,
            Self::Call(error) => error.retry_after(),
            _ => None,
        }
    }
}

impl StorageRejection {
    /// Reads an answer to a request with this query. The body may quote the request, so only
    /// its sentence and code are taken, and not even those when they hold a part of the secret.
    pub(super) fn read(host: &str, query: &str, status: u16, retry_after: Option<Duration>, body: &str) -> Self {
        let error = S3Error::parse(body);
        let words = match &error {
            Some(error) if !error.message.is_empty() => printable(&error.message, 200),
            Some(error) => printable(&error.code, 60),
            _ if (300..400).contains(&status) => "it redirects the upload, which is not followed".into(),
            _ if body.contains('<') || body.trim().is_empty() => "it gave no reason".into(),
            _ => printable(body, 200),
        };
        let quoted = |text: &str| query.split(['&', '=', '%']).any(|piece| piece.len() >= 8 && text.contains(piece));
        let words = if quoted(&words) { "it gave no reason that can be shown".into() } else { words };
        let code = error.unwrap_or_default().code.chars().take(60).collect();
        Self { status, retry_after, host: host.to_owned(), code, words }
    }

    /// S3 tells with status 400 of some faults that are of the line, not of the request.
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

/// The TLS library's own error inside others. Errors of the system hide what they were made of.
pub(super) fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejection(status: u16, body: &str) -> StorageRejection {
        StorageRejection::read("s3.example", "X-Amz-Signature=CANARY0123", status, None, body)
    }

    #[test]
    fn only_the_sentence_of_storage_is_shown() {
        let xml = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message><X>sig=CANARY</X></Error>";
        assert_eq!(rejection(403, xml).words, "Request has expired");
        assert_eq!(rejection(403, "<html>oops</html>").words, "it gave no reason");
        assert_eq!(rejection(413, "too large").words, "too large");
        let quoting = rejection(400, "cannot PUT /x?X-Amz-Signature=CANARY0123");
        assert_eq!(quoting.words, "it gave no reason that can be shown");
        assert_eq!(rejection(307, "").words, "it redirects the upload, which is not followed");
    }

    #[test]
    fn faults_of_the_line_are_told_from_refusals() {
        let coded = |code: &str| rejection(400, &format!("<Error><Code>{code}</Code></Error>"));
        assert!(coded("RequestTimeout").is_transient() && coded("BadDigest").is_transient());
        assert!(!coded("EntityTooLarge").is_transient());
        for status in [408, 429, 500, 502, 503, 504, 520] {
            assert!(rejection(status, "").is_transient(), "{status}");
        }
        for status in [301, 400, 401, 403, 404, 409, 411, 413, 501, 507] {
            assert!(!rejection(status, "").is_transient(), "{status}");
        }
        assert!(UploadError::Rejected(coded("ExpiredToken")).wants_another_url());
    }

    #[test]
    fn an_error_of_tls_is_found_inside_others() {
        let error = io::Error::other(io::Error::other(rustls::Error::DecryptError));
        assert!(tls_error(&error).is_some() && tls_error(&io::Error::other("x")).is_none());
    }
}
