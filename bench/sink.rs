//! The server that `bench/upload.sh` uploads to: discards bodies over plain HTTP and TLS, and
//! mocks the control plane calls around an upload. Prints its two ports; writes the certificate
//! to trust to the path in the first argument.
//!
//! The control plane is served at `/plain` and `/tls`, a WebDAV directory for `rclone` at `/`.
#![allow(missing_docs, clippy::expect_used, clippy::print_stdout, reason = "a benchmark tool")]

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

fn main() {
    let certificate_path =
        std::env::args().skip(1).find(|argument| !argument.starts_with('-')).expect("path for the certificate");
    let generated = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("create certificate");
    std::fs::write(certificate_path, generated.cert.pem()).expect("write the certificate");
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(generated.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("supported TLS versions");
    let config =
        config.with_no_client_auth().with_single_cert(vec![generated.cert.der().clone()], key).expect("matching key");
    let (plain, tls) = (TcpListener::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0"));
    let (plain, tls) = (plain.expect("bind a port"), tls.expect("bind a port"));
    let ports = [&plain, &tls].map(|listener| listener.local_addr().expect("local address").port());
    println!("{} {}", ports[0], ports[1]);
    let (sizes, config) = (Arc::new(Sizes::default()), Arc::new(config));
    let tls_sizes = sizes.clone();
    std::thread::spawn(move || {
        for stream in tls.incoming().flatten() {
            let (config, sizes) = (config.clone(), tls_sizes.clone());
            std::thread::spawn(move || {
                let connection = ServerConnection::new(config).expect("create connection");
                let mut stream = StreamOwned::new(connection, stream);
                let _ = serve(&mut stream, ports, &sizes, drain_tls); // until the client disconnects
            });
        }
    });
    for mut stream in plain.incoming().flatten() {
        let sizes = sizes.clone();
        std::thread::spawn(move || serve(&mut stream, ports, &sizes, drain_plain));
    }
}

/// Lengths of the uploaded bodies in bytes, by path.
type Sizes = Mutex<HashMap<String, u64>>;

fn serve<S: Read + Write>(
    stream: &mut S,
    ports: [u16; 2],
    sizes: &Sizes,
    drain: fn(&mut S, u64) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        let head = head(stream)?;
        let mut words = head.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let header = |name: &str| {
            head.lines().find_map(|line| line.split_once(": ").filter(|(known, _)| known.eq_ignore_ascii_case(name)))
        };
        if header("expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let length = header("content-length").and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
        drain(stream, length)?;
        let (status, body) = respond(method, path, length, ports, sizes);
        let response = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(response.as_bytes())?;
        stream.flush()?;
    }
}

/// Reads a request head byte by byte, so that nothing of the body is consumed.
fn head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// With `MSG_TRUNC` the kernel discards the bytes without copying them.
fn drain_plain(stream: &mut TcpStream, mut left: u64) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    while left > 0 {
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let (read, _) = rustix::net::recv(&*stream, &mut buffer[..wanted], rustix::net::RecvFlags::TRUNC)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left -= read as u64;
    }
    Ok(())
}

fn drain_tls(stream: &mut StreamOwned<ServerConnection, TcpStream>, mut left: u64) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    while left > 0 {
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        match stream.read(&mut buffer[..wanted])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => left -= read as u64,
        }
    }
    Ok(())
}

fn respond(method: &str, path: &str, length: u64, [plain, tls]: [u16; 2], sizes: &Sizes) -> (u16, String) {
    let mut sizes = sizes.lock().expect("lock is not poisoned");
    match (method, path) {
        ("PUT", path) => {
            sizes.insert(path.to_owned(), length);
            (200, String::new())
        }
        // The control plane calls before and after an upload.
        ("GET", path) if path.ends_with("/v1/projects") => {
            (200, r#"{"projects":[{"id":"p","slug":"shop","name":"shop","storage_limit_bytes":1000000000000}]}"#.into())
        }
        ("GET", _) => (200, r#"{"jobs":[]}"#.into()),
        ("POST", path) if path.ends_with("/uploads") => {
            let url = if path.starts_with("/tls") {
                format!("https://localhost:{tls}/dump")
            } else {
                format!("http://127.0.0.1:{plain}/dump")
            };
            (201, format!(r#"{{"upload":{{"object_key":"k","upload_url":"{url}"}}}}"#))
        }
        ("POST", _) => (202, r#"{"job":{"id":"j","type":"project.import","state":"pending"}}"#.into()),
        // The WebDAV calls before and after an upload.
        ("PROPFIND", path) => match sizes.get(path) {
            None => (404, String::new()),
            Some(size) => (
                207,
                format!(
                    r#"<?xml version="1.0"?><D:multistatus xmlns:D="DAV:"><D:response><D:href>{path}</D:href><D:propstat><D:prop><D:getcontentlength>{size}</D:getcontentlength></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>"#
                ),
            ),
        },
        ("DELETE", path) => {
            sizes.remove(path);
            (204, String::new())
        }
        _ => (201, String::new()),
    }
}
