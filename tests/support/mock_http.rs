//! A scripted HTTP server, for faults that a real one does not produce on demand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// `GET /v1/projects`, without the base.
    pub fn line(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{} {}", self.method, path.trim_start_matches("/api/capydb"))
    }
}

/// What the server does with a request.
pub enum Answer {
    Json(u16, String),
    Raw(u16, &'static str, String),
    /// Close the connection without a word.
    Drop,
}

pub struct Peer {
    pub address: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Peer {
    /// Starts a server; the script gets every request with the number of those before it
    /// that had the same line.
    pub fn start(script: impl Fn(&Peer, &Request, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mock_http = Self { address, seen };
        let (inside, script) =
            (Peer { address: mock_http.address.clone(), seen: mock_http.seen.clone() }, Arc::new(script));
        let inside = Arc::new(inside);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (inside, script) = (inside.clone(), script.clone());
                std::thread::spawn(move || serve(stream, &inside, &*script));
            }
        });
        mock_http
    }

    pub fn api_url(&self) -> String {
        format!("http://{}/api/capydb", self.address)
    }

    /// The lines of all requests so far.
    pub fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Request::line).collect()
    }

    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("not poisoned").clone()
    }
}

fn serve(stream: TcpStream, mock_http: &Peer, script: &dyn Fn(&Peer, &Request, usize) -> Answer) {
    let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
    let mut writer = stream;
    while let Some(request) = read(&mut reader) {
        let before = {
            let mut seen = mock_http.seen.lock().expect("not poisoned");
            // Dumps would fill the memory.
            let body = if request.body.len() > 1 << 20 { Vec::new() } else { request.body.clone() };
            let (method, path, headers) = (request.method.clone(), request.path.clone(), request.headers.clone());
            seen.push(Request { method, path, headers, body });
            seen.iter().filter(|other| other.line() == request.line()).count() - 1
        };
        let (status, head, body) = match script(mock_http, &request, before) {
            Answer::Drop => return,
            Answer::Json(status, body) => (status, "Content-Type: application/json", body),
            Answer::Raw(status, head, body) => (status, head, body),
        };
        let answer = format!("HTTP/1.1 {status} X\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if writer.write_all(answer.as_bytes()).is_err() || request.header("connection") == Some("close") {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let mut request = Request { method, path, headers, body: Vec::new() };
    let length: usize = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    request.body = vec![0; length];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}
