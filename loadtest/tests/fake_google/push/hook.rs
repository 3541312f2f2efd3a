//! A webhook that Google calls.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    task::JoinSet,
};

/// A webhook that answers with these statuses, then with 200.
pub struct Hook {
    pub address: String,
    heard: Mutex<mpsc::UnboundedReceiver<HeaderMap>>,
    /// Dropping the set ends it.
    _server: JoinSet<std::io::Result<()>>,
}

type Answers = (mpsc::UnboundedSender<HeaderMap>, Arc<std::sync::Mutex<Vec<u16>>>);

pub async fn hook(answers: &[u16]) -> Hook {
    async fn receive(State((say, answers)): State<Answers>, headers: HeaderMap) -> StatusCode {
        say.send(headers).unwrap();
        let mut answers = answers.lock().unwrap();
        if answers.is_empty() { StatusCode::OK } else { StatusCode::from_u16(answers.remove(0)).unwrap() }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let (say, heard) = mpsc::unbounded_channel();
    let state: Answers = (say, Arc::new(std::sync::Mutex::new(answers.to_vec())));
    let app = Router::new().route("/hook", post(receive)).with_state(state);
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, app).await });
    Hook { address, heard: Mutex::new(heard), _server: server }
}

impl Hook {
    pub async fn next(&self) -> HeaderMap {
        let mut heard = self.heard.lock().await;
        tokio::time::timeout(Duration::from_secs(30), heard.recv()).await.unwrap().unwrap()
    }
}

pub fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(format!("x-goog-{name}")).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
}
