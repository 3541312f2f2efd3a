//! A Redis of a test's own: bells of several fleets must not be mixed.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::process::{LIMIT, until};

/// A server of the test's own.
pub struct Redis {
    child: Child,
    pub address: SocketAddr,
}

impl Redis {
    pub async fn start(address: SocketAddr) -> Self {
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "/tmp", "--port"])
            .arg(address.port().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let redis = Self { child, address };
        until("Redis answers", LIMIT, async || redis.ask("PING").await.is_some()).await;
        redis
    }

    /// The first bytes of the answer to a command; none: Redis is away.
    pub async fn ask(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).await.ok()?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).await.ok()?;
        String::from_utf8(answer[..length].to_vec()).ok()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
