//! The roads to storage: TLS, proxies, IPv6, HTTP/2, slow lines.

use crate::support::mock_http::{Answer, Peer, Request};
use crate::support::{Ran, capydb, run};
use crate::{KEY, dump, folder, works};
use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A control plane whose slots lead to this URL.
fn control_plane(url: String) -> Peer {
    Peer::start(move |mock_http, request, _| {
        if request.line() != "POST /v1/projects/p1/imports/uploads" {
            return works(mock_http, request);
        }
        let slot = format!(r#"{{"upload":{{"object_key":"k","upload_url":"{url}"}}}}"#);
        Answer::Json(201, slot)
    })
}

fn send(mock_http: &Peer, file: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = capydb(&["import", "--file", file]);
    command.args(arguments).env("CAPYDB_API_URL", mock_http.api_url()).env("CAPYDB_API_KEY", KEY);
    command.env_remove("SSL_CERT_FILE").envs(variables.iter().copied());
    run(command)
}

/// A certificate for a name and what serves with it. The file is what is to be trusted.
fn certified(folder: &Path, name: &str, protocols: &[&str]) -> (PathBuf, Arc<ServerConfig>) {
    let key = KeyPair::generate().expect("a key");
    let cert = CertificateParams::new(vec![name.to_owned()]).expect("a name").self_signed(&key).expect("signs");
    let trusted = folder.join("trusted.pem");
    std::fs::write(&trusted, cert.pem()).expect("written");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let mut config = config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).expect("a key");
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    (trusted, Arc::new(config))
}

/// Storage that speaks TLS. It keeps what it gets.
struct Secure {
    port: u16,
    trusted: PathBuf,
    stored: Arc<Mutex<Vec<u8>>>,
    connections: Arc<Mutex<usize>>,
}

impl Secure {
    fn start(folder: &Path, name: &str, protocols: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (trusted, config) = certified(folder, name, protocols);
        let port = listener.local_addr().expect("an address").port();
        let secure = Self { port, trusted, stored: Arc::default(), connections: Arc::default() };
        let (stored, connections) = (secure.stored.clone(), secure.connections.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                *connections.lock().expect("whole") += 1;
                let (config, stored) = (config.clone(), stored.clone());
                std::thread::spawn(move || {
                    let connection = ServerConnection::new(config).expect("a connection");
                    let mut stream = StreamOwned::new(connection, stream);
                    if let Some(body) = put(&mut stream) {
                        *stored.lock().expect("whole") = body;
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                        let _ = stream.flush();
                    }
                });
            }
        });
        secure
    }

    fn connections(&self) -> usize {
        *self.connections.lock().expect("whole")
    }

    fn variables(&self) -> [(&str, &str); 1] {
        [("SSL_CERT_FILE", self.trusted.to_str().expect("a path"))]
    }
}

fn put(stream: &mut impl Read) -> Option<Vec<u8>> {
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
fn an_authority_of_ones_own_is_trusted_when_it_is_named() {
    let folder = folder();
    let file = dump(&folder);
    let storage = Secure::start(folder.path(), "localhost", &[]);
    let mock_http = control_plane(format!("https://localhost:{}/put?signature=canary_signature", storage.port));
    send(&mock_http, &file, &[], &storage.variables()).succeeds();
    assert_eq!(*storage.stored.lock().expect("whole"), std::fs::read(&file).expect("reads"));
    let before = storage.connections();
    let ran = send(&mock_http, &file, &["-v"], &[])
        .fails(1, "cannot establish a secure connection to localhost: invalid peer certificate");
    assert!(ran.stderr.contains("SSL_CERT_FILE") && !ran.stderr.contains("canary"), "{ran:#?}");
    assert_eq!(storage.connections(), before + 1, "trust does not come with time");
}

#[test]
fn a_certificate_for_another_name_is_refused_at_once() {
    let folder = folder();
    let storage = Secure::start(folder.path(), "other.example", &[]);
    let mock_http = control_plane(format!("https://localhost:{}/put", storage.port));
    send(&mock_http, &dump(&folder), &[], &storage.variables())
        .fails(1, "cannot establish a secure connection to localhost: ");
    assert_eq!(storage.connections(), 1);
}

#[test]
fn storage_that_speaks_http2_only_is_spoken_to() {
    let folder = folder();
    let file = dump(&folder);
    let storage = Http2::start(folder.path());
    let mock_http = control_plane(format!("https://localhost:{}/put", storage.port));
    send(&mock_http, &file, &[], &[("SSL_CERT_FILE", storage.trusted.to_str().expect("a path"))]).succeeds();
    assert_eq!(*storage.stored.lock().expect("whole"), std::fs::read(&file).expect("reads"));
}

struct Http2 {
    port: u16,
    trusted: PathBuf,
    stored: Arc<Mutex<Vec<u8>>>,
}

impl Http2 {
    fn start(folder: &Path) -> Self {
        let (trusted, config) = certified(folder, "localhost", &["h2"]);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let stored = Arc::new(Mutex::new(Vec::new()));
        let kept = stored.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(serve_http2(listener, config, kept));
        });
        Self { port, trusted, stored }
    }
}

async fn serve_http2(listener: TcpListener, config: Arc<ServerConfig>, stored: Arc<Mutex<Vec<u8>>>) {
    use hyper::body::Body;
    listener.set_nonblocking(true).expect("set");
    let listener = tokio::net::TcpListener::from_std(listener).expect("listens");
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(stream) = tokio_rustls::TlsAcceptor::from(config.clone()).accept(stream).await else { continue };
        let stored = stored.clone();
        let answer = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let stored = stored.clone();
            async move {
                let mut body = std::pin::pin!(request.into_body());
                let mut bytes = Vec::new();
                while let Some(Ok(frame)) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
                    bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
                }
                *stored.lock().expect("whole") = bytes;
                Ok::<_, std::convert::Infallible>(hyper::Response::new(String::new()))
            }
        });
        let executor = hyper_util::rt::TokioExecutor::new();
        let connection = hyper::server::conn::http2::Builder::new(executor);
        tokio::spawn(
            async move { drop(connection.serve_connection(hyper_util::rt::TokioIo::new(stream), answer).await) },
        );
    }
}

/// A proxy: tunnels, and over plain HTTP reads along. It leads everything to one place, and
/// remembers what it was asked.
fn proxy(to: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && client.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            let text = String::from_utf8_lossy(&head).into_owned();
            heard.lock().expect("whole").push(text.clone());
            let mut server = TcpStream::connect(&to).expect("connects");
            if text.starts_with("CONNECT ") {
                client.write_all(b"HTTP/1.1 200 Established\r\n\r\n").expect("answers");
            } else {
                server.write_all(&head).expect("passes on");
            }
            let (mut there, mut back) = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
            std::thread::spawn(move || std::io::copy(&mut there, &mut server));
            std::thread::spawn(move || std::io::copy(&mut back, &mut client));
        }
    });
    (address, asked)
}

#[test]
fn proxies_are_used_and_kept_out_as_the_environment_says() {
    let folder = folder();
    let file = dump(&folder);
    let storage = Secure::start(folder.path(), "storage.example", &[]);
    let (address, asked) = proxy(format!("127.0.0.1:{}", storage.port));
    let mock_http = control_plane("https://storage.example/put?signature=canary_signature".into());
    let [trusted] = storage.variables();
    let through = format!("http://user:canary@{address}");
    send(&mock_http, &file, &[], &[trusted, ("HTTPS_PROXY", &through)]).succeeds();
    assert_eq!(*storage.stored.lock().expect("whole"), std::fs::read(&file).expect("reads"));
    let head = asked.lock().expect("whole").remove(0);
    assert!(head.starts_with("CONNECT storage.example:443 ") && head.contains("Basic dXNlcjpjYW5hcnk="), "{head}");
    // Nobody knows the name here, so without the proxy there is no way.
    let without = [trusted, ("HTTPS_PROXY", &*through), ("NO_PROXY", "storage.example")];
    let mut command = capydb(&["import", "--file", &file]);
    command.env("CAPYDB_API_URL", mock_http.api_url()).env("CAPYDB_API_KEY", KEY).envs(without);
    let mut child = command.spawn().expect("runs");
    let mut said = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let told = std::io::BufRead::lines(&mut said).map_while(Result::ok).find(|line| line.contains("attempt 2 of 6"));
    child.kill().expect("killed");
    child.wait().expect("gone");
    let told = told.expect("it is tried again");
    assert!(told.contains("storage.example was interrupted") && !told.contains("canary"), "{told}");
    assert!(asked.lock().expect("whole").is_empty(), "the proxy is kept out");
}

#[test]
fn a_proxy_that_reads_along_gets_the_whole_address() {
    let folder = folder();
    let file = dump(&folder);
    let storage = Peer::start(|_, _: &Request, _| Answer::Raw(200, "X: y", String::new()));
    let (address, asked) = proxy(storage.address.clone());
    let mock_http = control_plane("http://storage.example/put?x=1".into());
    send(
        &mock_http,
        &file,
        &[],
        &[("HTTP_PROXY", &format!("http://{address}")), ("http_proxy", &format!("http://{address}"))],
    )
    .succeeds();
    let head = asked.lock().expect("whole").remove(0);
    assert!(head.starts_with("PUT http://storage.example/put?x=1 HTTP/1.1\r\n"), "{head}");
    assert_eq!(storage.lines(), ["PUT http://storage.example/put"]);
}

#[test]
fn a_proxy_that_is_closed_is_named_without_its_password() {
    let folder = folder();
    let mock_http = control_plane("https://storage.example/put".into());
    let mut command = capydb(&["import", "--file", &dump(&folder)]);
    command.env("CAPYDB_API_URL", mock_http.api_url()).env("CAPYDB_API_KEY", KEY);
    let mut child = command.env("HTTPS_PROXY", "http://user:canary@127.0.0.1:9").spawn().expect("runs");
    let mut said = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let told = std::io::BufRead::lines(&mut said).map_while(Result::ok).find(|line| line.contains("attempt 2 of 6"));
    child.kill().expect("killed");
    child.wait().expect("gone");
    let told = told.expect("it is tried again");
    assert!(told.contains("the proxy 127.0.0.1:9: Connection refused") && !told.contains("canary"), "{told}");
}

#[test]
fn storage_at_an_ipv6_address_is_reached() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        let _ = writeln!(std::io::stderr(), "no IPv6 here: left out");
        return;
    };
    let port = listener.local_addr().expect("an address").port();
    let folder = folder();
    let file = dump(&folder);
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accepts");
        let body = put(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("answers");
        body
    });
    send(&control_plane(format!("http://[::1]:{port}/put")), &file, &[], &[]).succeeds();
    assert_eq!(serving.join().expect("served"), Some(std::fs::read(&file).expect("reads")));
}

#[test]
fn a_limit_of_the_rate_is_kept() {
    let folder = folder();
    let path = folder.path().join("app.sql");
    std::fs::write(&path, format!("CREATE TABLE t (x int);\n{}\n", "-".repeat(1_000_000))).expect("written");
    let mock_http = Peer::start(|mock_http, request, _| works(mock_http, request));
    let started = Instant::now();
    // A line that we hold back ourselves is not one that has stalled.
    send(&mock_http, path.to_str().expect("a path"), &["--limit-rate", "500K", "--stall-timeout", "1s"], &[])
        .succeeds();
    let took = started.elapsed();
    assert!((Duration::from_millis(1700)..Duration::from_secs(20)).contains(&took), "{took:?}");
    for (arguments, words) in [
        (["--limit-rate", "fast"], "expected a size such as 20M"),
        (["--limit-rate", "10"], "the minimum is 1K"),
        (["--stall-timeout", "10ms"], "the minimum is 1s"),
        (["--upload-concurrency", "0"], "0 is not in 1..=16"),
    ] {
        send(&mock_http, path.to_str().expect("a path"), &arguments, &[]).fails(2, words);
    }
}

#[test]
fn what_no_store_takes_at_once_is_not_begun() {
    let folder = folder();
    let path = folder.path().join("app.dump");
    crate::support::archive::sparse(&path, (5 << 30) + 1);
    let mock_http = Peer::start(|mock_http, request, _| match request.line().as_str() {
        "GET /v1/projects" => {
            let project = r#"{"id":"p1","name":"Shop","slug":"shop","storage_limit_bytes":100000000000}"#;
            Answer::Json(200, format!(r#"{{"projects":[{project}]}}"#))
        }
        _ => works(mock_http, request),
    });
    let ran = send(&mock_http, path.to_str().expect("a path"), &[], &[])
        .fails(5, "the dump exceeds 5 GB, the limit for one request, and this control plane has no multipart uploads");
    assert!(ran.stderr.contains("--source-url"), "{ran:#?}");
    assert!(!mock_http.lines().iter().any(|line| line.starts_with("PUT")), "nothing is sent");
}
