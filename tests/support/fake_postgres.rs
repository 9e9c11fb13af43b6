//! A server that speaks just enough of Postgres's protocol to be let in, and then misbehaves.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Starts one on a free port. `greet` has the connection after the startup message, `answer`
/// has it after every query.
pub fn fake_postgres(
    greet: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    answer: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let both = std::sync::Arc::new((greet, answer));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let both = both.clone();
            std::thread::spawn(move || {
                let _ = serve(stream, &both.0, &both.1); // the other side hung up
            });
        }
    });
    port
}

type Act = dyn Fn(&mut TcpStream) -> io::Result<()>;

fn serve(mut stream: TcpStream, greet: &Act, answer: &Act) -> io::Result<()> {
    loop {
        let startup = read_body(&mut stream)?;
        if startup.starts_with(&80_877_103_u32.to_be_bytes()) {
            stream.write_all(b"N")?; // no TLS here
            continue;
        }
        break;
    }
    greet(&mut stream)?;
    loop {
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        read_body(&mut stream)?;
        match kind[0] {
            b'Q' => answer(&mut stream)?,
            b'X' => return Ok(()),
            _ => {}
        }
    }
}

fn read_body(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut body = vec![0; (u32::from_be_bytes(length) as usize).saturating_sub(4).min(1 << 20)];
    stream.read_exact(&mut body)?;
    Ok(body)
}

/// A message of the protocol.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("short").to_be_bytes();
    [&[kind], length.as_slice(), body].concat()
}

/// Lets everybody in.
pub fn welcome(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(&message(b'R', &0_u32.to_be_bytes()))?;
    stream.write_all(&message(b'Z', b"I"))
}

/// The head of an answer with one column of text.
pub fn one_column() -> Vec<u8> {
    message(b'T', b"\0\x01x\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0")
}

/// A row with one text.
pub fn row(text: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("short").to_be_bytes();
    message(b'D', &[&[0, 1], length.as_slice(), text].concat())
}

/// The end of an answer.
pub fn done() -> Vec<u8> {
    [message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat()
}
