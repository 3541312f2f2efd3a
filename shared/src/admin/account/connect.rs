use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use url::Url;

use super::AccountRef;
use crate::{
    admin::{Actor, AdminError, tenant},
    google::sign_in::Secret,
    job::TenantId,
    store::{
        accounts::{self, AccountRow},
        audit, sign_in_links,
    },
};

/// Whose sign-in is asked for.
#[derive(Debug, Clone)]
pub struct Connect<'a> {
    /// Whose the account is or will be, by name.
    pub tenant: &'a str,
    /// Who is to sign in again; none: anybody.
    pub account: Option<&'a AccountRef>,
    /// How long the link is good.
    pub valid: Duration,
}

/// A link to sign in by. Whoever has it may connect one Google account with the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The address to open in a browser. The secret in it is kept nowhere else.
    pub url: String,
    /// Whose the account is or will be.
    pub tenant: String,
    /// Who is to sign in; none: anybody.
    pub account: Option<String>,
    /// Until when it is good. It is good for once.
    pub expires_at: DateTime<Utc>,
}

/// Makes a link to sign in by, below the fleet's public address.
pub async fn connect(
    db: &PgPool,
    actor: &Actor,
    public_url: &Url,
    connect: &Connect<'_>,
) -> Result<Link, AdminError> {
    let refused = |error: String| AdminError::Refused(format!("no link can be made: {error}"));
    let secret = Secret::draw().map_err(|error| refused(error.to_string()))?;
    let mut url = public_url.join("oauth2/start").map_err(|error| refused(error.to_string()))?;
    url.query_pairs_mut().append_pair("link", secret.expose());
    let mut tx = db.begin().await?;
    let tenant = tenant::find(&mut tx, connect.tenant).await?;
    let account = match connect.account {
        Some(account) => Some(of_tenant(&mut tx, tenant, connect.tenant, account).await?),
        None => None,
    };
    let id = account.as_ref().map(|account| account.id);
    let (link, expires_at) =
        sign_in_links::insert(&mut tx, &secret.hash(), tenant, id, connect.valid).await?;
    let email = account.map(|account| account.email);
    let target = email
        .as_ref()
        .map_or_else(|| connect.tenant.to_owned(), |email| format!("{}/{email}", connect.tenant));
    let detail = json!({ "link": link, "expires_at": expires_at });
    audit::write(&mut tx, actor.as_str(), "account.connect", &target, &detail).await?;
    tx.commit().await?;
    Ok(Link { url: url.into(), tenant: connect.tenant.to_owned(), account: email, expires_at })
}

async fn of_tenant(
    conn: &mut PgConnection,
    tenant: TenantId,
    name: &str,
    account: &AccountRef,
) -> Result<AccountRow, AdminError> {
    let found = match account {
        AccountRef::Id(id) => accounts::get(conn, *id).await?.filter(|account| account.tenant == tenant),
        AccountRef::Email(email) => accounts::find(conn, Some(tenant), email).await?.pop(),
    };
    let hint = format!("tenant {name} has none; without --account the link is for anybody");
    found.ok_or_else(|| AdminError::not_found("account", account, &hint))
}
