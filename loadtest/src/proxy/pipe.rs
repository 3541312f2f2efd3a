//! The two directions of one connection.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::{mpsc, watch},
    time::Instant,
};

use super::Mode;

/// How many pieces of up to [`PIECE`] bytes may be under way in one direction before reading stops.
const PIECES: usize = 64;
const PIECE: usize = 16 * 1024;

/// Forwards both directions until both have ended or one has failed.
pub(super) async fn both(
    client: &mut TcpStream,
    upstream: impl AsyncRead + AsyncWrite,
    mode: watch::Receiver<Mode>,
) -> io::Result<()> {
    let (from_client, to_client) = client.split();
    let (from_upstream, to_upstream) = tokio::io::split(upstream);
    let up = one(from_client, to_upstream, mode.clone());
    let down = one(from_upstream, to_client, mode);
    tokio::try_join!(up, down).map(|_| ())
}

/// A piece of the stream and when it may pass; an empty one is its end.
struct Piece {
    due: Instant,
    bytes: Vec<u8>,
}

async fn one(
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    mode: watch::Receiver<Mode>,
) -> io::Result<()> {
    let (send, receive) = mpsc::channel(PIECES);
    tokio::try_join!(read(from, send, mode.clone()), write(receive, to, mode)).map(|_| ())
}

async fn read(
    mut from: impl AsyncRead + Unpin,
    send: mpsc::Sender<Piece>,
    mode: watch::Receiver<Mode>,
) -> io::Result<()> {
    loop {
        let mut bytes = vec![0; PIECE];
        let length = from.read(&mut bytes).await?;
        bytes.truncate(length);
        let delay = if let Mode::Delay(delay) = *mode.borrow() { delay } else { Duration::ZERO };
        let piece = Piece { due: Instant::now() + delay, bytes };
        if send.send(piece).await.is_err() || length == 0 {
            return Ok(());
        }
    }
}

async fn write(
    mut receive: mpsc::Receiver<Piece>,
    mut to: impl AsyncWrite + Unpin,
    mut mode: watch::Receiver<Mode>,
) -> io::Result<()> {
    while let Some(piece) = receive.recv().await {
        tokio::time::sleep_until(piece.due).await;
        if mode.wait_for(|mode| *mode != Mode::BlackHole).await.is_err() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if piece.bytes.is_empty() {
            return to.shutdown().await;
        }
        to.write_all(&piece.bytes).await?;
        to.flush().await?;
    }
    Ok(())
}
