//! The S3 XML types that uploads need.

use super::UploadPart;
use serde::{Deserialize, Serialize};

/// An S3 error response ("Error Responses" in the Amazon S3 API reference). A response with
/// status 200 may also contain one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "Error", rename_all = "PascalCase")]
pub struct S3Error {
    /// Error code, such as `NoSuchUpload`.
    #[serde(default)]
    pub code: String,
    /// Error message.
    #[serde(default)]
    pub message: String,
}

impl S3Error {
    /// Parses a response body; `None` if it is not an S3 error.
    pub fn parse(body: &str) -> Option<Self> {
        let error: Self = quick_xml::de::from_str(body).ok()?;
        (error != Self::default()).then_some(error)
    }

    /// Serializes the error as a response body.
    pub fn to_xml(&self) -> String {
        let error = quick_xml::se::to_string(self).unwrap_or_default(); // two strings always serialize
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{error}")
    }
}

/// The response to `CreateMultipartUpload`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct S3Upload {
    /// S3's id of the upload.
    pub upload_id: String,
}

impl S3Upload {
    /// Parses a response body.
    pub fn parse(body: &str) -> Option<Self> {
        quick_xml::de::from_str(body).ok()
    }
}

/// One page of the response to `ListParts`. Some stores omit fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct S3Parts {
    #[serde(rename = "Part")]
    listed: Vec<S3Part>,
    is_truncated: bool,
    /// Empty in the responses of some stores.
    next_part_number_marker: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct S3Part {
    part_number: u32,
    size: u64,
    #[serde(rename = "ETag", default)]
    etag: Option<String>,
    #[serde(rename = "ChecksumCRC64NVME", default)]
    crc64nvme: Option<String>,
}

impl S3Parts {
    /// Parses a response body; `None` if it is not a list of parts.
    pub fn parse(body: &str) -> Option<Self> {
        quick_xml::de::from_str(body).ok()
    }

    /// The marker of the next page; `None` on the last one.
    pub fn next_page(&self) -> Option<u16> {
        self.next_part_number_marker.parse().ok().filter(|_| self.is_truncated)
    }

    /// The parts of this page.
    pub fn into_parts(self) -> impl Iterator<Item = UploadPart> {
        self.listed.into_iter().map(|part| UploadPart {
            part_number: part.part_number,
            size_bytes: part.size,
            etag: part.etag,
            checksum_crc64nvme: part.crc64nvme,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_list_of_parts_is_parsed() {
        let xml = "<?xml version=\"1.0\"?><ListPartsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><UploadId>u</UploadId>\
            <Part><PartNumber>2</PartNumber><ETag>&quot;ab&quot;</ETag><Size>5</Size></Part>\
            <Part><PartNumber>1</PartNumber><Size>8388608</Size></Part><IsTruncated>false</IsTruncated></ListPartsResult>";
        let page = S3Parts::parse(xml).expect("a valid list");
        assert_eq!(page.next_page(), None);
        let parts: Vec<_> = page.into_parts().collect();
        assert_eq!((parts[0].part_number, parts[0].size_bytes, parts[0].etag.as_deref()), (2, 5, Some("\"ab\"")));
        assert_eq!((parts[1].part_number, parts[1].size_bytes, parts[1].etag.as_deref()), (1, 8_388_608, None));
    }

    #[test]
    fn a_truncated_list_has_a_next_page() {
        let xml = "<ListPartsResult><NextPartNumberMarker>1000</NextPartNumberMarker><IsTruncated>true</IsTruncated>\
                   <Part><PartNumber>1</PartNumber><Size>1</Size></Part><MaxParts>1000</MaxParts></ListPartsResult>";
        assert_eq!(S3Parts::parse(xml).and_then(|page| page.next_page()), Some(1000));
        let last = "<ListPartsResult><NextPartNumberMarker/><IsTruncated>true</IsTruncated></ListPartsResult>";
        assert_eq!(S3Parts::parse(last).map(|page| page.next_page()), Some(None));
    }

    #[test]
    fn an_error_survives_a_round_trip() {
        let error = S3Error { code: "NoSuchUpload".into(), message: "It's <gone> & over".into() };
        assert_eq!(S3Error::parse(&error.to_xml()), Some(error));
        let success = "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>";
        assert_eq!(S3Error::parse(success), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic(text in "(<Part>|<Error>|<Code>|</|[0-9<>a-z&;é]){0,60}") {
            let _ = (S3Parts::parse(&text), S3Error::parse(&text), S3Upload::parse(&text));
        }
    }
}
