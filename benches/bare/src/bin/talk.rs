//! Both ends of the WebSocket row: a service that echoes messages of one size, and clients that wait for each echo.
//!
//! The frames are made once, so that the proxy between the two is what is measured: `talk` is no WebSocket library, it
//! reads only what it writes itself. A message is 64 bytes, as a chat's is (RFC 6455, sections 4 and 5).
//!
//! Usage: `talk echo ADDRESS`, `talk drive ADDRESS PATH CONNECTIONS SECONDS [HEADER..]`; one thread. `drive` prints JSON:
//! messages, seconds, and the 50th and 99th percentile of their round trips in microseconds.

use std::error::Error;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

type Done<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A final text frame of 64 bytes, from the service.
const ECHO: [u8; 66] = {
    let mut frame = [b'x'; 66];
    frame[0] = 0x81;
    frame[1] = 64;
    frame
};

/// The same from a client: with a mask, which is nothing but zeros here.
const MESSAGE: [u8; 70] = {
    let mut frame = [b'x'; 70];
    frame[0] = 0x81;
    frame[1] = 0x80 | 64;
    frame[2] = 0;
    frame[3] = 0;
    frame[4] = 0;
    frame[5] = 0;
    frame
};

/// The example of RFC 6455, section 1.3: every client sends this key, so the answer to it is always the same.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Done<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["echo", address] => echo(address).await,
        ["drive", address, path, connections, seconds, headers @ ..] => {
            let handshake = handshake(address, path, headers);
            let time = Duration::from_secs(seconds.parse()?);
            drive(address, &handshake, connections.parse()?, time).await
        }
        _ => Err("usage: talk echo ADDRESS | talk drive ADDRESS PATH CONNECTIONS SECONDS [HEADER..]".into()),
    }
}

async fn echo(address: &str) -> Done<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        // Whoever leaves ends only its own conversation.
        tokio::spawn(answer(stream));
    }
}

async fn answer(mut stream: TcpStream) -> Done<()> {
    stream.set_nodelay(true)?;
    head(&mut stream).await?;
    let accepted = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    );
    stream.write_all(accepted.as_bytes()).await?;
    let mut message = MESSAGE;
    loop {
        stream.read_exact(&mut message).await?;
        stream.write_all(&ECHO).await?;
    }
}

fn handshake(address: &str, path: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{headers}\r\n"
    )
}

async fn drive(address: &str, handshake: &str, connections: usize, time: Duration) -> Done<()> {
    let mut streams = Vec::new();
    for _ in 0..connections {
        streams.push(open(address, handshake).await?);
    }
    let begun = Instant::now();
    let mut talks: JoinSet<_> = streams.into_iter().map(|stream| talk(stream, begun + time)).collect();
    let mut trips = Vec::new();
    while let Some(done) = talks.join_next().await {
        trips.extend(done??);
    }
    let seconds = begun.elapsed().as_secs_f64();
    trips.sort_unstable();
    let at = |share: f64| trips.get((trips.len() as f64 * share) as usize).copied().unwrap_or_default();
    println!(
        "{{\"messages\": {}, \"seconds\": {seconds}, \"p50\": {}, \"p99\": {}}}",
        trips.len(),
        at(0.5),
        at(0.99)
    );
    Ok(())
}

async fn open(address: &str, handshake: &str) -> Done<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(handshake.as_bytes()).await?;
    let head = head(&mut stream).await?;
    match head.starts_with("HTTP/1.1 101 ") {
        true => Ok(stream),
        false => Err(format!("no tunnel: {head}").into()),
    }
}

/// One message after the other, each waited for; the microseconds each took.
async fn talk(mut stream: TcpStream, until: Instant) -> Done<Vec<u32>> {
    let mut trips = Vec::new();
    let mut echoed = ECHO;
    let mut sent = Instant::now();
    while sent < until {
        stream.write_all(&MESSAGE).await?;
        stream.read_exact(&mut echoed).await?;
        if echoed != ECHO {
            return Err("the echo is not what was said".into());
        }
        let now = Instant::now();
        trips.push((now - sent).as_micros().try_into()?);
        sent = now;
    }
    Ok(trips)
}

/// A head up to its empty line, and nothing behind it.
async fn head(stream: &mut TcpStream) -> Done<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(head)?)
}
