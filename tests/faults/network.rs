//! Connections to storage: TLS, proxies, IPv6, HTTP/2, rate limits and request size limits.

use crate::support::mock_http::{MockServer, Request, Response};
use crate::support::{Ran, capydb, run};
use crate::{KEY, success_response, temp_dir, write_dump};
use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A control plane whose uploads go to this URL.
fn control_plane(url: String) -> MockServer {
    MockServer::start(move |mock_http, request, _| {
        if request.line() != "POST /v1/projects/p1/imports/uploads" {
            return success_response(mock_http, request);
        }
        let slot = format!(r#"{{"upload":{{"object_key":"k","upload_url":"{url}"}}}}"#);
        Response::Json(201, slot)
    })
}

fn run_import(mock_http: &MockServer, file: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = capydb(&["import", "--file", file]);
    command.args(arguments).env("CAPYDB_API_URL", mock_http.api_url()).env("CAPYDB_API_KEY", KEY);
    command.env_remove("SSL_CERT_FILE").envs(variables.iter().copied());
    run(command)
}

/// A self-signed certificate for a name: the PEM file to trust and the server configuration.
fn self_signed(dir: &Path, name: &str, protocols: &[&str]) -> (PathBuf, Arc<ServerConfig>) {
    let key = KeyPair::generate().expect("generate a key");
    let cert = CertificateParams::new(vec![name.to_owned()]).expect("valid name").self_signed(&key).expect("sign");
    let trusted = dir.join("trusted.pem");
    std::fs::write(&trusted, cert.pem()).expect("write the certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("TLS versions");
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let mut config = config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).expect("valid key");
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    (trusted, Arc::new(config))
}

/// Storage over TLS that keeps the last body and counts connections.
struct TlsStorage {
    port: u16,
    trusted: PathBuf,
    stored: Arc<Mutex<Vec<u8>>>,
    connections: Arc<Mutex<usize>>,
}

impl TlsStorage {
    fn start(dir: &Path, name: &str, protocols: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind a port");
        let (trusted, config) = self_signed(dir, name, protocols);
        let port = listener.local_addr().expect("local address").port();
        let storage = Self { port, trusted, stored: Arc::default(), connections: Arc::default() };
        let (stored, connections) = (storage.stored.clone(), storage.connections.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                *connections.lock().expect("not poisoned") += 1;
                let (config, stored) = (config.clone(), stored.clone());
                std::thread::spawn(move || {
                    let connection = ServerConnection::new(config).expect("create a connection");
                    let mut stream = StreamOwned::new(connection, stream);
                    if let Some(body) = read_put(&mut stream) {
                        *stored.lock().expect("not poisoned") = body;
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                        let _ = stream.flush();
                    }
                });
            }
        });
        storage
    }

    fn connections(&self) -> usize {
        *self.connections.lock().expect("not poisoned")
    }

    fn variables(&self) -> [(&str, &str); 1] {
        [("SSL_CERT_FILE", self.trusted.to_str().expect("UTF-8 path"))]
    }
}

/// Reads a PUT request and returns its body.
fn read_put(stream: &mut impl Read) -> Option<Vec<u8>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

#[test]
fn a_private_ca_is_trusted_through_ssl_cert_file() {
    let dir = temp_dir();
    let file = write_dump(&dir);
    let storage = TlsStorage::start(dir.path(), "localhost", &[]);
    let mock_http = control_plane(format!("https://localhost:{}/put?signature=canary_signature", storage.port));
    run_import(&mock_http, &file, &[], &storage.variables()).succeeds();
    assert_eq!(*storage.stored.lock().expect("not poisoned"), std::fs::read(&file).expect("read the dump"));
    let before = storage.connections();
    let ran = run_import(&mock_http, &file, &["-v"], &[])
        .fails(1, "cannot establish a secure connection to localhost: invalid peer certificate");
    assert!(ran.stderr.contains("SSL_CERT_FILE") && !ran.stderr.contains("canary"), "{ran:#?}");
    assert_eq!(storage.connections(), before + 1, "a certificate error is not retried");
}

#[test]
fn a_certificate_for_another_name_is_rejected_without_retries() {
    let dir = temp_dir();
    let storage = TlsStorage::start(dir.path(), "other.example", &[]);
    let mock_http = control_plane(format!("https://localhost:{}/put", storage.port));
    run_import(&mock_http, &write_dump(&dir), &[], &storage.variables())
        .fails(1, "cannot establish a secure connection to localhost: ");
    assert_eq!(storage.connections(), 1);
}

#[test]
fn http2_only_storage_is_supported() {
    let dir = temp_dir();
    let file = write_dump(&dir);
    let storage = Http2Storage::start(dir.path());
    let mock_http = control_plane(format!("https://localhost:{}/put", storage.port));
    run_import(&mock_http, &file, &[], &[("SSL_CERT_FILE", storage.trusted.to_str().expect("UTF-8 path"))]).succeeds();
    assert_eq!(*storage.stored.lock().expect("not poisoned"), std::fs::read(&file).expect("read the dump"));
}

/// Storage over HTTP/2 that keeps the last body.
struct Http2Storage {
    port: u16,
    trusted: PathBuf,
    stored: Arc<Mutex<Vec<u8>>>,
}

impl Http2Storage {
    fn start(dir: &Path) -> Self {
        let (trusted, config) = self_signed(dir, "localhost", &["h2"]);
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind a port");
        let port = listener.local_addr().expect("local address").port();
        let stored = Arc::new(Mutex::new(Vec::new()));
        let received = stored.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("build a runtime");
            runtime.block_on(serve_http2(listener, config, received));
        });
        Self { port, trusted, stored }
    }
}

async fn serve_http2(listener: TcpListener, config: Arc<ServerConfig>, stored: Arc<Mutex<Vec<u8>>>) {
    use hyper::body::Body;
    listener.set_nonblocking(true).expect("set nonblocking mode");
    let listener = tokio::net::TcpListener::from_std(listener).expect("register the listener");
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(stream) = tokio_rustls::TlsAcceptor::from(config.clone()).accept(stream).await else { continue };
        let stored = stored.clone();
        let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let stored = stored.clone();
            async move {
                let mut body = std::pin::pin!(request.into_body());
                let mut bytes = Vec::new();
                while let Some(Ok(frame)) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
                    bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
                }
                *stored.lock().expect("not poisoned") = bytes;
                Ok::<_, std::convert::Infallible>(hyper::Response::new(String::new()))
            }
        });
        let executor = hyper_util::rt::TokioExecutor::new();
        let connection = hyper::server::conn::http2::Builder::new(executor);
        tokio::spawn(
            async move { drop(connection.serve_connection(hyper_util::rt::TokioIo::new(stream), service).await) },
        );
    }
}

/// A proxy that tunnels CONNECT and forwards plain HTTP, always to `upstream`. Returns its address and the
/// request heads.
fn proxy(upstream: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind a port");
    let address = listener.local_addr().expect("local address").to_string();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let recorded = requests.clone();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && client.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            let text = String::from_utf8_lossy(&head).into_owned();
            recorded.lock().expect("not poisoned").push(text.clone());
            let mut server = TcpStream::connect(&upstream).expect("connect to storage");
            if text.starts_with("CONNECT ") {
                client.write_all(b"HTTP/1.1 200 Established\r\n\r\n").expect("send the response");
            } else {
                server.write_all(&head).expect("forward the head");
            }
            let (mut from_client, mut from_server) =
                (client.try_clone().expect("clone the stream"), server.try_clone().expect("clone the stream"));
            std::thread::spawn(move || std::io::copy(&mut from_client, &mut server));
            std::thread::spawn(move || std::io::copy(&mut from_server, &mut client));
        }
    });
    (address, requests)
}

#[test]
fn https_proxy_and_no_proxy_are_honored() {
    let dir = temp_dir();
    let file = write_dump(&dir);
    let storage = TlsStorage::start(dir.path(), "storage.example", &[]);
    let (address, requests) = proxy(format!("127.0.0.1:{}", storage.port));
    let mock_http = control_plane("https://storage.example/put?signature=canary_signature".into());
    let [trusted] = storage.variables();
    let proxy_url = format!("http://user:canary@{address}");
    run_import(&mock_http, &file, &[], &[trusted, ("HTTPS_PROXY", &proxy_url)]).succeeds();
    assert_eq!(*storage.stored.lock().expect("not poisoned"), std::fs::read(&file).expect("read the dump"));
    let head = requests.lock().expect("not poisoned").remove(0);
    assert!(head.starts_with("CONNECT storage.example:443 ") && head.contains("Basic dXNlcjpjYW5hcnk="), "{head}");
    // The name does not resolve on this machine, so the upload fails without the proxy.
    let variables = [trusted, ("HTTPS_PROXY", &*proxy_url), ("NO_PROXY", "storage.example")];
    let mut command = capydb(&["import", "--file", &file]);
    command.env("CAPYDB_API_URL", mock_http.api_url()).env("CAPYDB_API_KEY", KEY).envs(variables);
    let mut child = command.spawn().expect("run capydb");
    let mut stderr = std::io::BufReader::new(child.stderr.take().expect("piped stderr"));
    let warning =
        std::io::BufRead::lines(&mut stderr).map_while(Result::ok).find(|line| line.contains("attempt 2 of 6"));
    child.kill().expect("kill capydb");
    child.wait().expect("wait for capydb");
    let warning = warning.expect("the upload is retried");
    assert!(warning.contains("storage.example was interrupted") && !warning.contains("canary"), "{warning}");
    assert!(requests.lock().expect("not poisoned").is_empty(), "the proxy is bypassed");
}

#[test]
fn a_plain_http_proxy_receives_the_absolute_url() {
    let dir = temp_dir();
    let file = write_dump(&dir);
    let storage = MockServer::start(|_, _: &Request, _| Response::Raw(200, "X: y", String::new()));
    let (address, requests) = proxy(storage.address.clone());
    let mock_http = control_plane("http://storage.example/put?x=1".into());
    run_import(
        &mock_http,
        &file,
        &[],
        &[("HTTP_PROXY", &format!("http://{address}")), ("http_proxy", &format!("http://{address}"))],
    )
    .succeeds();
    let head = requests.lock().expect("not poisoned").remove(0);
    assert!(head.starts_with("PUT http://storage.example/put?x=1 HTTP/1.1\r\n"), "{head}");
    assert_eq!(storage.lines(), ["PUT http://storage.example/put"]);
}

#[test]
fn an_unreachable_proxy_is_named_without_its_password() {
    let dir = temp_dir();
    let mock_http = control_plane("https://storage.example/put".into());
    let mut command = capydb(&["import", "--file", &write_dump(&dir)]);
    command.env("CAPYDB_API_URL", mock_http.api_url()).env("CAPYDB_API_KEY", KEY);
    let mut child = command.env("HTTPS_PROXY", "http://user:canary@127.0.0.1:9").spawn().expect("run capydb");
    let mut stderr = std::io::BufReader::new(child.stderr.take().expect("piped stderr"));
    let warning =
        std::io::BufRead::lines(&mut stderr).map_while(Result::ok).find(|line| line.contains("attempt 2 of 6"));
    child.kill().expect("kill capydb");
    child.wait().expect("wait for capydb");
    let warning = warning.expect("the upload is retried");
    assert!(warning.contains("the proxy 127.0.0.1:9: Connection refused") && !warning.contains("canary"), "{warning}");
}

#[test]
fn ipv6_storage_is_supported() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        return crate::support::skip("ipv6", "this machine has no IPv6");
    };
    let port = listener.local_addr().expect("local address").port();
    let dir = temp_dir();
    let file = write_dump(&dir);
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accept a connection");
        let body = read_put(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("send the response");
        body
    });
    run_import(&control_plane(format!("http://[::1]:{port}/put")), &file, &[], &[]).succeeds();
    assert_eq!(server.join().expect("the server thread finishes"), Some(std::fs::read(&file).expect("read the dump")));
}

#[test]
fn rate_limits_are_respected_and_invalid_values_rejected() {
    let dir = temp_dir();
    let path = dir.path().join("app.sql");
    std::fs::write(&path, format!("CREATE TABLE t (x int);\n{}\n", "-".repeat(1_000_000))).expect("write the dump");
    let mock_http = MockServer::start(|mock_http, request, _| success_response(mock_http, request));
    let started = Instant::now();
    // Pauses of the rate limit do not count as a stall.
    run_import(&mock_http, path.to_str().expect("UTF-8 path"), &["--limit-rate", "500K", "--stall-timeout", "1s"], &[])
        .succeeds();
    let elapsed = started.elapsed();
    assert!((Duration::from_millis(1700)..Duration::from_secs(20)).contains(&elapsed), "{elapsed:?}");
    for (arguments, message) in [
        (["--limit-rate", "fast"], "expected a size such as 20M"),
        (["--limit-rate", "10"], "the minimum is 1K"),
        (["--stall-timeout", "10ms"], "the minimum is 1s"),
        (["--upload-concurrency", "0"], "0 is not in 1..=16"),
    ] {
        run_import(&mock_http, path.to_str().expect("UTF-8 path"), &arguments, &[]).fails(2, message);
    }
}

#[test]
fn a_dump_over_5_gb_without_multipart_uploads_is_rejected() {
    let dir = temp_dir();
    let path = dir.path().join("app.dump");
    crate::support::archive::write_sparse(&path, (5 << 30) + 1);
    let mock_http = MockServer::start(|mock_http, request, _| match request.line().as_str() {
        "GET /v1/projects" => {
            let project = r#"{"id":"p1","name":"Shop","slug":"shop","storage_limit_bytes":100000000000}"#;
            Response::Json(200, format!(r#"{{"projects":[{project}]}}"#))
        }
        _ => success_response(mock_http, request),
    });
    let ran = run_import(&mock_http, path.to_str().expect("UTF-8 path"), &[], &[])
        .fails(5, "the dump exceeds 5 GB, the limit for one request, and this control plane has no multipart uploads");
    assert!(ran.stderr.contains("--source-url"), "{ran:#?}");
    assert!(!mock_http.lines().iter().any(|line| line.starts_with("PUT")), "no upload is sent");
}
