//! A fake server that speaks enough of the Postgres protocol to accept a login, then misbehaves.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Starts a fake server and returns its port. `login` gets the connection after the startup
/// message, `respond` after each query.
pub fn fake_postgres(
    login: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    respond: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind a port");
    let port = listener.local_addr().expect("local address").port();
    let handlers = std::sync::Arc::new((login, respond));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handlers = handlers.clone();
            std::thread::spawn(move || {
                let _ = serve(stream, &handlers.0, &handlers.1); // the client disconnected
            });
        }
    });
    port
}

type Handler = dyn Fn(&mut TcpStream) -> io::Result<()>;

fn serve(mut stream: TcpStream, login: &Handler, respond: &Handler) -> io::Result<()> {
    loop {
        let startup = read_body(&mut stream)?;
        if startup.starts_with(&80_877_103_u32.to_be_bytes()) {
            stream.write_all(b"N")?; // refuses TLS
            continue;
        }
        break;
    }
    login(&mut stream)?;
    loop {
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        read_body(&mut stream)?;
        match kind[0] {
            b'Q' => respond(&mut stream)?,
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

/// A backend message of this type.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("fits in 32 bits").to_be_bytes();
    [&[kind], length.as_slice(), body].concat()
}

/// Accepts any login without a password.
pub fn accept_login(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(&message(b'R', &0_u32.to_be_bytes()))?;
    stream.write_all(&message(b'Z', b"I"))
}

/// `RowDescription` with one text column.
pub fn row_description() -> Vec<u8> {
    message(b'T', b"\0\x01x\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0")
}

/// `DataRow` with one text value.
pub fn row(text: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("fits in 32 bits").to_be_bytes();
    message(b'D', &[&[0, 1], length.as_slice(), text].concat())
}

/// `CommandComplete` and `ReadyForQuery`, which end a response.
pub fn command_complete() -> Vec<u8> {
    [message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat()
}
