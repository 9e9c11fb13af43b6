//! A scripted HTTP server, for faults that a real server does not produce on demand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A received request.
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

    /// Method and path without the API base and the query: `GET /v1/projects`.
    pub fn line(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{} {}", self.method, path.trim_start_matches("/api/capydb"))
    }
}

/// The server's reaction to a request.
pub enum Response {
    Json(u16, String),
    /// Status, header lines and body.
    Raw(u16, &'static str, String),
    /// Closes the connection without a response.
    Drop,
}

pub struct MockServer {
    pub address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl MockServer {
    /// Starts a server. The script gets each request and the number of earlier requests with the
    /// same [`Request::line`].
    pub fn start(script: impl Fn(&MockServer, &Request, usize) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind a port");
        let address = listener.local_addr().expect("local address").to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let server = Self { address: address.clone(), requests: requests.clone() };
        let (shared, script) = (Arc::new(Self { address, requests }), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, script) = (shared.clone(), script.clone());
                std::thread::spawn(move || serve(stream, &shared, &*script));
            }
        });
        server
    }

    pub fn api_url(&self) -> String {
        format!("http://{}/api/capydb", self.address)
    }

    /// [`Request::line`] of every request so far.
    pub fn lines(&self) -> Vec<String> {
        self.requests().iter().map(Request::line).collect()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("lock is not poisoned").clone()
    }
}

fn serve(stream: TcpStream, server: &MockServer, script: &dyn Fn(&MockServer, &Request, usize) -> Response) {
    let mut reader = BufReader::new(stream.try_clone().expect("clone socket"));
    let mut writer = stream;
    while let Some(request) = read(&mut reader) {
        let earlier = {
            let mut requests = server.requests.lock().expect("lock is not poisoned");
            // Dumps are not kept, to save memory.
            let body = if request.body.len() > 1 << 20 { Vec::new() } else { request.body.clone() };
            let (method, path, headers) = (request.method.clone(), request.path.clone(), request.headers.clone());
            requests.push(Request { method, path, headers, body });
            requests.iter().filter(|other| other.line() == request.line()).count() - 1
        };
        let (status, headers, body) = match script(server, &request, earlier) {
            Response::Drop => return,
            Response::Json(status, body) => (status, "Content-Type: application/json", body),
            Response::Raw(status, headers, body) => (status, headers, body),
        };
        let response = format!("HTTP/1.1 {status} X\r\n{headers}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if writer.write_all(response.as_bytes()).is_err() || request.header("connection") == Some("close") {
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
