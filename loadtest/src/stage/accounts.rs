//! Accounts of the fake Google in the database, as if they had signed in.

use anyhow::{Context, ensure};
use loadtest::fake_google::SeededAccount;
use shared::{
    google::auth::REFRESH_TOKEN,
    job::{AccountId, JobId},
    secrets::{KeyRing, Owner},
    store::{
        PgConnection, PgPool,
        accounts::{self, NewAccount},
        job_state, secrets, tenants,
    },
};

/// Adds accounts, each with a tenant of its own and one job of the kind. These jobs, which are given back, run when they are
/// wanted.
pub async fn add(
    db: &PgPool,
    keys: &KeyRing,
    people: &[SeededAccount],
    kind: &str,
) -> anyhow::Result<Vec<JobId>> {
    let mut tx = db.begin().await?;
    let mut jobs = Vec::with_capacity(people.len());
    for person in people {
        let tenant = tenants::ensure(&mut tx, person.email.split('@').next().unwrap_or_default()).await?;
        let new = NewAccount { tenant, provider: "google", subject: None, email: &person.email };
        let account = accounts::insert(&mut tx, &new).await?.context("the account is there already")?;
        let owner = Owner::account(account, REFRESH_TOKEN);
        secrets::put(&mut tx, keys, owner, &person.refresh_token.as_str().into(), None).await?;
        jobs.push(job_of(&mut tx, kind, tenant, account).await?);
    }
    tx.commit().await?;
    Ok(jobs)
}

/// Adds a job of another kind to an account. It runs when it is wanted. Answers the account, too.
pub async fn add_job(db: &PgPool, email: &str, kind: &str) -> anyhow::Result<(AccountId, JobId)> {
    let mut conn = db.acquire().await?;
    let (account, tenant): (AccountId, i64) =
        sqlx::query_as("select id, tenant_id from accounts where email = $1")
            .bind(email)
            .fetch_one(&mut *conn)
            .await?;
    Ok((account, job_of(&mut conn, kind, tenant, account).await?))
}

async fn job_of(
    conn: &mut PgConnection,
    kind: &str,
    tenant: i64,
    account: i64,
) -> Result<JobId, sqlx::Error> {
    sqlx::query_scalar(
        "with made as (
            insert into jobs (kind, key, tenant_id, account_id)
            values ($3, $2::bigint::text, $1, $2::bigint)
            returning id, kind, tenant_id, account_id
        )
        insert into job_state (job_id, kind, tenant_id, account_id, lane, run_at)
        select id, kind, tenant_id, account_id, 'normal', 'infinity' from made
        returning job_id",
    )
    .bind(tenant)
    .bind(account)
    .bind(kind)
    .fetch_one(conn)
    .await
}

/// Pauses all jobs but these: what comes due by its interval is not counted among them.
pub async fn leave_alone_but(db: &PgPool, jobs: &[JobId]) -> Result<u64, sqlx::Error> {
    let others: Vec<JobId> = sqlx::query_scalar("select job_id from job_state where job_id <> all($1)")
        .bind(jobs)
        .fetch_all(db)
        .await?;
    job_state::pause(&mut *db.acquire().await?, &others, true).await
}

/// The jobs that mirror these calendars.
pub async fn jobs_of(db: &PgPool, calendars: &[String]) -> anyhow::Result<Vec<JobId>> {
    let jobs: Vec<JobId> = sqlx::query_scalar(
        "select j.id from jobs j join calendars c on c.id::text = j.key
        where j.kind = 'calendar_events' and c.google_id = any($1) order by j.id",
    )
    .bind(calendars)
    .fetch_all(db)
    .await?;
    ensure!(jobs.len() == calendars.len(), "{} calendars have {} jobs", calendars.len(), jobs.len());
    Ok(jobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
    async fn only_the_watched_come_due_by_themselves(db: PgPool) -> anyhow::Result<()> {
        let mut conn = db.acquire().await?;
        let tenant = tenants::ensure(&mut conn, "acme").await?;
        let mut jobs = Vec::new();
        for email in ["a@example.com", "b@example.com", "c@example.com"] {
            let new = NewAccount { tenant, provider: "google", subject: None, email };
            let account = accounts::insert(&mut conn, &new).await?.context("it is new")?;
            jobs.push(job_of(&mut conn, "calendar_list", tenant, account).await?);
        }
        drop(conn);
        assert_eq!(leave_alone_but(&db, &jobs[1..2]).await?, 2);
        sqlx::query("update job_state set run_at = clock()").execute(&db).await?;
        let due: Vec<JobId> = sqlx::query_scalar("select job_id from due_jobs").fetch_all(&db).await?;
        assert_eq!(due, jobs[1..2]);
        Ok(())
    }
}
