//! A fake of a provider: an HTTP server on loopback that gives the answers it was told, one after another, and notes what it was asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{net::TcpListener, task::JoinSet};

/// One answer.
pub enum Says {
    /// Status and body.
    Text(u16, String),
    /// Status, one header, and body.
    With(u16, &'static str, String, String),
    /// Status and bytes that are no text.
    Bytes(u16, Vec<u8>),
    /// None, ever.
    Nothing,
    /// The beginning of a body; then the connection ends.
    BrokenOff(&'static str),
    /// A body without end.
    Endless,
}

/// Status and body.
pub fn says(status: u16, body: impl std::fmt::Display) -> Says {
    Says::Text(status, body.to_string())
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// Path and parameters, as sent.
    pub path: String,
    pub authorization: String,
    pub agent: String,
    pub body: String,
}

impl Asked {
    /// User and password of the basic authentication.
    pub fn basic(&self) -> String {
        let encoded = self.authorization.strip_prefix("Basic ").unwrap();
        String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
    }

    /// Method and path.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Says>>,
    asked: Mutex<Vec<Asked>>,
}

/// The fake. It ends with its value.
pub struct Fake {
    /// Where it listens, without a slash at the end.
    pub url: String,
    script: Arc<Script>,
    _tasks: JoinSet<()>,
}

impl Fake {
    pub async fn start(answers: impl IntoIterator<Item = Says>) -> Self {
        let script =
            Arc::new(Script { answers: Mutex::new(answers.into_iter().collect()), ..Script::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(Arc::clone(&script));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, script, _tasks: tasks }
    }

    /// Gives these answers after those that it was told before.
    pub fn will_say(&self, answers: impl IntoIterator<Item = Says>) {
        self.script.answers.lock().unwrap().extend(answers);
    }

    /// What came, and that no answer is left over.
    pub fn asked(&self) -> Vec<Asked> {
        assert!(self.script.answers.lock().unwrap().is_empty(), "fewer requests came than expected");
        self.script.asked.lock().unwrap().clone()
    }

    /// Method and path of what came.
    pub fn lines(&self) -> Vec<String> {
        self.asked().iter().map(Asked::line).collect()
    }
}

async fn answer(State(script): State<Arc<Script>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let header = |name: &str| {
        parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    let body = to_bytes(body, 1 << 20).await.unwrap();
    script.asked.lock().unwrap().push(Asked {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        authorization: header("authorization"),
        agent: header("user-agent"),
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let next = script.answers.lock().unwrap().pop_front();
    let status = |status| axum::http::StatusCode::from_u16(status).unwrap();
    match next {
        Some(Says::Text(code, body)) => (status(code), body).into_response(),
        Some(Says::With(code, name, value, body)) => (status(code), [(name, value)], body).into_response(),
        Some(Says::Bytes(code, body)) => (status(code), body).into_response(),
        Some(Says::BrokenOff(beginning)) => {
            let parts = [Ok(beginning), Err(std::io::Error::other("broken off"))];
            Body::from_stream(futures_util::stream::iter(parts)).into_response()
        }
        Some(Says::Nothing) => std::future::pending().await,
        Some(Says::Endless) => {
            let chunk = || Some((Ok::<_, std::io::Error>(vec![b'x'; 4096]), ()));
            Body::from_stream(futures_util::stream::unfold((), move |()| std::future::ready(chunk())))
                .into_response()
        }
        None => (status(418), "one request too many").into_response(),
    }
}
