use sqlx::PgConnection;

use crate::secrets::{Owner, Sealed};

/// The place of a value in the order of the table: owner kind, owner id, name.
pub type Place = (String, i64, String);

/// A sealed value, as its row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What owns it.
    pub owner_kind: String,
    /// The owner's row.
    pub owner_id: i64,
    /// The value's name.
    pub name: String,
    /// The value.
    pub sealed: Sealed,
}

impl Row {
    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> Owner<'_> {
        Owner { kind: &self.owner_kind, id: self.owner_id, name: &self.name }
    }

    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> Place {
        (self.owner_kind.clone(), self.owner_id, self.name.clone())
    }
}

/// How many values are sealed under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// The key.
    pub key_id: String,
    /// How many.
    pub secrets: i64,
}

/// The keys that values are sealed under, by id.
pub async fn by_key(conn: &mut PgConnection) -> Result<Vec<KeyUse>, sqlx::Error> {
    sqlx::query_as!(
        KeyUse,
        r#"-- secrets::by_key
        select key_id, count(*) as "secrets!" from secrets group by key_id order by key_id"#,
    )
    .fetch_all(conn)
    .await
}

/// Any one value that is sealed under the key.
pub async fn sample(conn: &mut PgConnection, key_id: &str) -> Result<Option<Row>, sqlx::Error> {
    let row = sqlx::query!(
        "-- secrets::sample
        select owner_kind, owner_id, name, key_id, sealed from secrets where key_id = $1 limit 1",
        key_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Row {
        owner_kind: row.owner_kind,
        owner_id: row.owner_id,
        name: row.name,
        sealed: Sealed { key_id: row.key_id, bytes: row.sealed },
    }))
}

/// At most `limit` values after `after` (none: from the start) that are sealed under another key than this one.
pub async fn sealed_otherwise(
    conn: &mut PgConnection,
    key_id: &str,
    after: Option<&Place>,
    limit: i64,
) -> Result<Vec<Row>, sqlx::Error> {
    let (kind, id, name) = after.map_or(("", i64::MIN, ""), |(kind, id, name)| (kind, *id, name));
    let rows = sqlx::query!(
        "-- secrets::sealed_otherwise
        select owner_kind, owner_id, name, key_id, sealed
        from secrets
        where key_id <> $1 and (owner_kind, owner_id, name) > ($2, $3, $4)
        order by owner_kind, owner_id, name
        limit $5",
        key_id,
        kind,
        id,
        name,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Row {
            owner_kind: row.owner_kind,
            owner_id: row.owner_id,
            name: row.name,
            sealed: Sealed { key_id: row.key_id, bytes: row.sealed },
        })
        .collect())
}

/// Puts each value in the place of the one that it was sealed anew from, where that still stands: what somebody has stored
/// meanwhile is newer, and stays. The value itself is the same, so `updated_at` and `expires_at` are. Says how many.
pub async fn reseal(conn: &mut PgConnection, anew: &[(Row, Sealed)]) -> Result<u64, sqlx::Error> {
    let kinds: Vec<&str> = anew.iter().map(|(row, _)| row.owner_kind.as_str()).collect();
    let ids: Vec<i64> = anew.iter().map(|(row, _)| row.owner_id).collect();
    let names: Vec<&str> = anew.iter().map(|(row, _)| row.name.as_str()).collect();
    let old_keys: Vec<&str> = anew.iter().map(|(row, _)| row.sealed.key_id.as_str()).collect();
    let old: Vec<&[u8]> = anew.iter().map(|(row, _)| row.sealed.bytes.as_slice()).collect();
    let new_keys: Vec<&str> = anew.iter().map(|(_, new)| new.key_id.as_str()).collect();
    let new: Vec<&[u8]> = anew.iter().map(|(_, new)| new.bytes.as_slice()).collect();
    sqlx::query!(
        "-- secrets::reseal
        with anew as (
            select *
            from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::bytea[])
                as a (owner_kind, owner_id, name, old_key, old, new_key, new)
        ), locked as (
            select s.owner_kind, s.owner_id, s.name, anew.new_key, anew.new
            from secrets s
            join anew on (s.owner_kind, s.owner_id, s.name) = (anew.owner_kind, anew.owner_id, anew.name)
                and s.key_id = anew.old_key and s.sealed = anew.old
            order by s.owner_kind, s.owner_id, s.name
            for update of s
        )
        update secrets s set key_id = locked.new_key, sealed = locked.new
        from locked
        where (s.owner_kind, s.owner_id, s.name) = (locked.owner_kind, locked.owner_id, locked.name)",
        &kinds as &[&str],
        &ids,
        &names as &[&str],
        &old_keys as &[&str],
        &old as &[&[u8]],
        &new_keys as &[&str],
        &new as &[&[u8]],
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}
