//! `feed`: who may read what changes, and reading it.

use secrecy::SecretString;
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::{Actor, AdminError, account::AccountRef, tenant};
use crate::{
    job::TenantId,
    store::{
        accounts, audit,
        changes::{Resource, Subject, What},
        feed_tokens::{self, FeedToken},
    },
};

/// A token that was just made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its number.
    pub id: i64,
    /// The token itself, which is not to be had again.
    pub token: SecretString,
}

/// Makes a token that opens a tenant's feed.
pub async fn add_token(db: &PgPool, actor: &Actor, tenant: &str, name: &str) -> Result<NewToken, AdminError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(AdminError::Refused(
            "a token's name has 1 to 100 characters, none of them a control character".to_owned(),
        ));
    }
    let mut tx = db.begin().await?;
    let id = tenant::find(&mut tx, tenant).await?;
    let Some((id, token)) = feed_tokens::insert(&mut tx, id, name).await? else {
        return Err(AdminError::Refused(format!("tenant {tenant} has a feed token named {name} already")));
    };
    audit::write(&mut tx, actor.as_str(), "feed.token.add", tenant, &json!({ "token": id, "name": name }))
        .await?;
    tx.commit().await?;
    Ok(NewToken { id, token })
}

/// The tokens, or a tenant's.
pub async fn tokens(conn: &mut PgConnection, tenant: Option<&str>) -> Result<Vec<FeedToken>, AdminError> {
    let tenant = match tenant {
        Some(name) => Some(tenant::find(conn, name).await?),
        None => None,
    };
    Ok(feed_tokens::list(conn, tenant).await?)
}

/// A token that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Its number.
    pub id: i64,
    /// Whose feed it opened.
    pub tenant: String,
    /// Its name.
    pub name: String,
}

/// Removes a token. Whoever reads with it is cut off within some seconds.
pub async fn remove_token(db: &PgPool, actor: &Actor, id: i64) -> Result<Removed, AdminError> {
    let mut tx = db.begin().await?;
    let Some((tenant, name)) = feed_tokens::remove(&mut tx, id).await? else {
        return Err(AdminError::not_found("feed token", id, "`syncfleet feed token ls` shows all"));
    };
    audit::write(&mut tx, actor.as_str(), "feed.token.rm", &tenant, &json!({ "token": id, "name": name }))
        .await?;
    tx.commit().await?;
    Ok(Removed { id, tenant, name })
}

/// Whose changes, and which: of a tenant, of an account, or of an account that must be the tenant's.
pub async fn subject(
    conn: &mut PgConnection,
    tenant: Option<&str>,
    account: Option<&AccountRef>,
    resources: &[Resource],
    whats: &[What],
) -> Result<Subject, AdminError> {
    let (resources, whats) = (resources.to_vec(), whats.to_vec());
    let named: Option<TenantId> = match tenant {
        Some(name) => Some(tenant::find(&mut *conn, name).await?),
        None => None,
    };
    let Some(account) = account else {
        let tenant = named.ok_or_else(|| AdminError::Refused("name a tenant or an account".to_owned()))?;
        return Ok(Subject { tenant, account: None, resources, whats });
    };
    // An address may be known to several tenants.
    let id = match (named, account) {
        (Some(tenant), AccountRef::Email(email)) => {
            accounts::find(&mut *conn, Some(tenant), email).await?.first().map(|found| found.id)
        }
        _ => Some(account.find(&mut *conn).await?),
    };
    let row = match id {
        Some(id) => accounts::get(conn, id).await?,
        None => None,
    };
    let row = row.filter(|row| named.is_none_or(|named| named == row.tenant));
    let row = row.ok_or_else(|| AdminError::not_found("account", account, "not in that tenant"))?;
    Ok(Subject { tenant: row.tenant, account: Some(row.id), resources, whats })
}
