//! What stands in the object store, and what is to be taken out of it: tables `objects` and `object_removals`.
//!
//! # A removal and a put of the same content at once
//!
//! Who puts writes `put_at` of the row that is there, or makes a row; who removes deletes only rows whose `put_at` is a minute
//! old. Both lock the row. If the put comes first, the removal waits for it, looks again, and finds the row too young. If the
//! removal comes first, the put waits for it, and makes a row of its own with a key of its own. The store itself is touched an
//! hour later, by key, and no key is used twice: so neither a put nor a reader under way meets it.

use sqlx::{PgConnection, types::Uuid};

/// Something to be taken out of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The key.
    pub key: Uuid,
    /// The service's own name of an upload of parts.
    pub upload: Option<String>,
}

/// Objects that were forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// How many.
    pub objects: i64,
    /// The row after which there may be more; none: all were looked at.
    pub more_after: Option<i64>,
}

/// Forgets objects that nothing refers to, of the rows after this one and at most so many, and has them removed in an hour.
/// Rows begin at 1.
pub async fn forget_unused(
    conn: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<Forgotten, sqlx::Error> {
    sqlx::query_as!(
        Forgotten,
        r#"-- objects::forget_unused
        with unused as (
            select o.id
            from objects o
            where o.id > $1 and o.put_at < clock() - interval '1 minute'
                and not exists (select from file_contents c where c.object_id = o.id)
            order by o.id
            limit $2
            for update
        ), forgotten as (
            delete from objects o using unused
            where o.id = unused.id and o.put_at < clock() - interval '1 minute'
            returning o.key
        ), named as (
            insert into object_removals (key) select key from forgotten
            on conflict (key) do nothing
        )
        select (select count(*) from forgotten) as "objects!",
            case when count(*) >= $2 then max(id) end as more_after
        from unused"#,
        after,
        limit,
    )
    .fetch_one(conn)
    .await
}

/// What is due to be taken out of the store, at most so many.
pub async fn due(conn: &mut PgConnection, limit: i64) -> Result<Vec<Removal>, sqlx::Error> {
    sqlx::query_as!(
        Removal,
        r#"-- objects::due
        select key, upload_id as upload from object_removals where due_at <= clock() order by due_at, key limit $1"#,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Notes that it is gone.
pub async fn removed(conn: &mut PgConnection, keys: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"-- objects::removed
        with locked as (select key from object_removals where key = any($1) order by key for update)
        delete from object_removals r using locked where r.key = locked.key"#,
        keys,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Has what could not be removed wait for another hour: what comes after it is not held up. Says of how many that holds;
/// the others are gone, or somebody else has done it.
pub async fn postpone(conn: &mut PgConnection, keys: &[Uuid]) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        r#"-- objects::postpone
        with locked as (
            select key from object_removals where key = any($1) and due_at <= clock() order by key for update
        )
        update object_removals r set due_at = clock() + interval '1 hour'
        from locked
        where r.key = locked.key"#,
        keys,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
