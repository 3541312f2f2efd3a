//! Connections that a fault can cut, reset or slow down, at once or in the middle of an answer.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::Sleep,
};

/// What a handler holds of the connection that it answers on.
#[derive(Debug, Clone)]
pub(super) struct Connection(Arc<Troubles>);

#[derive(Debug)]
struct Troubles {
    /// So many bytes are let through before the connection breaks.
    left: AtomicUsize,
    /// Whether it then breaks with a reset (RST).
    resets: AtomicBool,
    /// The time between two bytes in milliseconds; 0: none.
    pace_ms: AtomicU64,
}

impl Connection {
    fn new() -> Self {
        let left = AtomicUsize::new(usize::MAX);
        Self(Arc::new(Troubles { left, resets: AtomicBool::new(false), pace_ms: AtomicU64::new(0) }))
    }

    /// Lets this many bytes through, then breaks the connection.
    pub(super) fn cut_after(&self, bytes: usize) {
        self.0.left.store(bytes, Ordering::SeqCst);
    }

    /// Resets the connection before anything is answered.
    pub(super) fn reset(&self) {
        self.0.resets.store(true, Ordering::SeqCst);
        self.cut_after(0);
    }

    /// Sends one byte each `ms` from now on.
    pub(super) fn drip(&self, ms: u64) {
        self.0.pace_ms.store(ms, Ordering::SeqCst);
    }
}

impl Connected<IncomingStream<'_, CuttableListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        stream.remote_addr().clone()
    }
}

pub(super) struct CuttableListener(pub(super) TcpListener);

impl Listener for CuttableListener {
    type Io = CuttableStream;
    type Addr = Connection;

    async fn accept(&mut self) -> (CuttableStream, Connection) {
        loop {
            match self.0.accept().await {
                Ok((stream, _)) => {
                    // Small answers must not wait for more to send.
                    let _ = stream.set_nodelay(true);
                    let connection = Connection::new();
                    let stream = CuttableStream { stream, connection: connection.clone(), pause: None };
                    return (stream, connection);
                }
                Err(error) => {
                    tracing::warn!(%error, "the fake Google cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Connection> {
        Ok(Connection::new())
    }
}

/// A stream that writes no more than its [`Connection`] allows.
pub(super) struct CuttableStream {
    stream: TcpStream,
    connection: Connection,
    /// Until the next byte may be sent.
    pause: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for CuttableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let troubles = Arc::clone(&self.connection.0);
        let left = troubles.left.load(Ordering::SeqCst);
        if left == 0 {
            if troubles.resets.load(Ordering::SeqCst) {
                // With nothing left to linger for, the kernel sends RST when the socket is closed.
                let _ = self.stream.set_zero_linger();
            }
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let pace = Duration::from_millis(troubles.pace_ms.load(Ordering::SeqCst));
        let most = if pace.is_zero() { left } else { 1 };
        let part = &buf[..buf.len().min(most)];
        let written = std::task::ready!(Pin::new(&mut self.stream).poll_write(cx, part))?;
        if left != usize::MAX {
            troubles.left.store(left - written, Ordering::SeqCst);
        }
        if !pace.is_zero() {
            self.pause = Some(Box::pin(tokio::time::sleep(pace)));
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
