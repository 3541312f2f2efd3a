//! Who may read a tenant's feed: table `feed_tokens`. It has fingerprints, not the tokens themselves.
//!
//! A token is `sft_NUMBER_SECRET`, the secret 32 random bytes. With so much chance in it a keyed hash is as good as a slow one,
//! and its comparison takes the same time whatever is given.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sqlx::PgConnection;

use crate::job::TenantId;

/// What a token begins with, so that scanners for leaked secrets know it.
const PREFIX: &str = "sft_";

/// A token, without itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FeedToken {
    /// Its number.
    pub id: i64,
    /// Whose feed it opens.
    pub tenant: String,
    /// Its name, for people.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was used last, by the hour.
    pub used_at: Option<DateTime<Utc>>,
}

fn key() -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, b"syncfleet feed token")
}

/// Makes a token: its number, and the token, which is not to be had again. None: the tenant has one of that name.
pub async fn insert(
    conn: &mut PgConnection,
    tenant: TenantId,
    name: &str,
) -> Result<Option<(i64, SecretString)>, sqlx::Error> {
    let mut secret = [0; 32];
    SystemRandom::new()
        .fill(&mut secret)
        .map_err(|_| sqlx::Error::Io(std::io::Error::other("the system gave no random bytes")))?;
    let secret = SecretString::from(URL_SAFE_NO_PAD.encode(secret));
    let hash = hmac::sign(&key(), secret.expose_secret().as_bytes());
    let id = sqlx::query_scalar!(
        "-- feed_tokens::insert
        insert into feed_tokens (tenant_id, name, hash, created_at) values ($1, $2, $3, clock())
        on conflict (tenant_id, name) do nothing
        returning id",
        tenant,
        name,
        hash.as_ref(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.map(|id| (id, SecretString::from(format!("{PREFIX}{id}_{}", secret.expose_secret())))))
}

/// The number and the secret of a token.
fn parts(token: &str) -> Option<(i64, &str)> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    Some((id.parse().ok().filter(|id| *id > 0)?, secret))
}

/// Whose feed the token opens, and the token's number; none: it is not good, or not any more. Notes its use.
pub async fn check(
    conn: &mut PgConnection,
    token: &SecretString,
) -> Result<Option<(TenantId, i64)>, sqlx::Error> {
    let Some((id, secret)) = parts(token.expose_secret()) else { return Ok(None) };
    let found = sqlx::query!(
        r#"-- feed_tokens::check
        select tenant_id, hash, coalesce(used_at < clock() - interval '1 hour', true) as "stale!"
        from feed_tokens where id = $1"#,
        id
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = found else { return Ok(None) };
    if hmac::verify(&key(), secret.as_bytes(), &row.hash).is_err() {
        return Ok(None);
    }
    if row.stale {
        sqlx::query!(
            "-- feed_tokens::check (used)\nupdate feed_tokens set used_at = clock() where id = $1",
            id
        )
        .execute(conn)
        .await?;
    }
    Ok(Some((row.tenant_id, id)))
}

/// Whether the token is still there.
pub async fn stands(conn: &mut PgConnection, id: i64) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- feed_tokens::stands
        select exists (select from feed_tokens where id = $1) as "stands!""#,
        id
    )
    .fetch_one(conn)
    .await
}

/// All tokens, or a tenant's, by number.
pub async fn list(conn: &mut PgConnection, tenant: Option<TenantId>) -> Result<Vec<FeedToken>, sqlx::Error> {
    sqlx::query_as!(
        FeedToken,
        "-- feed_tokens::list
        select f.id, t.name as tenant, f.name, f.created_at, f.used_at
        from feed_tokens f join tenants t on t.id = f.tenant_id
        where $1::bigint is null or f.tenant_id = $1
        order by f.id",
        tenant,
    )
    .fetch_all(conn)
    .await
}

/// Removes a token: tenant and name of it; none: there is no such token.
pub async fn remove(conn: &mut PgConnection, id: i64) -> Result<Option<(String, String)>, sqlx::Error> {
    let row = sqlx::query!(
        "-- feed_tokens::remove
        delete from feed_tokens f using tenants t
        where f.id = $1 and t.id = f.tenant_id
        returning t.name as tenant, f.name",
        id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.tenant, row.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_a_number_and_a_secret() {
        assert_eq!(parts("sft_12_a_b-c"), Some((12, "a_b-c")));
        for bad in ["", "sft_", "sft_1", "sft__x", "sft_0_x", "sft_-1_x", "x_1_x", "Sft_1_x"] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }
}
