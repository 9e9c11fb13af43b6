//! An S3-compatible object store that verifies signatures.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test binary uses only some of the helpers")]

use crate::support::fixtures::test_dir;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError};
use std::path::{Path, PathBuf};

/// The secret access key.
pub const SECRET: &str = "secret-canary";

/// The environment variables that configure a control plane to use the store.
pub fn variables<'a>(endpoint: &'a str, secret: &'a str) -> [(&'static str, &'a str); 4] {
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "key-of-the-bucket"),
        ("AWS_SECRET_ACCESS_KEY", secret),
        ("AWS_REGION", "us-east-1"),
    ]
}

/// Starts a store with the bucket `dumps`; returns its endpoint and its directory.
pub fn bucket() -> (String, PathBuf) {
    let root = test_dir();
    std::fs::create_dir(root.join("dumps")).expect("create bucket");
    let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(&root).expect("open store directory"));
    service.set_auth(SimpleAuth::from_single("key-of-the-bucket", SECRET));
    let service = service.build();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind a port");
    let address = listener.local_addr().expect("local address");
    listener.set_nonblocking(true).expect("set nonblocking mode");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("build runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("register listener");
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                let handler = service_fn(move |request| with_cors(service.clone(), request));
                let connection = hyper::server::conn::http1::Builder::new();
                let connection = connection.serve_connection(hyper_util::rt::TokioIo::new(stream), handler);
                tokio::spawn(async move { drop(connection.await) });
            }
        });
    });
    (format!("http://{address}"), root)
}

/// Adds the CORS headers that allow pages of other origins to upload.
async fn with_cors(service: S3Service, request: Request<Incoming>) -> Result<Response<Body>, HttpError> {
    let is_preflight = request.method() == Method::OPTIONS;
    let mut response =
        if is_preflight { Response::new(Body::empty()) } else { service.call(request.map(Body::from)).await? };
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "PUT"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "*"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "ETag"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// Objects in the store and parts of incomplete multipart uploads.
pub fn files(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).expect("list directory").flatten().map(|entry| entry.path());
    let all = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    all.filter(|path| !path.to_string_lossy().contains(".bucket-") && !path.to_string_lossy().ends_with(".json"))
        .collect()
}
