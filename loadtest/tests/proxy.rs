//! The proxy between a client and an echo server.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use loadtest::proxy::{Connections, Mode, Proxy, Upstream};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener},
    task::JoinSet,
    time::timeout,
};

const LONG: Duration = Duration::from_secs(10);

async fn echo(stream: impl AsyncRead + AsyncWrite) {
    let (mut read, mut write) = tokio::io::split(stream);
    // A cut connection ends the echo; the tests look at the client's side.
    let _ = tokio::io::copy(&mut read, &mut write).await;
    let _ = write.shutdown().await;
}

/// A proxy before an echo server, which lives as long as the set.
async fn setup() -> (Proxy, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap().to_string().parse().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut echoes = JoinSet::new();
        loop {
            echoes.spawn(echo(listener.accept().await.unwrap().0));
        }
    });
    (Proxy::start(upstream).await.unwrap(), tasks)
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.addr()).await.unwrap()
}

async fn round_trip(client: &mut TcpStream, text: &str) -> std::io::Result<()> {
    client.write_all(text.as_bytes()).await?;
    receive(client, text).await
}

async fn receive(client: &mut TcpStream, text: &str) -> std::io::Result<()> {
    let mut answer = vec![0; text.len()];
    timeout(LONG, client.read_exact(&mut answer)).await.unwrap()?;
    assert_eq!(answer, text.as_bytes());
    Ok(())
}

async fn assert_reset(client: &mut TcpStream) {
    let error = timeout(LONG, client.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

async fn until(proxy: &Proxy, fits: impl Fn(Connections) -> bool) {
    let deadline = Instant::now() + LONG;
    while !fits(proxy.connections()) {
        assert!(Instant::now() < deadline, "{:?}", proxy.connections());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn forwards_much_data_and_the_end_of_a_stream() {
    let (proxy, _echo) = setup().await;
    let (mut read, mut write) = connect(&proxy).await.into_split();
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let expected = sent.clone();
    let mut sender = JoinSet::new();
    sender.spawn(async move {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let mut got = Vec::new();
    timeout(LONG, read.read_to_end(&mut got)).await.unwrap().unwrap();
    assert!(got == expected, "{} of {} bytes", got.len(), expected.len());
    until(&proxy, |now| now == Connections { accepted: 1, refused: 0, open: 0 }).await;
}

#[tokio::test]
async fn forwards_to_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { echo(listener.accept().await.unwrap().0).await });
    let proxy = Proxy::start(Upstream::Unix(path)).await.unwrap();
    round_trip(&mut connect(&proxy).await, "hello").await.unwrap();
}

#[tokio::test]
async fn cut_resets_open_connections_and_spares_new_ones() {
    let (proxy, _echo) = setup().await;
    let (mut one, mut two) = (connect(&proxy).await, connect(&proxy).await);
    round_trip(&mut one, "one").await.unwrap();
    round_trip(&mut two, "two").await.unwrap();
    assert_eq!(proxy.connections().open, 2);
    proxy.cut();
    assert_reset(&mut one).await;
    assert_reset(&mut two).await;
    round_trip(&mut connect(&proxy).await, "three").await.unwrap();
    until(&proxy, |now| now == Connections { accepted: 3, refused: 0, open: 0 }).await;
}

#[tokio::test]
async fn refuse_resets_new_connections_and_spares_open_ones() {
    let (proxy, _echo) = setup().await;
    let mut open = connect(&proxy).await;
    round_trip(&mut open, "before").await.unwrap();
    proxy.set(Mode::Refuse);
    // The reset may come before or after connect has returned.
    if let Ok(mut client) = TcpStream::connect(proxy.addr()).await {
        assert_reset(&mut client).await;
    }
    until(&proxy, |now| now.refused == 1).await;
    round_trip(&mut open, "still").await.unwrap();
    proxy.set(Mode::Forward);
    round_trip(&mut connect(&proxy).await, "again").await.unwrap();
}

#[tokio::test]
async fn a_black_hole_keeps_everything_until_it_ends() {
    let (proxy, _echo) = setup().await;
    let mut client = connect(&proxy).await;
    round_trip(&mut client, "before").await.unwrap();
    proxy.set(Mode::BlackHole);
    let silence = timeout(Duration::from_millis(100), round_trip(&mut client, "lost?")).await;
    assert!(silence.is_err(), "something passed or the connection was closed");
    let mut fresh = connect(&proxy).await;
    assert!(timeout(Duration::from_millis(100), round_trip(&mut fresh, "new")).await.is_err());
    proxy.set(Mode::Forward);
    receive(&mut client, "lost?").await.unwrap();
    receive(&mut fresh, "new").await.unwrap();
}

#[tokio::test]
async fn a_black_hole_can_be_cut() {
    let (proxy, _echo) = setup().await;
    let mut client = connect(&proxy).await;
    round_trip(&mut client, "before").await.unwrap();
    proxy.set(Mode::BlackHole);
    client.write_all(b"lost").await.unwrap();
    proxy.cut();
    assert_reset(&mut client).await;
}

#[tokio::test]
async fn a_delay_counts_in_both_directions_and_does_not_add_up() {
    let (proxy, _echo) = setup().await;
    let mut client = connect(&proxy).await;
    round_trip(&mut client, "warm").await.unwrap();
    let delay = Duration::from_millis(150);
    proxy.set(Mode::Delay(delay));
    let begin = Instant::now();
    let (mut read, mut write) = client.split();
    for _ in 0..10 {
        write.write_all(b"x").await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut answer = [0; 10];
    timeout(LONG, read.read_exact(&mut answer)).await.unwrap().unwrap();
    let took = begin.elapsed();
    assert!(took >= 2 * delay, "{took:?}");
    assert!(took < 10 * delay, "each of ten pieces waited for the one before: {took:?}");
}

#[tokio::test]
async fn an_upstream_that_is_away_is_a_refusal_and_may_come_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let proxy = Proxy::start(Upstream::Tcp(address.to_string())).await.unwrap();
    assert_reset(&mut connect(&proxy).await).await;
    assert_eq!(proxy.connections(), Connections { accepted: 0, refused: 1, open: 0 });
    let listener = TcpListener::bind(address).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { echo(listener.accept().await.unwrap().0).await });
    round_trip(&mut connect(&proxy).await, "back").await.unwrap();
}

#[tokio::test]
async fn a_dropped_proxy_closes_everything() {
    let (proxy, _echo) = setup().await;
    let mut client = connect(&proxy).await;
    round_trip(&mut client, "before").await.unwrap();
    let address = proxy.addr();
    drop(proxy);
    let ended = timeout(LONG, client.read(&mut [0])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)));
    let deadline = Instant::now() + LONG;
    while TcpStream::connect(address).await.is_ok() {
        assert!(Instant::now() < deadline, "the port is still open");
    }
}

#[test]
fn an_upstream_is_an_address_or_a_path() {
    assert_eq!("127.0.0.1:5432".parse::<Upstream>().unwrap(), Upstream::Tcp("127.0.0.1:5432".to_owned()));
    assert_eq!("/run/x.sock".parse::<Upstream>().unwrap(), Upstream::Unix("/run/x.sock".into()));
    for bad in ["", "host", ":5432", "host:port", "host:70000"] {
        let error = bad.parse::<Upstream>().unwrap_err().to_string();
        assert!(error.contains("host:port"), "{bad}: {error}");
    }
}

#[tokio::test]
async fn several_upstreams_take_turns_and_one_that_is_away_is_passed_over() {
    let mut tasks = JoinSet::new();
    let mut addresses = Vec::new();
    for letter in [b'a', b'b'] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.push(listener.local_addr().unwrap().to_string());
        tasks.spawn(async move {
            loop {
                listener.accept().await.unwrap().0.write_all(&[letter]).await.unwrap();
            }
        });
    }
    // Bound and dropped: nobody listens there.
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    addresses.insert(1, away);
    let proxy = Proxy::start(Upstream::Balanced(addresses)).await.unwrap();
    let mut letters = Vec::new();
    for _ in 0..6 {
        letters.push(timeout(LONG, connect(&proxy).await.read_u8()).await.unwrap().unwrap());
    }
    assert_eq!(letters, b"abbabb");
}
