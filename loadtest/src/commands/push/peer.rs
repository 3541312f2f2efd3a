//! What most programs do: an axum handler that checks the token and writes one row for each notification.

use std::{io::Write, net::Ipv4Addr, process::Stdio, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use secrecy::SecretString;
use shared::{
    google::channels::token::Tokens,
    secrets::KeyRing,
    store::{PgPool, Session, connect},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};

/// Its table.
pub const TABLE: &str = "create table push_peer (
    id bigint generated always as identity primary key,
    channel text not null,
    resource_id text not null,
    job_id bigint not null,
    at timestamptz not null default now()
)";

/// Connections to the database: as many as an ingress has.
const CONNECTIONS: u32 = 10;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long, env = "PUSH_PEER_DATABASE_URL", hide_env_values = true)]
    database_url: SecretString,
    #[arg(long, env = "PUSH_PEER_KEYS", hide_env_values = true)]
    keys: SecretString,
}

/// A running peer. Dropping it ends it.
pub struct Peer {
    pub url: String,
    _child: Child,
}

/// Starts one in a process of its own.
pub async fn start(database_url: &str, keys: &str) -> anyhow::Result<Peer> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("push-peer")
        .env("PUSH_PEER_DATABASE_URL", database_url)
        .env("PUSH_PEER_KEYS", keys)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start the peer")?;
    let mut lines = BufReader::new(child.stdout.take().context("the peer has no output")?).lines();
    let line =
        tokio::time::timeout(PATIENCE, lines.next_line()).await.context("the peer does not start")??;
    Ok(Peer { url: line.context("the peer has ended")?, _child: child })
}

/// Runs until it is ended. Prints one line, its URL.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let db = connect(&args.database_url, &Session::new("push peer", CONNECTIONS))?;
    let tokens = Tokens::new(&KeyRing::parse(&args.keys)?)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}/peer", listener.local_addr()?);
    let app = Router::new().route("/peer", post(receive)).with_state((db, Arc::new(tokens)));
    writeln!(std::io::stdout(), "{url}").context("cannot print the URL")?;
    axum::serve(listener, app).await.context("the peer ended")
}

async fn receive(State((db, tokens)): State<(PgPool, Arc<Tokens>)>, headers: HeaderMap) -> StatusCode {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (channel, resource_id) = (text("x-goog-channel-id"), text("x-goog-resource-id"));
    let Ok(named) = tokens.check(channel, text("x-goog-channel-token")) else {
        return StatusCode::FORBIDDEN;
    };
    let inserted = sqlx::query("insert into push_peer (channel, resource_id, job_id) values ($1, $2, $3)")
        .bind(channel)
        .bind(resource_id)
        .bind(named.job)
        .execute(&db)
        .await;
    if inserted.is_ok() { StatusCode::NO_CONTENT } else { StatusCode::SERVICE_UNAVAILABLE }
}
