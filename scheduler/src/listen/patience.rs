//! Connections whose peer does not read: they are cut off, so that nobody holds memory, a place, or the end of the process.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How long a peer may take nothing of what is written to it after the soft word.
const HURRY: Duration = Duration::from_secs(2);

/// A connection with limited patience.
pub(super) struct Connection {
    io: TcpStream,
    limit: Duration,
    /// The soft word, until it was heard while a write waited.
    soft: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// When a write that waits is given up.
    until: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    /// `limit`: how long the peer may take nothing.
    pub(super) fn new(io: TcpStream, soft: CancellationToken, limit: Duration) -> Self {
        Self { io, limit, soft: Some(Box::pin(soft.cancelled_owned())), until: None }
    }

    /// What came of a write, or of its waiting.
    fn wrote<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.until = None;
            return written;
        }
        let limit = if self.soft.is_some() { self.limit } else { HURRY };
        let until = self.until.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if self.soft.as_mut().is_some_and(|soft| soft.as_mut().poll(context).is_ready()) {
            self.soft = None;
            until.as_mut().reset(Instant::now() + HURRY);
        }
        match until.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.wrote(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.wrote(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    async fn pair(limit: Duration, soft: &CancellationToken) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Connection::new(listener.accept().await.unwrap().0, soft.clone(), limit), peer)
    }

    async fn fill(connection: &mut Connection) -> io::Error {
        let bytes = vec![7; 1 << 20];
        loop {
            if let Err(error) = connection.write_all(&bytes).await {
                return error;
            }
        }
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_cut_off() {
        let (mut connection, _peer) = pair(Duration::from_millis(200), &CancellationToken::new()).await;
        assert_eq!(fill(&mut connection).await.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_peer_that_reads_slowly_is_not() {
        let (mut connection, mut peer) = pair(Duration::from_millis(500), &CancellationToken::new()).await;
        let bytes = vec![7; 8 << 20];
        let reading = async {
            let mut read = 0;
            let mut buffer = vec![0; 1 << 20];
            while read < bytes.len() {
                read += peer.read(&mut buffer).await.unwrap();
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
        };
        let (written, ()) = tokio::join!(connection.write_all(&bytes), reading);
        written.unwrap();
    }

    #[tokio::test]
    async fn after_the_soft_word_nobody_waits_for_long() {
        let soft = CancellationToken::new();
        let (mut connection, _peer) = pair(Duration::from_hours(1), &soft).await;
        let began = std::time::Instant::now();
        let (error, ()) = tokio::join!(fill(&mut connection), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            soft.cancel();
        });
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}
