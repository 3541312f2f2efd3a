//! Logins and names, looked up together for all calls of some milliseconds.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use shared::{
    shutdown::Tasks,
    store::{
        PgPool,
        dns_hosts::{self, Known},
        dns_logins::{self, Credentials},
        limited,
    },
};

use crate::listen::gather::{Gather, Words};

/// Calls of one look, at the most.
const BATCH: usize = 500;

/// How long the database may take.
const LIMIT: Duration = Duration::from_secs(3);

const WORDS: Words = Words {
    away: "routers' calls cannot be looked up, they are to come again",
    back: "routers' calls are looked up again",
};

/// Whom and what a call names.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) username: String,
    pub(super) hosts: Vec<String>,
}

/// What there is of it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) login: Option<Credentials>,
    /// The names, whoever may call them.
    pub(super) hosts: HashMap<String, Known>,
}

pub(super) fn start(db: &PgPool, tasks: &Tasks) -> Gather<Look, Found> {
    let db = db.clone();
    Gather::start(tasks, WORDS, BATCH, move |looks| {
        let db = db.clone();
        async move { limited(LIMIT, look(&db, &looks)).await }
    })
}

async fn look(db: &PgPool, looks: &[Look]) -> Result<Vec<Found>, sqlx::Error> {
    let mut conn = db.acquire().await?;
    let usernames: HashSet<&String> = looks.iter().map(|look| &look.username).collect();
    let hosts: HashSet<&String> = looks.iter().flat_map(|look| &look.hosts).collect();
    let usernames: Vec<String> = usernames.into_iter().cloned().collect();
    let hosts: Vec<String> = hosts.into_iter().cloned().collect();
    let logins = dns_logins::credentials(&mut conn, &usernames).await?;
    let known = if hosts.is_empty() { Vec::new() } else { dns_hosts::known(&mut conn, &hosts).await? };
    let logins: HashMap<&str, &Credentials> =
        logins.iter().map(|login| (login.username.as_str(), login)).collect();
    let known: HashMap<&str, &Known> = known.iter().map(|host| (host.hostname.as_str(), host)).collect();
    let found = |look: &Look| Found {
        login: logins.get(look.username.as_str()).map(|login| (*login).clone()),
        hosts: look
            .hosts
            .iter()
            .filter_map(|host| Some((host.clone(), (*known.get(host.as_str())?).clone())))
            .collect(),
    };
    Ok(looks.iter().map(found).collect())
}
