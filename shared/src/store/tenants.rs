//! Whose work it is: table `tenants`.

use sqlx::PgConnection;

use crate::job::TenantId;

/// The tenant of a name; made if it is new.
pub async fn ensure(conn: &mut PgConnection, name: &str) -> Result<TenantId, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- tenants::ensure
        with made as (
            insert into tenants (name) values ($1) on conflict (name) do nothing returning id
        )
        select id as "id!" from made union all select id from tenants where name = $1 limit 1"#,
        name,
    )
    .fetch_one(conn)
    .await
}

/// Keeps a tenant from being removed until the transaction ends. False: it is gone.
pub async fn keep(conn: &mut PgConnection, id: TenantId) -> Result<bool, sqlx::Error> {
    sqlx::query!("-- tenants::keep\nselect id from tenants where id = $1 for key share", id)
        .fetch_optional(conn)
        .await
        .map(|row| row.is_some())
}

/// Waits for those who keep the tenant, and has those wait who want to.
pub async fn lock(conn: &mut PgConnection, id: TenantId) -> Result<(), sqlx::Error> {
    sqlx::query!("-- tenants::lock\nselect id from tenants where id = $1 for update", id)
        .fetch_optional(conn)
        .await
        .map(drop)
}
