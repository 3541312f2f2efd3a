use std::time::{Duration, Instant};

use shared::{
    job::{AccountId, TenantId},
    store::{
        PgConnection, PgPool,
        changes::{self, Batch, Change, Entry, Position, Resource, Subject, What},
        tenants,
    },
};

/// More than anything takes.
pub const LIMIT: Duration = Duration::from_mins(1);

/// A tenant with one account.
pub async fn account(db: &PgPool, tenant: &str) -> (Subject, AccountId) {
    let mut conn = db.acquire().await.unwrap();
    let tenant: TenantId = tenants::ensure(&mut conn, tenant).await.unwrap();
    let account = sqlx::query_scalar(
        "insert into accounts (tenant_id, provider, email) values ($1, 'google', 'ada@example.com') returning id",
    );
    let account = account.bind(tenant).fetch_one(&mut *conn).await.unwrap();
    (Subject { tenant, account: None, resources: Vec::new(), whats: Vec::new() }, account)
}

pub async fn write(conn: &mut PgConnection, account: AccountId, keys: &[&str]) {
    let change = |key: &&str| Change {
        account,
        resource: Resource::Event,
        parent: Some(7),
        key: (*key).to_owned(),
        what: What::Created,
    };
    let told: Vec<Change> = keys.iter().map(change).collect();
    changes::write(conn, &told).await.unwrap();
}

pub async fn read(db: &PgPool, of: &Subject, after: Position, limit: i64) -> Batch {
    changes::read(&mut db.acquire().await.unwrap(), of, after, None, limit).await.unwrap()
}

/// Reads on until there are so many.
pub async fn until(db: &PgPool, of: &Subject, mut after: Position, count: usize) -> Vec<Entry> {
    let (began, mut all) = (Instant::now(), Vec::new());
    loop {
        let batch = read(db, of, after, 100).await;
        assert!(!batch.gone);
        all.extend(batch.entries);
        after = batch.upto;
        if all.len() >= count {
            return all;
        }
        assert!(began.elapsed() < LIMIT, "{} of {count}", all.len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn keys(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.key.as_str()).collect()
}
