//! Who changed what by hand: table `audit`.

use serde_json::Value;
use sqlx::PgConnection;

/// Writes down a change, in the transaction that makes it.
pub async fn write(
    conn: &mut PgConnection,
    actor: &str,
    action: &str,
    target: &str,
    detail: &Value,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- audit::write
        insert into audit (at, actor, action, target, detail) values (clock(), $1, $2, $3, $4)",
        actor,
        action,
        target,
        detail,
    )
    .execute(conn)
    .await
    .map(drop)
}
