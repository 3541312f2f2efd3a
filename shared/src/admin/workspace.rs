//! A Google Workspace of a tenant: many accounts behind the one key of a service account.

mod users;

use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

pub use self::users::{Fault, Users, UsersError};
use super::{
    Actor, AdminError,
    account::add::{bell_of, make_jobs, signed_in, unsealed},
    remove::retried,
    tenant,
};
use crate::{
    google::workspace::{KEY, Key},
    job::{AccountId, Policy, TenantId},
    secrets::{KeyRing, Owner},
    store::{
        accounts::{self, NewAccount},
        audit,
        job_state::Wanted,
        secrets,
    },
};

/// What a service account is a key to.
const PROVIDER: &str = "google";

/// A workspace to be connected.
#[derive(Debug, Clone)]
pub struct New<'a> {
    /// Whose it is, by name.
    pub tenant: &'a str,
    /// The service account's key.
    pub key: &'a Key,
    /// Whose data is mirrored, by address.
    pub users: &'a [String],
    /// What is asked for in their names.
    pub scopes: &'a [String],
}

/// A user, as an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Connected {
    /// The account.
    pub account: AccountId,
    /// The user's address.
    pub email: String,
    /// Whether the account is new.
    pub new: bool,
}

/// What connecting came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Workspace {
    /// The tenant.
    pub tenant: String,
    /// The service account's address.
    pub service_account: String,
    /// Its client id, which an administrator of the workspace authorises.
    pub client_id: String,
    /// Whether another key was there before.
    pub key_replaced: bool,
    /// The users, in the order of their accounts.
    pub users: Vec<Connected>,
    /// For the bell, after the commit.
    #[serde(skip)]
    pub bell: Vec<Wanted>,
}

/// Connects a workspace, or gives it another key: seals the key, adds an account for each user that is not there yet, and takes up
/// again what waited for a key. Accounts that are not named keep what they have. All of it or nothing.
pub async fn connect(
    db: &PgPool,
    actor: &Actor,
    keys: &KeyRing,
    policies: &[Policy],
    new: &New<'_>,
) -> Result<Workspace, AdminError> {
    retried(async || {
        let mut tx = db.begin().await?;
        let tenant = tenant::find(&mut tx, new.tenant).await?;
        let mut users = Vec::with_capacity(new.users.len());
        for email in new.users {
            users.push(account_of(&mut tx, tenant, email).await?);
        }
        users.sort_by_key(|user| user.account);
        for user in &users {
            // What is left of an older grant goes.
            secrets::remove(&mut tx, "account", user.account).await?;
            accounts::delegate(&mut tx, user.account, new.scopes).await?;
        }
        let owner = Owner::tenant(tenant, KEY);
        let key_replaced = secrets::last(&mut tx, keys, owner).await.map_err(unsealed)?.is_some();
        secrets::put(&mut tx, keys, owner, new.key.file(), None).await.map_err(unsealed)?;
        let mut touched = Vec::new();
        for user in &users {
            touched.extend(
                make_jobs(&mut tx, policies, PROVIDER, Some(new.scopes), tenant, user.account).await?,
            );
        }
        let waiting = of_workspace(&mut tx, tenant).await?;
        for account in waiting {
            touched.extend(signed_in(&mut tx, account).await?);
        }
        let detail = json!({
            "service_account": new.key.email(),
            "key": new.key.id(),
            "users": users.len(),
            "new": users.iter().filter(|user| user.new).count(),
        });
        audit::write(&mut tx, actor.as_str(), "tenant.connect_workspace", new.tenant, &detail).await?;
        let bell = bell_of(&mut tx, tenant, &touched).await?;
        tx.commit().await?;
        Ok(Workspace {
            tenant: new.tenant.to_owned(),
            service_account: new.key.email().to_owned(),
            client_id: new.key.client_id().to_owned(),
            key_replaced,
            users,
            bell,
        })
    })
    .await
}

/// Whether the workspace may be connected as far as its words go, before Google is asked.
pub async fn may_connect(conn: &mut PgConnection, new: &New<'_>) -> Result<(), AdminError> {
    tenant::find(conn, new.tenant).await.map(drop)
}

async fn account_of(conn: &mut PgConnection, tenant: TenantId, email: &str) -> Result<Connected, AdminError> {
    let row = NewAccount { tenant, provider: PROVIDER, subject: None, email };
    let (account, new) = if let Some(account) = accounts::insert(&mut *conn, &row).await? {
        (account, true)
    } else {
        let there = accounts::find(conn, Some(tenant), email).await?;
        let there = there.into_iter().find(|account| account.provider == PROVIDER);
        (there.ok_or_else(|| AdminError::not_found("account", email, ""))?.id, false)
    };
    Ok(Connected { account, email: email.to_owned(), new })
}

/// The accounts for which the tenant's service account acts, by id.
async fn of_workspace(conn: &mut PgConnection, tenant: TenantId) -> Result<Vec<AccountId>, AdminError> {
    Ok(sqlx::query_scalar!(
        "-- admin::workspace::of_workspace
        select id from accounts where tenant_id = $1 and workspace order by id",
        tenant,
    )
    .fetch_all(conn)
    .await?)
}
