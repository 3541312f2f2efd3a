//! Who may tell addresses from outside: table `dns_logins`. It has hashes of passwords ([`crate::secrets::password`]).

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use crate::job::TenantId;

/// A login's number.
pub type LoginId = i64;

/// A login, without its password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Login {
    /// Its number.
    #[serde(skip)]
    pub id: LoginId,
    /// Its user name.
    pub username: String,
    /// Whose it is.
    pub tenant: String,
    /// The names that it may call, by name.
    pub hosts: Vec<String>,
    /// Since when its calls are answered with `abuse`; none: they are served.
    pub blocked_at: Option<DateTime<Utc>>,
    /// Why.
    pub blocked_why: Option<String>,
    /// When it was used last, by the hour.
    pub used_at: Option<DateTime<Utc>>,
    /// From where.
    pub used_from: Option<String>,
    /// By which program.
    pub agent: Option<String>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

/// What a call is checked by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The login.
    pub id: LoginId,
    /// Its user name.
    pub username: String,
    /// Argon2id, as a PHC string.
    pub password_hash: String,
    /// Its calls are answered with `abuse`.
    pub blocked: bool,
    /// Its last use was noted more than an hour ago.
    pub stale: bool,
}

/// Adds a login; none: there is one of that user name.
pub async fn insert(
    conn: &mut PgConnection,
    tenant: TenantId,
    username: &str,
    password_hash: &str,
) -> Result<Option<LoginId>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- dns_logins::insert
        insert into dns_logins (tenant_id, username, password_hash, created_at) values ($1, $2, $3, clock())
        on conflict (username) do nothing
        returning id",
        tenant,
        username,
        password_hash,
    )
    .fetch_optional(conn)
    .await
}

/// All logins, a tenant's, or the one of a user name, by user name.
pub async fn list(
    conn: &mut PgConnection,
    tenant: Option<TenantId>,
    username: Option<&str>,
) -> Result<Vec<Login>, sqlx::Error> {
    sqlx::query_as!(
        Login,
        r#"-- dns_logins::list
        select l.id, l.username, t.name as tenant,
            array(select h.hostname from dns_hosts h where h.login_id = l.id order by h.hostname) as "hosts!",
            l.blocked_at, l.blocked_why, l.used_at, host(l.used_from) as used_from, l.agent, l.created_at
        from dns_logins l join tenants t on t.id = l.tenant_id
        where ($1::bigint is null or l.tenant_id = $1) and ($2::text is null or l.username = $2)
        order by l.username"#,
        tenant,
        username,
    )
    .fetch_all(conn)
    .await
}

/// What calls of these user names are checked by, as far as they exist.
pub async fn credentials(
    conn: &mut PgConnection,
    usernames: &[String],
) -> Result<Vec<Credentials>, sqlx::Error> {
    sqlx::query_as!(
        Credentials,
        r#"-- dns_logins::credentials
        select id, username, password_hash, blocked_at is not null as "blocked!",
            coalesce(used_at < clock() - interval '1 hour', true) as "stale!"
        from dns_logins where username = any($1)"#,
        usernames,
    )
    .fetch_all(conn)
    .await
}

/// A use of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The login.
    pub login: LoginId,
    /// Who called.
    pub from: IpAddr,
    /// The program, as it calls itself.
    pub agent: Option<String>,
}

/// Notes that logins were used, each once at the most.
pub async fn used(conn: &mut PgConnection, uses: &[Use]) -> Result<(), sqlx::Error> {
    if uses.is_empty() {
        return Ok(());
    }
    let logins: Vec<LoginId> = uses.iter().map(|one| one.login).collect();
    let from: Vec<String> = uses.iter().map(|one| one.from.to_string()).collect();
    let agents: Vec<Option<String>> = uses.iter().map(|one| one.agent.clone()).collect();
    sqlx::query!(
        "-- dns_logins::used
        with used as (
            select * from unnest($1::bigint[], $2::text[], $3::text[]) as u (id, used_from, agent)
        ), locked as (
            select l.id, u.used_from, u.agent from dns_logins l join used u using (id)
            order by l.id for update of l
        )
        update dns_logins l set used_at = clock(), used_from = locked.used_from::inet, agent = locked.agent
        from locked where l.id = locked.id",
        &logins,
        &from,
        &agents as &[Option<String>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Replaces a login's password; whether there is such a login.
pub async fn set_password(
    conn: &mut PgConnection,
    username: &str,
    password_hash: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "-- dns_logins::set_password
        update dns_logins set password_hash = $2 where username = $1",
        username,
        password_hash,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Blocks a login, or ends that; whether there is such a login, and whether that changed anything.
pub async fn block(
    conn: &mut PgConnection,
    username: &str,
    why: Option<&str>,
) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- dns_logins::block
        with before as (
            select id, blocked_at from dns_logins where username = $1 for update
        )
        update dns_logins l set
            blocked_at = case when $2::text is not null then coalesce(l.blocked_at, clock()) end,
            blocked_why = $2
        from before where l.id = before.id
        returning ((before.blocked_at is null) <> ($2::text is null)) as "changed!""#,
        username,
        why,
    )
    .fetch_optional(conn)
    .await
}

/// Removes a login and the names that it may call; the tenant's name, if there was such a login.
pub async fn remove(conn: &mut PgConnection, username: &str) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- dns_logins::remove
        delete from dns_logins l using tenants t
        where l.username = $1 and t.id = l.tenant_id
        returning t.name",
        username,
    )
    .fetch_optional(conn)
    .await
}
