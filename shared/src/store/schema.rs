//! The database's version: brought up to date by `migrate` and `up`, waited for by everybody else.

use sqlx::{
    PgPool,
    migrate::{MigrateError, Migrator},
};

/// All migrations, as they stand in `migrations/`.
pub static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// How the database's version stands to the program's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// As the program needs it.
    Current,
    /// Migrations are missing; the last applied one is told (0: none).
    Older(i64),
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A newer program has migrated it.
    #[error(
        "the database has migration {found}, this program knows {known} at the most: it was migrated by a newer syncfleet; \
         run that version or a later one"
    )]
    Newer {
        /// The database's last migration.
        found: i64,
        /// The program's last migration.
        known: i64,
    },
    /// A migration was changed after it was applied, or broke off.
    #[error("the database's migrations do not match the program's: {0}")]
    Mismatch(MigrateError),
    /// The database did not answer.
    #[error("{}", super::said(.0))]
    Database(#[from] sqlx::Error),
}

impl From<MigrateError> for SchemaError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) => Self::Database(error),
            other => Self::Mismatch(other),
        }
    }
}

/// How many connections the server has for users without privileges, of all processes and databases.
pub async fn room(conn: &mut sqlx::PgConnection) -> Result<u32, sqlx::Error> {
    // Not every server has the second kind of reserved ones: PostgreSQL 16 brought it.
    let room = sqlx::query_scalar!(
        r#"-- schema::room
        select current_setting('max_connections')::bigint
            - current_setting('superuser_reserved_connections')::bigint
            - coalesce(current_setting('reserved_connections', true), '0')::bigint as "room!""#
    )
    .fetch_one(conn)
    .await?;
    Ok(u32::try_from(room).unwrap_or(0))
}

fn known() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Compares the database's version with the program's.
pub async fn version(db: &PgPool) -> Result<Version, SchemaError> {
    let there = sqlx::query_scalar::<_, bool>(
        "-- schema::version (1)\nselect to_regclass('_sqlx_migrations') is not null",
    )
    .fetch_one(db)
    .await?;
    if !there {
        return Ok(Version::Older(0));
    }
    // Not checked at compile time: the table is sqlx's own.
    let applied = sqlx::query_scalar::<_, i64>(
        "-- schema::version (2)\nselect version from _sqlx_migrations where success order by version",
    )
    .fetch_all(db)
    .await?;
    let found = applied.last().copied().unwrap_or(0);
    if found > known() {
        return Err(SchemaError::Newer { found, known: known() });
    }
    // One by one: a migration with a smaller number may have come later.
    let is_missing = |version: i64| applied.binary_search(&version).is_err();
    let missing = MIGRATOR.iter().any(|migration| is_missing(migration.version));
    Ok(if missing { Version::Older(found) } else { Version::Current })
}

/// Brings the database up to date and says which version it had. Callers at the same moment wait for each other.
pub async fn migrate(db: &PgPool) -> Result<Version, SchemaError> {
    let before = version(db).await?;
    let mut connection = db.acquire().await?;
    // A large table may take its time; the pool's limits are for the daily work.
    sqlx::raw_sql(
        "set lock_timeout = 0; set statement_timeout = 0; set idle_in_transaction_session_timeout = 0",
    )
    .execute(&mut *connection)
    .await?;
    let applied = MIGRATOR.run(&mut *connection).await;
    // Its settings must not come back with it into the pool.
    connection.close_on_drop();
    applied?;
    Ok(before)
}

/// Whether `connection` can be asked at all; used by readiness.
pub async fn ping(db: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query("-- schema::ping\nselect 1").execute(db).await.map(drop)
}

/// How long the server has been up.
pub async fn up_for(db: &PgPool) -> Result<std::time::Duration, sqlx::Error> {
    let seconds = sqlx::query_scalar!(
        r#"-- schema::up_for
        select extract(epoch from statement_timestamp() - pg_postmaster_start_time())::float8 as "seconds!""#
    )
    .fetch_one(db)
    .await?;
    Ok(std::time::Duration::from_secs_f64(seconds.max(0.0)))
}
