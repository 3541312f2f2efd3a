//! `keys`: the keys that seal tokens, and moving everything under the current one.
//!
//! # The races of a rotation
//!
//! - *A worker stores a token while it is sealed anew.* The write names the bytes that it replaces, and finds them gone: the
//!   worker's token stays, and the next round comes to it.
//! - *A worker still seals under the old key.* Rounds go on until one finds nothing, a few times; what is left then is told.
//! - *It is killed, or two run at once.* Each batch is a transaction of its own, and both keys open until all is done.

use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::{Actor, AdminError, remove::retried};
use crate::{
    secrets::{KeyRing, OpenError},
    store::{
        audit,
        secrets::{self, Place, Row},
    },
};

/// How many values are sealed anew in one transaction.
pub const BATCH: i64 = 500;

/// A key, in the ring or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// Whether the ring has it.
    pub in_ring: bool,
    /// Whether it seals what is stored from now on.
    pub current: bool,
    /// How many secrets are sealed under it.
    pub secrets: i64,
    /// Whether it opens one of them; none: there is none, or the ring lacks it.
    pub opens: Option<bool>,
}

impl Key {
    /// Whether secrets need it and cannot be opened with this ring.
    #[must_use]
    pub fn is_lacking(&self) -> bool {
        self.secrets > 0 && self.opens != Some(true)
    }
}

/// The keys of the ring in its order, then those that secrets need and the ring lacks.
pub async fn ls(conn: &mut PgConnection, ring: &KeyRing) -> Result<Vec<Key>, AdminError> {
    let mut used = secrets::by_key(conn).await?;
    let mut keys = Vec::new();
    for (place, id) in ring.ids().enumerate() {
        let secrets = used.iter().position(|key| key.key_id == id).map_or(0, |at| used.remove(at).secrets);
        let sample = secrets::sample(conn, id).await?;
        let opens = sample.map(|row| ring.open(row.owner(), &row.sealed).is_ok());
        keys.push(Key { id: id.to_owned(), in_ring: true, current: place == 0, secrets, opens });
    }
    let lacking = |used: secrets::KeyUse| Key {
        id: used.key_id,
        in_ring: false,
        current: false,
        secrets: used.secrets,
        opens: None,
    };
    keys.extend(used.into_iter().map(lacking));
    Ok(keys)
}

/// What a rotation has to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The current key.
    pub to: String,
    /// How many secrets are sealed under others.
    pub secrets: i64,
}

/// What a rotation would do now.
pub async fn plan(conn: &mut PgConnection, ring: &KeyRing) -> Result<Plan, AdminError> {
    let to = ring.current().to_owned();
    let used = secrets::by_key(conn).await?;
    let secrets = used.iter().filter(|used| used.key_id != to).map(|used| used.secrets).sum();
    Ok(Plan { to, secrets })
}

/// Writes down that everything is about to be sealed under the current key. Nothing is written if everything is.
pub async fn begin(db: &PgPool, actor: &Actor, ring: &KeyRing) -> Result<Plan, AdminError> {
    let mut tx = db.begin().await?;
    let plan = plan(&mut tx, ring).await?;
    if plan.secrets > 0 {
        audit::write(&mut tx, actor.as_str(), "keys.rotate", &plan.to, &json!({ "secrets": plan.secrets }))
            .await?;
    }
    tx.commit().await?;
    Ok(plan)
}

/// What a batch came to.
#[derive(Debug, Default)]
pub struct Batch {
    /// Where the next one begins; none: this was the last of its round.
    pub next: Option<Place>,
    /// How many were sealed anew.
    pub resealed: i64,
    /// Those that cannot be opened. They stay as they are.
    pub unopened: Vec<OpenError>,
}

/// Seals the next [`BATCH`] secrets after `after` under the current key.
pub async fn batch(db: &PgPool, ring: &KeyRing, after: Option<&Place>) -> Result<Batch, AdminError> {
    retried(async || one_batch(db, ring, after).await).await
}

async fn one_batch(db: &PgPool, ring: &KeyRing, after: Option<&Place>) -> Result<Batch, AdminError> {
    let mut tx = db.begin().await?;
    let rows = secrets::sealed_otherwise(&mut tx, ring.current(), after, BATCH).await?;
    let mut batch = Batch { next: rows.last().map(Row::place), ..Batch::default() };
    let mut anew = Vec::with_capacity(rows.len());
    for row in rows {
        match ring.reseal(row.owner(), &row.sealed) {
            Ok(sealed) => anew.push((row, sealed)),
            Err(error) => batch.unopened.push(error),
        }
    }
    batch.resealed = i64::try_from(secrets::reseal(&mut tx, &anew).await?).unwrap_or(i64::MAX);
    tx.commit().await?;
    Ok(batch)
}
