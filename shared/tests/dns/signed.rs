//! Which answers to an update of RFC 2136 count: a name server of the test's own, which answers what BIND never would.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hickory_proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{Name, TSigResponseContext, TSigner, rdata::tsig::TsigAlgorithm},
};
use serde_json::{Value, json};
use shared::dns::{Answer, Limits, Outcome, Park, Provider};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    bind::{OTHER_SECRET, SECRET},
    http, limits, now, wanted,
};

/// What comes back by TCP, length and all; none: nothing ever.
type Says = Option<Vec<u8>>;

/// What a server makes of a request.
type Answers = Box<dyn Fn(&Message) -> Says + Send>;

struct Server {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start(says: impl Fn(&Message) -> Says + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, mut tasks) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
        let count = Arc::clone(&asked);
        tasks.spawn(async move {
            let mut silent = Vec::new();
            loop {
                let (mut peer, _) = listener.accept().await.unwrap();
                let request = read(&mut peer).await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                match says(&request) {
                    Some(bytes) => peer.write_all(&bytes).await.unwrap(),
                    None => silent.push(peer),
                }
            }
        });
        Self { address, asked, _tasks: tasks }
    }
}

async fn read(peer: &mut TcpStream) -> io::Result<Message> {
    let mut bytes = vec![0; usize::from(peer.read_u16().await?)];
    peer.read_exact(&mut bytes).await?;
    Message::from_vec(&bytes).map_err(io::Error::other)
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn response(request: &Message, code: ResponseCode) -> Message {
    let mut answer = Message::response(request.metadata.id, OpCode::Update);
    answer.metadata.response_code = code;
    answer
}

/// A key, and how far its clock is from the client's, in seconds.
struct Key {
    name: &'static str,
    secret: &'static str,
    ahead: u64,
    /// The signature of the request that it answers; none: that of the request that came.
    to: Option<Vec<u8>>,
}

const KEY: Key = Key { name: "ddns-key", secret: SECRET, ahead: 0, to: None };

fn signed(mut answer: Message, request: &Message, key: Key) -> Message {
    let secret = STANDARD.decode(key.secret).unwrap();
    let name = Name::from_ascii(key.name).unwrap();
    let signer = TSigner::new(secret, TsigAlgorithm::HmacSha256, name, 300).unwrap();
    let to = key.to.unwrap_or_else(|| request.signature().unwrap().data.mac.clone());
    let time = u64::try_from(now().timestamp()).unwrap() + key.ahead;
    let context = TSigResponseContext::new(request.metadata.id, time, signer, to, None);
    let signature = context.sign(&answer.to_vec().unwrap()).unwrap();
    answer.set_signature(signature);
    answer
}

fn sent(answer: &Message) -> Vec<u8> {
    framed(&answer.to_vec().unwrap())
}

fn settings(server: SocketAddr) -> Value {
    json!({"provider": "rfc2136", "server": server.to_string(), "zone": "home.test", "key": "ddns-key"})
}

async fn update(settings: Value) -> Answer {
    within(limits(), settings).await
}

async fn within(limits: Limits, settings: Value) -> Answer {
    let provider = Provider::parse(settings).unwrap();
    let name = wanted("cloud.home.test", Some("192.0.2.7"), None);
    provider.update(&http(limits), &SECRET.into(), &name, now()).await.a.unwrap()
}

const NOERROR: ResponseCode = ResponseCode::NoError;

#[tokio::test]
async fn only_what_the_key_has_signed_is_a_success() {
    let good = Server::start(|request| Some(sent(&signed(response(request, NOERROR), request, KEY)))).await;
    assert_eq!(update(settings(good.address)).await.outcome, Outcome::Good);
    let by = |key: fn() -> Key| -> Answers {
        Box::new(move |request| Some(sent(&signed(response(request, NOERROR), request, key()))))
    };
    let unsigned = "not signed by the key";
    let all: Vec<(&str, Answers, &str)> = vec![
        ("unsigned", Box::new(|request| Some(sent(&response(request, NOERROR)))), unsigned),
        ("another secret", by(|| Key { secret: OTHER_SECRET, ..KEY }), unsigned),
        ("another name", by(|| Key { name: "other-key", ..KEY }), unsigned),
        ("another key", by(|| Key { name: "other-key", secret: OTHER_SECRET, ..KEY }), unsigned),
        ("an old signature", by(|| Key { ahead: 1000, ..KEY }), unsigned),
        ("an answer to another request", by(|| Key { to: Some(vec![7; 32]), ..KEY }), unsigned),
        (
            "changed on the way",
            Box::new(|request| {
                let mut answer = signed(response(request, ResponseCode::Refused), request, KEY);
                answer.metadata.response_code = NOERROR;
                Some(sent(&answer))
            }),
            unsigned,
        ),
        (
            "half a signature",
            Box::new(|request| {
                let mut answer = signed(response(request, NOERROR), request, KEY);
                let mut signature = answer.take_signature().unwrap();
                signature.data.mac.truncate(16);
                answer.set_signature(signature);
                Some(sent(&answer))
            }),
            unsigned,
        ),
        (
            "another id",
            Box::new(|request| {
                let mut answer = response(request, NOERROR);
                answer.metadata.id ^= 1;
                Some(sent(&signed(answer, request, KEY)))
            }),
            "to another message",
        ),
        ("nonsense", Box::new(|_| Some(framed(b"HTTP/1.1 200 OK\r\n\r\n"))), "no message of DNS"),
        ("nothing", Box::new(|_| Some(framed(b""))), "no message of DNS"),
        (
            "broken off",
            Box::new(|request| {
                let mut bytes = sent(&signed(response(request, NOERROR), request, KEY));
                bytes.truncate(bytes.len() - 1);
                Some(bytes)
            }),
            "early eof",
        ),
        ("closed", Box::new(|_| Some(Vec::new())), ""),
    ];
    for (what, says, why) in all {
        let server = Server::start(says).await;
        let answer = update(settings(server.address)).await;
        assert_eq!(answer.outcome, Outcome::Retry, "{what}: {answer:?}");
        assert!(answer.said.contains(why), "{what}: {answer:?}");
        assert_eq!(server.asked.load(Ordering::SeqCst), 1, "{what}");
    }
    let silent = Server::start(|_| None).await;
    let quick = Limits { call: Duration::from_secs(2), ..limits() };
    let answer = within(quick, settings(silent.address)).await;
    assert_eq!(answer.outcome, Outcome::Retry);
    assert!(answer.said.contains("no answer within 2 s"), "{answer:?}");
}

#[tokio::test]
async fn each_code_has_its_outcome_if_it_is_signed() {
    for (code, outcome) in [
        (NOERROR, Outcome::Good),
        (ResponseCode::Refused, Outcome::Park(Park::NotPermitted)),
        (ResponseCode::NotAuth, Outcome::Park(Park::NotZone)),
        (ResponseCode::NotZone, Outcome::Park(Park::NotZone)),
        (ResponseCode::NotImp, Outcome::Park(Park::NotZone)),
        (ResponseCode::NXRRSet, Outcome::Park(Park::NoHost)),
        (ResponseCode::YXRRSet, Outcome::Retry),
        (ResponseCode::YXDomain, Outcome::Retry),
        (ResponseCode::NXDomain, Outcome::Retry),
        (ResponseCode::ServFail, Outcome::Retry),
        (ResponseCode::FormErr, Outcome::Refused),
    ] {
        let server =
            Server::start(move |request| Some(sent(&signed(response(request, code), request, KEY)))).await;
        assert_eq!(update(settings(server.address)).await.outcome, outcome, "{code}");
        let server = Server::start(move |request| Some(sent(&response(request, code)))).await;
        let mut settings = settings(server.address);
        for owner in [Value::Null, json!("fleet one")] {
            settings["owner"] = owner;
            assert_eq!(update(settings.clone()).await.outcome, Outcome::Retry, "{code}");
        }
        // What nobody has signed is no word on the owner's mark: nothing more is sent.
        assert_eq!(server.asked.load(Ordering::SeqCst), 2, "{code}");
    }
}
