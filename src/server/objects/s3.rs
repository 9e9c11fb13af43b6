//! Object storage in an S3 bucket. Clients upload directly to the bucket with presigned URLs; the
//! control plane signs, lists, completes and deletes.

use super::{ObjectError, URL_LIFETIME};
use crate::server::egress;
use crate::server::postgres::{RunAs, private_file};
use crate::util::format::printable;
use crate::wire::{S3Error, S3Parts, S3Upload, UploadPart};
use anyhow::Context;
use rusty_s3::actions::{
    AbortMultipartUpload, CompleteMultipartUpload, CreateMultipartUpload, ListParts, UploadPart as SignedPart,
};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// Validity of presigned URLs that we use ourselves, immediately.
const INTERNAL_URL_LIFETIME: Duration = Duration::from_mins(5);
/// Timeout of a request; completing a multipart upload takes the longest.
const TIMEOUT: Duration = Duration::from_mins(4);
/// Timeout for the next block of a download.
const STALL: Duration = Duration::from_mins(1);

/// A bucket, or a prefix in one.
pub(crate) struct S3 {
    bucket: Bucket,
    credentials: Credentials,
    /// Prefix of every key: empty, or with a trailing slash.
    prefix: String,
    http: reqwest::Client,
}

impl S3 {
    /// Opens `s3://bucket/prefix`. Credentials, region and endpoint come from the standard AWS
    /// environment variables.
    pub(crate) fn open(url: &str) -> anyhow::Result<Self> {
        let location =
            url.strip_prefix("s3://").context("the object store must be a URL such as s3://bucket/prefix")?;
        let (name, prefix) = location.split_once('/').unwrap_or((location, ""));
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let required = |name: &str| variable(name).with_context(|| format!("{name} is not set"));
        let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")).unwrap_or("us-east-1".into());
        let (endpoint, style) = match variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL")) {
            Some(endpoint) => (endpoint, UrlStyle::Path),
            None => (format!("https://s3.{region}.amazonaws.com"), UrlStyle::VirtualHost),
        };
        let endpoint = endpoint.parse().context("AWS_ENDPOINT_URL is not a valid URL")?;
        let bucket =
            Bucket::new(endpoint, style, name.to_owned(), region).context("the object store URL is invalid")?;
        let (key, secret) = (required("AWS_ACCESS_KEY_ID")?, required("AWS_SECRET_ACCESS_KEY")?);
        let credentials = match variable("AWS_SESSION_TOKEN") {
            Some(token) => Credentials::new_with_token(key, secret, token),
            None => Credentials::new(key, secret),
        };
        let http = egress::http().read_timeout(STALL).build()?;
        Ok(Self { bucket, credentials, prefix, http })
    }

    /// Checks that the bucket exists and accepts our credentials.
    pub(crate) async fn check(&self) -> anyhow::Result<()> {
        let url = self.bucket.head_bucket(Some(&self.credentials)).sign(INTERNAL_URL_LIFETIME);
        let status = self.http.head(url).timeout(TIMEOUT).send().await.map_err(lost)?.status().as_u16();
        let name = self.bucket.name();
        match status {
            200..300 => Ok(()),
            404 => anyhow::bail!("bucket not found: {name}"),
            403 => anyhow::bail!(
                "access to the bucket {name} denied; check the credentials and the permission s3:ListBucket"
            ),
            other => anyhow::bail!("the bucket {name} returned HTTP status {other}"),
        }
    }

    /// Origin of the bucket: scheme, host and port.
    pub(crate) fn origin(&self) -> String {
        self.bucket.base_url().origin().ascii_serialization()
    }

    fn object(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// A presigned URL for a `PUT` of the object, or of a part of an upload.
    pub(crate) fn url(&self, key: &str, part: Option<(u32, &str)>) -> String {
        let object = self.object(key);
        let credentials = Some(&self.credentials);
        let url = match part {
            None => self.bucket.put_object(credentials, &object).sign(URL_LIFETIME),
            Some((number, upload)) => {
                let number = u16::try_from(number).unwrap_or(u16::MAX); // there are at most 10,000
                SignedPart::new(&self.bucket, credentials, &object, number, upload).sign(URL_LIFETIME)
            }
        };
        url.to_string()
    }

    /// Starts a multipart upload, and returns its id.
    pub(crate) async fn begin(&self, key: &str) -> Result<String, ObjectError> {
        let object = self.object(key);
        let action = CreateMultipartUpload::new(&self.bucket, Some(&self.credentials), &object);
        let answer = self.call(self.http.post(action.sign(INTERNAL_URL_LIFETIME))).await?;
        S3Upload::parse(&answer)
            .map(|upload| upload.upload_id)
            .ok_or_else(|| unexpected("the response has no upload id"))
    }

    /// The uploaded parts, in order.
    pub(crate) async fn parts(&self, key: &str, upload: &str) -> Result<Vec<UploadPart>, ObjectError> {
        let (object, mut parts, mut after) = (self.object(key), Vec::new(), None);
        loop {
            let mut action = ListParts::new(&self.bucket, Some(&self.credentials), &object, upload);
            if let Some(after) = after {
                action.set_part_number_marker(after);
            }
            let answer = self.call(self.http.get(action.sign(INTERNAL_URL_LIFETIME))).await?;
            let page = S3Parts::parse(&answer).ok_or_else(|| unexpected("the list of parts is invalid"))?;
            let next = page.next_page().filter(|next| Some(*next) > after);
            parts.extend(page.into_parts());
            if next.is_none() {
                parts.sort_unstable_by_key(|part| part.part_number);
                return Ok(parts);
            }
            after = next;
        }
    }

    /// Completes a multipart upload from its parts, given by their entity tags in order.
    pub(crate) async fn complete(&self, key: &str, upload: &str, tags: &[String]) -> Result<(), ObjectError> {
        let object = self.object(key);
        let tags = tags.iter().map(String::as_str);
        let action = CompleteMultipartUpload::new(&self.bucket, Some(&self.credentials), &object, upload, tags);
        let url = action.sign(INTERNAL_URL_LIFETIME);
        // S3 sends status 200 before it has finished; the body contains the result.
        let answer = self.call(self.http.post(url).body(action.body())).await?;
        match S3Error::parse(&answer) {
            None => Ok(()),
            Some(error) => Err(unexpected(&error.code)),
        }
    }

    /// Size of an object in bytes; `None` if it does not exist.
    pub(crate) async fn size(&self, key: &str) -> Result<Option<u64>, ObjectError> {
        let object = self.object(key);
        let url = self.bucket.head_object(Some(&self.credentials), &object).sign(INTERNAL_URL_LIFETIME);
        let answer = self.http.head(url).timeout(TIMEOUT).send().await.map_err(lost)?;
        match answer.status().as_u16() {
            404 => Ok(None),
            200 => {
                let length = answer.headers().get(reqwest::header::CONTENT_LENGTH);
                let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
                length.map(Some).ok_or_else(|| unexpected("the response has no length"))
            }
            other => Err(unexpected(&format!("status {other}"))),
        }
    }

    /// Downloads an object of this size in bytes to a file that only this user can read. Fails if the
    /// size has changed.
    pub(crate) async fn fetch(&self, key: &str, size: u64, path: &Path, user: Option<&RunAs>) -> anyhow::Result<()> {
        let object = self.object(key);
        let url = self.bucket.get_object(Some(&self.credentials), &object).sign(URL_LIFETIME);
        let mut answer = self.http.get(url).send().await.map_err(lost)?;
        if !answer.status().is_success() {
            anyhow::bail!("object storage returned HTTP status {} for the dump", answer.status().as_u16());
        }
        let mut file = io::BufWriter::with_capacity(1 << 20, private_file(path, user)?);
        let mut stored = 0;
        while let Some(block) = answer.chunk().await.map_err(lost)? {
            stored += block.len() as u64;
            if stored > size {
                anyhow::bail!("the dump is longer than the completed upload");
            }
            tokio::task::block_in_place(|| file.write_all(&block))?;
        }
        file.flush()?;
        if stored != size {
            anyhow::bail!("the dump is shorter than the completed upload");
        }
        Ok(())
    }

    /// Removes an object and its incomplete upload; does nothing if they do not exist.
    pub(crate) async fn delete(&self, key: &str, upload: Option<&str>) -> Result<(), ObjectError> {
        let object = self.object(key);
        let credentials = Some(&self.credentials);
        if let Some(upload) = upload {
            let url = AbortMultipartUpload::new(&self.bucket, credentials, &object, upload).sign(INTERNAL_URL_LIFETIME);
            match self.call(self.http.delete(url)).await {
                Ok(_) | Err(ObjectError::NoUpload) => {}
                Err(error) => return Err(error),
            }
        }
        match self
            .call(self.http.delete(self.bucket.delete_object(credentials, &object).sign(INTERNAL_URL_LIFETIME)))
            .await
        {
            Ok(_) | Err(ObjectError::NoUpload) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn call(&self, request: reqwest::RequestBuilder) -> Result<String, ObjectError> {
        let answer = request.timeout(TIMEOUT).send().await.map_err(lost)?;
        let status = answer.status();
        let text = answer.text().await.map_err(lost)?;
        if status.is_success() {
            return Ok(text);
        }
        if status == reqwest::StatusCode::NOT_FOUND {
            return Err(ObjectError::NoUpload);
        }
        let code = S3Error::parse(&text).unwrap_or_default().code;
        Err(unexpected(&format!("status {}, {}", status.as_u16(), printable(&code, 60))))
    }
}

/// The error without the URL, whose signature is a secret.
fn lost(error: reqwest::Error) -> ObjectError {
    ObjectError::Storage(io::Error::other(error.without_url()))
}

fn unexpected(what: &str) -> ObjectError {
    ObjectError::Storage(io::Error::other(format!("object storage: {what}")))
}
