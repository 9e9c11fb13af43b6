//! A line between a client and a server that fails on purpose. It passes everything on but the
//! uploads: each of them meets the next fault of a list.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to an upload. Numbers are bytes of its body.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// Nothing.
    None,
    /// The connection is refused at once.
    Refused,
    /// It is reset after so many bytes.
    Reset(u64),
    /// It is closed after so many bytes.
    Close(u64),
    /// Everything arrives, and the connection is reset before the answer.
    LostAnswer,
    /// The answer ends after its head.
    CutAnswer,
    /// Nothing is taken any more after so many bytes.
    Stall(u64),
    /// Everything arrives, and nothing is answered.
    Silence,
    /// Storage gets only so many bytes.
    Truncate(u64),
    /// One bit changes on the way.
    Flip(u64),
    /// Every so often the line rests, in milliseconds.
    Slow(u64),
    /// This is answered before the body is taken, and the connection closed.
    Early(u16, &'static str, &'static str),
    /// The same, once the body has been taken, which goes nowhere.
    Late(u16, &'static str, &'static str),
    /// Whether the body is welcome is never said.
    NoContinue,
    /// Something that is not HTTP comes back.
    Garbage,
}

pub struct Line {
    pub address: String,
    faults: Arc<Mutex<Vec<Fault>>>,
    uploads: Arc<Mutex<Vec<String>>>,
    started: Arc<Mutex<Option<String>>>,
}

impl Line {
    /// Leads to a server; an import is not started there, it is remembered here.
    pub fn to(upstream: &str, faults: &[Fault]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let faults = Arc::new(Mutex::new(faults.iter().rev().copied().collect()));
        let line = Self { address, faults, uploads: Arc::default(), started: Arc::default() };
        let (inside, upstream) = (Arc::new(line.again()), upstream.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (line, upstream) = (inside.clone(), upstream.clone());
                std::thread::spawn(move || {
                    let mut client = client;
                    while line.pass(&mut client, &upstream).is_some() {}
                });
            }
        });
        line
    }

    fn again(&self) -> Self {
        Self {
            address: self.address.clone(),
            faults: self.faults.clone(),
            uploads: self.uploads.clone(),
            started: self.started.clone(),
        }
    }

    /// The object that an import was started with.
    pub fn started(&self) -> Option<String> {
        self.started.lock().expect("whole").clone()
    }

    /// How many uploads came.
    pub fn uploads(&self) -> usize {
        self.uploads.lock().expect("whole").len()
    }

    /// One request; `None` when the connection is over.
    fn pass(&self, client: &mut TcpStream, upstream: &str) -> Option<()> {
        let head = head(client)?;
        let line = head.lines().next()?.to_owned();
        let length = header(&head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        if !line.starts_with("PUT ") {
            let mut body = vec![0; usize::try_from(length).ok()?];
            client.read_exact(&mut body).ok()?;
            if line.starts_with("POST ") && line.contains("/imports HTTP") {
                let body: serde_json::Value = serde_json::from_slice(&body).ok()?;
                *self.started.lock().ok()? = Some(body["upload_key"].as_str()?.to_owned());
                let job = r#"{"job":{"id":"j1","type":"project.import","state":"pending"}}"#;
                return client.write_all(answer(202, "X: y", job).as_bytes()).ok();
            }
            let mut server = ask(upstream, &head)?;
            server.write_all(&body).ok()?;
            return self.bring_back(&mut server, client, upstream);
        }
        self.uploads.lock().ok()?.push(line);
        let fault = self.faults.lock().ok()?.pop().unwrap_or(Fault::None);
        let welcome = header(&head, "expect").is_some() && !matches!(fault, Fault::NoContinue | Fault::Early(..));
        if welcome && !matches!(fault, Fault::Refused) {
            client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
        }
        self.upload(fault, client, upstream, &head, length)
    }

    fn upload(&self, fault: Fault, client: &mut TcpStream, upstream: &str, head: &str, length: u64) -> Option<()> {
        match fault {
            Fault::Refused => return reset(client),
            Fault::Early(status, header, body) => {
                client.write_all(answer(status, header, body).as_bytes()).ok()?;
                return None; // what is unread makes the system reset the connection
            }
            Fault::Late(status, header, body) => {
                copy(client, None, length, |_, _| ())?;
                return client.write_all(answer(status, header, body).as_bytes()).ok();
            }
            Fault::Garbage => {
                copy(client, None, length, |_, _| ())?;
                client.write_all(b"oh dear\r\n\r\n").ok()?;
                return None;
            }
            Fault::Silence => {
                copy(client, None, length, |_, _| ())?;
                return until_gone(client);
            }
            _ => {}
        }
        let mut server = ask(upstream, head)?;
        match fault {
            Fault::Reset(at) | Fault::Close(at) | Fault::Stall(at) => {
                copy(client, Some(&mut server), at.min(length), |_, _| ())?;
                match fault {
                    Fault::Reset(_) => return reset(client),
                    Fault::Close(_) => return None,
                    _ => return until_gone(client),
                }
            }
            Fault::Truncate(at) => {
                copy(client, Some(&mut server), at, |_, _| ())?;
                server.shutdown(Shutdown::Write).ok()?;
                copy(client, None, length - at, |_, _| ())?;
            }
            Fault::Flip(flipped) => copy(client, Some(&mut server), length, |at, bytes| {
                if let Some(byte) =
                    flipped.checked_sub(at).and_then(|place| bytes.get_mut(usize::try_from(place).ok()?))
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
        if matches!(fault, Fault::LostAnswer | Fault::CutAnswer) {
            let mut said = Vec::new();
            server.read_to_end(&mut said).ok()?;
            if matches!(fault, Fault::CutAnswer) {
                client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n").ok()?;
                return None;
            }
            return reset(client);
        }
        self.bring_back(&mut server, client, upstream)
    }

    /// The answer, in which the server's address becomes ours.
    fn bring_back(&self, server: &mut TcpStream, client: &mut TcpStream, upstream: &str) -> Option<()> {
        let mut said = Vec::new();
        server.read_to_end(&mut said).ok()?;
        assert_eq!(upstream.len(), self.address.len(), "lengths in answers stay right");
        let said = String::from_utf8_lossy(&said).replace(upstream, &self.address);
        client.write_all(said.as_bytes()).ok()?;
        (!said.is_empty() && !said.to_ascii_lowercase().contains("connection: close")).then_some(())
    }
}

fn answer(status: u16, header: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\n{header}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

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

/// Asks the server the same, in its own name.
fn ask(upstream: &str, head: &str) -> Option<TcpStream> {
    let mut server = TcpStream::connect(upstream).ok()?;
    let ours = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        !["host", "expect", "connection"].contains(&&*name)
    };
    let lines: Vec<&str> = head.trim_end().lines().filter(ours).collect();
    let head = format!("{}\r\nHost: {upstream}\r\nConnection: close\r\n\r\n", lines.join("\r\n"));
    server.write_all(head.as_bytes()).ok()?;
    Some(server)
}

/// Passes on so many bytes, or takes them for nobody.
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
            let _ = server.write_all(&block[..read]); // its answer says why it takes no more
        }
        at += read as u64;
    }
    Some(())
}

fn reset(client: &TcpStream) -> Option<()> {
    rustix::net::sockopt::set_socket_linger(client, Some(Duration::ZERO)).ok()?;
    None
}

/// Takes nothing, until the other end gives up.
fn until_gone(client: &TcpStream) -> Option<()> {
    let mut byte = [0];
    loop {
        std::thread::sleep(Duration::from_millis(50));
        client.set_nonblocking(true).ok()?;
        match client.peek(&mut byte) {
            Ok(0) => return None,
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return None,
            _ if gone(client) => return None,
            _ => {}
        }
    }
}

/// With bytes unread, only the state of the connection tells that the other end has gone.
fn gone(client: &TcpStream) -> bool {
    let mut poll = [rustix::event::PollFd::new(client, rustix::event::PollFlags::RDHUP)];
    let polled = rustix::event::poll(&mut poll, Some(&rustix::event::Timespec::default()));
    polled.is_ok() && !poll[0].revents().is_empty()
}
