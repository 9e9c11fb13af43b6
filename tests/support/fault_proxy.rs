//! A proxy between a client and a server that injects faults into uploads: each upload gets the
//! next fault of a list. Other requests are forwarded unchanged.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A fault of an upload. Numbers are body bytes unless stated otherwise.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The upload is forwarded unchanged.
    None,
    /// The connection is reset before the body is read.
    Refused,
    /// The connection is reset after this many bytes.
    Reset(u64),
    /// The connection is closed after this many bytes.
    Close(u64),
    /// The server gets the whole body, and the connection is reset before the response.
    LostResponse,
    /// The response ends after its headers.
    TruncatedResponse,
    /// The proxy stops reading after this many bytes.
    Stall(u64),
    /// The proxy reads the whole body and never responds.
    NoResponse,
    /// The server gets only this many bytes.
    Truncate(u64),
    /// One bit of the byte at this offset is flipped.
    Flip(u64),
    /// The proxy pauses for this many milliseconds after every 4 MiB.
    Slow(u64),
    /// This response (status, header, body) is sent before the body is read, and the connection closed.
    Early(u16, &'static str, &'static str),
    /// This response is sent after the body is read and discarded.
    Late(u16, &'static str, &'static str),
    /// `100 Continue` is never sent.
    NoContinue,
    /// The response is not HTTP.
    Garbage,
}

pub struct FaultProxy {
    pub address: String,
    faults: Arc<Mutex<Vec<Fault>>>,
    uploads: Arc<Mutex<Vec<String>>>,
    imported_key: Arc<Mutex<Option<String>>>,
}

impl FaultProxy {
    /// Starts a proxy to a server. Requests to start an import are recorded, not forwarded.
    pub fn to(upstream: &str, faults: &[Fault]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind a port");
        let address = listener.local_addr().expect("local address").to_string();
        let faults = Arc::new(Mutex::new(faults.iter().rev().copied().collect()));
        let proxy = Self { address, faults, uploads: Arc::default(), imported_key: Arc::default() };
        let (shared, upstream) = (Arc::new(proxy.share()), upstream.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (proxy, upstream) = (shared.clone(), upstream.clone());
                std::thread::spawn(move || {
                    let mut client = client;
                    while proxy.forward(&mut client, &upstream).is_some() {}
                });
            }
        });
        proxy
    }

    fn share(&self) -> Self {
        Self {
            address: self.address.clone(),
            faults: self.faults.clone(),
            uploads: self.uploads.clone(),
            imported_key: self.imported_key.clone(),
        }
    }

    /// The object key of the import that was started.
    pub fn imported_key(&self) -> Option<String> {
        self.imported_key.lock().expect("lock is not poisoned").clone()
    }

    /// The number of uploads so far.
    pub fn uploads(&self) -> usize {
        self.uploads.lock().expect("lock is not poisoned").len()
    }

    /// Handles one request; returns `None` when the connection ends.
    fn forward(&self, client: &mut TcpStream, upstream: &str) -> Option<()> {
        let head = head(client)?;
        let line = head.lines().next()?.to_owned();
        let length = header(&head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        if !line.starts_with("PUT ") {
            let mut body = vec![0; usize::try_from(length).ok()?];
            client.read_exact(&mut body).ok()?;
            if line.starts_with("POST ") && line.contains("/imports HTTP") {
                let body: serde_json::Value = serde_json::from_slice(&body).ok()?;
                *self.imported_key.lock().ok()? = Some(body["upload_key"].as_str()?.to_owned());
                let job = r#"{"job":{"id":"j1","type":"project.import","state":"pending"}}"#;
                return client.write_all(response(202, "X: y", job).as_bytes()).ok();
            }
            let mut server = send_head(upstream, &head)?;
            server.write_all(&body).ok()?;
            return self.return_response(&mut server, client, upstream);
        }
        self.uploads.lock().ok()?.push(line);
        let fault = self.faults.lock().ok()?.pop().unwrap_or(Fault::None);
        let sends_continue =
            header(&head, "expect").is_some() && !matches!(fault, Fault::NoContinue | Fault::Early(..));
        if sends_continue && !matches!(fault, Fault::Refused) {
            client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
        }
        self.upload(fault, client, upstream, &head, length)
    }

    fn upload(&self, fault: Fault, client: &mut TcpStream, upstream: &str, head: &str, length: u64) -> Option<()> {
        match fault {
            Fault::Refused => return reset(client),
            Fault::Early(status, header, body) => {
                client.write_all(response(status, header, body).as_bytes()).ok()?;
                return None; // the kernel resets the connection because of the unread bytes
            }
            Fault::Late(status, header, body) => {
                copy(client, None, length, |_, _| ())?;
                return client.write_all(response(status, header, body).as_bytes()).ok();
            }
            Fault::Garbage => {
                copy(client, None, length, |_, _| ())?;
                client.write_all(b"oh dear\r\n\r\n").ok()?;
                return None;
            }
            Fault::NoResponse => {
                copy(client, None, length, |_, _| ())?;
                return wait_for_disconnect(client);
            }
            _ => {}
        }
        let mut server = send_head(upstream, head)?;
        match fault {
            Fault::Reset(at) | Fault::Close(at) | Fault::Stall(at) => {
                copy(client, Some(&mut server), at.min(length), |_, _| ())?;
                match fault {
                    Fault::Reset(_) => return reset(client),
                    Fault::Close(_) => return None,
                    _ => return wait_for_disconnect(client),
                }
            }
            Fault::Truncate(at) => {
                copy(client, Some(&mut server), at, |_, _| ())?;
                server.shutdown(Shutdown::Write).ok()?;
                copy(client, None, length - at, |_, _| ())?;
            }
            Fault::Flip(flipped) => copy(client, Some(&mut server), length, |at, bytes| {
                if let Some(byte) =
                    flipped.checked_sub(at).and_then(|index| bytes.get_mut(usize::try_from(index).ok()?))
                {
                    *byte ^= 4;
                }
            })?,
            Fault::Slow(pause) => copy(client, Some(&mut server), length, |at, _| {
                if at % (4 << 20) < 65_536 {
                    std::thread::sleep(Duration::from_millis(pause));
                }
            })?,
            _ => copy(client, Some(&mut server), length, |_, _| ())?,
        }
        if matches!(fault, Fault::LostResponse | Fault::TruncatedResponse) {
            let mut response = Vec::new();
            server.read_to_end(&mut response).ok()?;
            if matches!(fault, Fault::TruncatedResponse) {
                client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n").ok()?;
                return None;
            }
            return reset(client);
        }
        self.return_response(&mut server, client, upstream)
    }

    /// Returns the server's response with the server's address replaced by the proxy's.
    fn return_response(&self, server: &mut TcpStream, client: &mut TcpStream, upstream: &str) -> Option<()> {
        let mut response = Vec::new();
        server.read_to_end(&mut response).ok()?;
        assert_eq!(upstream.len(), self.address.len(), "Content-Length must stay correct");
        let response = String::from_utf8_lossy(&response).replace(upstream, &self.address);
        client.write_all(response.as_bytes()).ok()?;
        (!response.is_empty() && !response.to_ascii_lowercase().contains("connection: close")).then_some(())
    }
}

fn response(status: u16, header: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\n{header}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Reads the head of a request byte by byte, so that nothing of the body is consumed.
fn head(stream: &mut TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (known, value) = line.split_once(": ")?;
        known.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// Connects to the server and sends it the request head, with its own `Host`.
fn send_head(upstream: &str, head: &str) -> Option<TcpStream> {
    let mut server = TcpStream::connect(upstream).ok()?;
    let is_forwarded = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        !["host", "expect", "connection"].contains(&&*name)
    };
    let lines: Vec<&str> = head.trim_end().lines().filter(is_forwarded).collect();
    let head = format!("{}\r\nHost: {upstream}\r\nConnection: close\r\n\r\n", lines.join("\r\n"));
    server.write_all(head.as_bytes()).ok()?;
    Some(server)
}

/// Reads `length` bytes and forwards them to the server, if any.
fn copy(
    client: &mut TcpStream,
    mut server: Option<&mut TcpStream>,
    length: u64,
    mut change: impl FnMut(u64, &mut [u8]),
) -> Option<()> {
    let (mut block, mut at) = (vec![0; 64 << 10], 0);
    while at < length {
        let wanted = usize::try_from(length - at).map_or(block.len(), |left| left.min(block.len()));
        let read = client.read(&mut block[..wanted]).ok().filter(|read| *read > 0)?;
        change(at, &mut block[..read]);
        if let Some(server) = &mut server {
            let _ = server.write_all(&block[..read]); // the response gives the reason
        }
        at += read as u64;
    }
    Some(())
}

/// Makes closing the connection send a reset.
fn reset(client: &TcpStream) -> Option<()> {
    rustix::net::sockopt::set_socket_linger(client, Some(Duration::ZERO)).ok()?;
    None
}

/// Reads nothing, and waits until the client disconnects.
fn wait_for_disconnect(client: &TcpStream) -> Option<()> {
    let mut byte = [0];
    loop {
        std::thread::sleep(Duration::from_millis(50));
        client.set_nonblocking(true).ok()?;
        match client.peek(&mut byte) {
            Ok(0) => return None,
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return None,
            _ if is_disconnected(client) => return None,
            _ => {}
        }
    }
}

/// Whether the client closed its side. `peek` does not show this while unread bytes remain.
fn is_disconnected(client: &TcpStream) -> bool {
    let mut poll = [rustix::event::PollFd::new(client, rustix::event::PollFlags::RDHUP)];
    let polled = rustix::event::poll(&mut poll, Some(&rustix::event::Timespec::default()));
    polled.is_ok() && !poll[0].revents().is_empty()
}
