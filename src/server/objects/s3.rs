//! Object storage of the kind that Amazon invented. Dumps go there and come from there without
//! passing through us; we sign, ask and tidy.

use super::{ObjectError, URL_LIFE};
use crate::server::outbound::egress;
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

/// How long a URL works that we use ourselves at once.
const OWN_LIFE: Duration = Duration::from_mins(5);
/// An ordinary call; putting parts together takes longer.
const TIMEOUT: Duration = Duration::from_mins(4);
/// No block of an object that is fetched may take longer.
const STALL: Duration = Duration::from_mins(1);

/// A bucket, or a folder in one.
pub(crate) struct S3 {
    bucket: Bucket,
    credentials: Credentials,
    /// Stands before every key; empty or with a slash at its end.
    prefix: String,
    http: reqwest::Client,
}

impl S3 {
    /// Opens `s3://bucket/prefix`. Keys, region and endpoint come from the variables that all
    /// tools for S3 read.
    pub(crate) fn open(url: &str) -> anyhow::Result<Self> {
        let place = url.strip_prefix("s3://").context("name the object store as s3://bucket/prefix")?;
        let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let needed = |name: &str| variable(name).with_context(|| format!("{name} is not set"));
        let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")).unwrap_or("us-east-1".into());
        let (endpoint, style) = match variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL")) {
            Some(endpoint) => (endpoint, UrlStyle::Path),
            None => (format!("https://s3.{region}.amazonaws.com"), UrlStyle::VirtualHost),
        };
        let endpoint = endpoint.parse().context("AWS_ENDPOINT_URL is not a URL")?;
        let bucket =
            Bucket::new(endpoint, style, name.to_owned(), region).context("the object store cannot be used")?;
        let (key, secret) = (needed("AWS_ACCESS_KEY_ID")?, needed("AWS_SECRET_ACCESS_KEY")?);
        let credentials = match variable("AWS_SESSION_TOKEN") {
            Some(token) => Credentials::new_with_token(key, secret, token),
            None => Credentials::new(key, secret),
        };
        let http = egress::http().read_timeout(STALL).build()?;
        Ok(Self { bucket, credentials, prefix, http })
    }

    /// Whether the bucket is there and answers us.
    pub(crate) async fn check(&self) -> anyhow::Result<()> {
        let url = self.bucket.head_bucket(Some(&self.credentials)).sign(OWN_LIFE);
        let status = self.http.head(url).timeout(TIMEOUT).send().await.map_err(lost)?.status().as_u16();
        let name = self.bucket.name();
        match status {
            200..300 => Ok(()),
            404 => anyhow::bail!("there is no bucket {name}"),
            403 => anyhow::bail!("the bucket {name} refuses this key, or does not let it list (s3:ListBucket)"),
            other => anyhow::bail!("the bucket {name} answered {other}"),
        }
    }

    /// Scheme, host and port of the bucket.
    pub(crate) fn origin(&self) -> String {
        self.bucket.base_url().origin().ascii_serialization()
    }

    fn object(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// A URL that takes one `PUT` of the object, or of a part of an upload.
    pub(crate) fn url(&self, key: &str, part: Option<(u32, &str)>) -> String {
        let object = self.object(key);
        let credentials = Some(&self.credentials);
        let url = match part {
            None => self.bucket.put_object(credentials, &object).sign(URL_LIFE),
            Some((number, upload)) => {
                let number = u16::try_from(number).unwrap_or(u16::MAX); // there are at most 10,000
                SignedPart::new(&self.bucket, credentials, &object, number, upload).sign(URL_LIFE)
            }
        };
        url.to_string()
    }

    /// Begins an upload in parts, and gives the name that storage has for it.
    pub(crate) async fn begin(&self, key: &str) -> Result<String, ObjectError> {
        let object = self.object(key);
        let action = CreateMultipartUpload::new(&self.bucket, Some(&self.credentials), &object);
        let answer = self.call(self.http.post(action.sign(OWN_LIFE))).await?;
        S3Upload::parse(&answer)
            .map(|upload| upload.upload_id)
            .ok_or_else(|| unexpected("the response has no upload id"))
    }

    /// The parts that have arrived, in order.
    pub(crate) async fn parts(&self, key: &str, upload: &str) -> Result<Vec<UploadPart>, ObjectError> {
        let (object, mut parts, mut after) = (self.object(key), Vec::new(), None);
        loop {
            let mut action = ListParts::new(&self.bucket, Some(&self.credentials), &object, upload);
            if let Some(after) = after {
                action.set_part_number_marker(after);
            }
            let answer = self.call(self.http.get(action.sign(OWN_LIFE))).await?;
            let page = S3Parts::parse(&answer).ok_or_else(|| unexpected("the list of parts cannot be read"))?;
            let next = page.next_page().filter(|next| Some(*next) > after);
            parts.extend(page.into_parts());
            if next.is_none() {
                parts.sort_unstable_by_key(|part| part.part_number);
                return Ok(parts);
            }
            after = next;
        }
    }

    /// Makes an object of the parts, whose entity tags are named in order.
    pub(crate) async fn complete(&self, key: &str, upload: &str, tags: &[String]) -> Result<(), ObjectError> {
        let object = self.object(key);
        let tags = tags.iter().map(String::as_str);
        let action = CompleteMultipartUpload::new(&self.bucket, Some(&self.credentials), &object, upload, tags);
        let url = action.sign(OWN_LIFE);
        // Success is told before it is known; the body says how it went.
        let answer = self.call(self.http.post(url).body(action.body())).await?;
        match S3Error::parse(&answer) {
            None => Ok(()),
            Some(error) => Err(unexpected(&error.code)),
        }
    }

    /// Length of an object in bytes; `None` when it is not there.
    pub(crate) async fn size(&self, key: &str) -> Result<Option<u64>, ObjectError> {
        let object = self.object(key);
        let url = self.bucket.head_object(Some(&self.credentials), &object).sign(OWN_LIFE);
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

    /// Copies an object of this length in bytes into a file that this user reads. One that has
    /// become another since it was looked at is not taken.
    pub(crate) async fn fetch(&self, key: &str, size: u64, path: &Path, user: Option<&RunAs>) -> anyhow::Result<()> {
        let object = self.object(key);
        let url = self.bucket.get_object(Some(&self.credentials), &object).sign(URL_LIFE);
        let mut answer = self.http.get(url).send().await.map_err(lost)?;
        if !answer.status().is_success() {
            anyhow::bail!("object storage answered {} to the dump's key", answer.status().as_u16());
        }
        let mut file = io::BufWriter::with_capacity(1 << 20, private_file(path, user)?);
        let mut stored = 0;
        while let Some(block) = answer.chunk().await.map_err(lost)? {
            stored += block.len() as u64;
            if stored > size {
                anyhow::bail!("the dump is longer than it was when the import began");
            }
            tokio::task::block_in_place(|| file.write_all(&block))?;
        }
        file.flush()?;
        if stored != size {
            anyhow::bail!("object storage cut the dump off, or it is another one by now");
        }
        Ok(())
    }

    /// Removes an object, and an upload of it that is not complete; what is gone already is fine.
    pub(crate) async fn delete(&self, key: &str, upload: Option<&str>) -> Result<(), ObjectError> {
        let object = self.object(key);
        let credentials = Some(&self.credentials);
        if let Some(upload) = upload {
            let url = AbortMultipartUpload::new(&self.bucket, credentials, &object, upload).sign(OWN_LIFE);
            match self.call(self.http.delete(url)).await {
                Ok(_) | Err(ObjectError::NoUpload) => {}
                Err(error) => return Err(error),
            }
        }
        match self.call(self.http.delete(self.bucket.delete_object(credentials, &object).sign(OWN_LIFE))).await {
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

/// What went wrong, without the URL, which is a secret.
fn lost(error: reqwest::Error) -> ObjectError {
    ObjectError::Storage(io::Error::other(error.without_url()))
}

fn unexpected(what: &str) -> ObjectError {
    ObjectError::Storage(io::Error::other(format!("object storage: {what}")))
}
