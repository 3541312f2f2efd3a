//! `tenant`: whose work it is.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::{Actor, AdminError, Switched, gate};
use crate::{
    google::{Google, channels::Stopped},
    job::TenantId,
    store::{audit, gates, tenants},
};

/// A tenant and how much is its.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tenant {
    /// Its number.
    pub id: TenantId,
    /// Its name.
    pub name: String,
    /// Whether an operator has paused it.
    pub paused: bool,
    /// Its accounts.
    pub accounts: i64,
    /// Its jobs.
    pub jobs: i64,
    /// Those of its jobs that run.
    pub running: i64,
    /// Those of its jobs that are parked.
    pub parked: i64,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

/// All tenants by name, or the one of an id.
async fn list(conn: &mut PgConnection, id: Option<TenantId>) -> Result<Vec<Tenant>, AdminError> {
    Ok(sqlx::query_as!(
        Tenant,
        r#"-- admin::tenant::list
        select t.id, t.name, t.created_at,
            exists (
                select from gates g
                where g.scope = 'tenant' and g.target = t.id::text and g.reason = 'paused'
                    and (g.until is null or g.until > clock())
            ) as "paused!",
            (select count(*) from accounts a where a.tenant_id = t.id) as "accounts!",
            coalesce(s.jobs, 0) as "jobs!", coalesce(s.running, 0) as "running!", coalesce(s.parked, 0) as "parked!"
        from tenants t
        left join (
            select tenant_id, count(*) as jobs,
                count(*) filter (where phase = 'running') as running,
                count(*) filter (where phase = 'parked') as parked
            from job_state
            where $1::bigint is null or tenant_id = $1
            group by tenant_id
        ) s on s.tenant_id = t.id
        where $1::bigint is null or t.id = $1
        order by t.name"#,
        id,
    )
    .fetch_all(conn)
    .await?)
}

/// All tenants, by name.
pub async fn ls(conn: &mut PgConnection) -> Result<Vec<Tenant>, AdminError> {
    list(conn, None).await
}

/// The id of a tenant.
pub async fn find(conn: &mut PgConnection, name: &str) -> Result<TenantId, AdminError> {
    sqlx::query_scalar!("-- admin::tenant::find\nselect id from tenants where name = $1", name)
        .fetch_optional(conn)
        .await?
        .ok_or_else(|| AdminError::not_found("tenant", name, "`syncfleet tenant ls` shows all"))
}

/// One tenant.
pub async fn show(conn: &mut PgConnection, name: &str) -> Result<Tenant, AdminError> {
    let id = find(conn, name).await?;
    list(conn, Some(id)).await?.pop().ok_or_else(|| AdminError::not_found("tenant", name, ""))
}

/// Adds a tenant.
pub async fn add(db: &PgPool, actor: &Actor, name: &str) -> Result<Tenant, AdminError> {
    let mut tx = db.begin().await?;
    let made = sqlx::query_scalar!(
        "-- admin::tenant::add
        insert into tenants (name, created_at) values ($1, clock()) on conflict (name) do nothing returning id",
        name,
    )
    .fetch_optional(&mut *tx)
    .await;
    match made {
        Ok(Some(_)) => {}
        Ok(None) => return Err(AdminError::Refused(format!("there is a tenant {name} already"))),
        Err(sqlx::Error::Database(error)) if error.is_check_violation() => {
            return Err(AdminError::Refused(format!(
                "{name:?} is not a tenant's name: use 1 to 63 of a-z 0-9 . _ - and begin with a letter or digit"
            )));
        }
        Err(error) => return Err(error.into()),
    }
    audit::write(&mut tx, actor.as_str(), "tenant.add", name, &json!({})).await?;
    let tenant = show(&mut tx, name).await?;
    tx.commit().await?;
    Ok(tenant)
}

/// Serves nothing of the tenant until [`resume`]. Runs under way go on to the end of their step.
pub async fn pause(db: &PgPool, actor: &Actor, name: &str, note: &str) -> Result<Switched, AdminError> {
    let id = find(&mut *db.acquire().await?, name).await?;
    gate::pause(db, actor, &gates::Gate::Tenant(id), ("tenant", name), note).await
}

/// Ends a pause.
pub async fn resume(db: &PgPool, actor: &Actor, name: &str) -> Result<Switched, AdminError> {
    let id = find(&mut *db.acquire().await?, name).await?;
    gate::resume(db, actor, &gates::Gate::Tenant(id), ("tenant", name)).await
}

/// What goes with a tenant or an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Holdings {
    /// Accounts.
    pub accounts: i64,
    /// Jobs.
    pub jobs: i64,
    /// Mirrored calendars.
    pub calendars: i64,
    /// Mirrored events.
    pub events: i64,
    /// Mirrored drives.
    pub drives: i64,
    /// Mirrored files.
    pub files: i64,
    /// Names that follow an address.
    pub names: i64,
}

/// What a tenant holds.
pub async fn holdings(conn: &mut PgConnection, name: &str) -> Result<Holdings, AdminError> {
    let id = find(conn, name).await?;
    count(conn, id).await
}

async fn count(conn: &mut PgConnection, id: TenantId) -> Result<Holdings, AdminError> {
    Ok(sqlx::query_as!(
        Holdings,
        r#"-- admin::tenant::count
        select (select count(*) from accounts where tenant_id = $1) as "accounts!",
            (select count(*) from jobs where tenant_id = $1) as "jobs!",
            (
                select count(*) from calendars c join accounts a on a.id = c.account_id where a.tenant_id = $1
            ) as "calendars!",
            (
                select count(*) from events e join accounts a on a.id = e.account_id where a.tenant_id = $1
            ) as "events!",
            (
                select count(*) from drives d join accounts a on a.id = d.account_id where a.tenant_id = $1
            ) as "drives!",
            (
                select count(*) from files f join accounts a on a.id = f.account_id where a.tenant_id = $1
            ) as "files!",
            (select count(*) from dns_records where tenant_id = $1) as "names!""#,
        id,
    )
    .fetch_one(conn)
    .await?)
}

/// Ends the push channels of a tenant's accounts, with `google`, then removes it and all that is its, in one transaction.
/// Runs under way lose their leases by it. Says what went.
pub async fn rm(
    db: &PgPool,
    google: Option<&Google>,
    actor: &Actor,
    name: &str,
) -> Result<(Holdings, Stopped), AdminError> {
    let accounts = {
        let mut conn = db.acquire().await?;
        let id = find(&mut conn, name).await?;
        sqlx::query_scalar!(
            "-- admin::tenant::rm (accounts)\nselect id from accounts where tenant_id = $1 order by id",
            id
        )
        .fetch_all(&mut *conn)
        .await?
    };
    let stopped = super::remove::channels(db, google, &accounts).await?;
    let held = super::remove::retried(async || {
        let mut tx = db.begin().await?;
        super::remove::unhurried(&mut tx).await?;
        let id = find(&mut tx, name).await?;
        tenants::lock(&mut tx, id).await?;
        let held = count(&mut tx, id).await?;
        super::remove::leases(&mut tx, Some(id), None).await?;
        super::remove::strays(&mut tx, Some(id), None).await?;
        sqlx::query!("-- admin::tenant::rm\ndelete from tenants where id = $1", id).execute(&mut *tx).await?;
        audit::write(&mut tx, actor.as_str(), "tenant.rm", name, &json!(held)).await?;
        tx.commit().await?;
        Ok(held)
    })
    .await?;
    Ok((held, stopped))
}
