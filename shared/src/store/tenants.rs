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
