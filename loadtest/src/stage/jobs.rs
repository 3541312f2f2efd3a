//! Jobs that do nothing, and how they are wanted.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use shared::{
    bell::Bell,
    job::JobId,
    store::{
        PgPool,
        job_state::{self, Wanted},
        tenants,
    },
};

use super::{Stage, fleet::Fleet, metrics, until};

/// The kind that does nothing.
const KIND: &str = "noop";

/// The most jobs of one want.
pub const BATCH: usize = 500;

impl Stage {
    /// Makes idle jobs of a tenant that is named `tenant`, or of several tenants, and gives them back in no order.
    ///
    /// With `within`, each one's next pass falls due at some moment of that time; without it, when it is wanted.
    pub async fn make_jobs(
        &self,
        tenant: &str,
        tenants: u32,
        jobs: usize,
        within: Option<Duration>,
        seed: u64,
    ) -> anyhow::Result<Vec<JobId>> {
        let mut connection = self.db.acquire().await?;
        let mut owners = Vec::new();
        for number in 0..tenants.max(1) {
            owners.push(tenants::ensure(&mut connection, &format!("{tenant}-{number}")).await?);
        }
        // Unlike `store::jobs::ensure` this makes a million in one statement.
        sqlx::query("set statement_timeout = 0").execute(&mut *connection).await?;
        let mut ids: Vec<JobId> = sqlx::query_scalar!(
            r#"with made as (
                insert into jobs (kind, key, tenant_id)
                select $1, $2 || '-' || n, ($3::bigint[])[1 + n % cardinality($3::bigint[])]
                from generate_series(1, $4::int) n
                returning id, kind, tenant_id
            )
            insert into job_state (job_id, kind, tenant_id, lane, run_at)
            select id, kind, tenant_id, 'normal',
                coalesce(clock() + make_interval(secs => $5::float8) * random(), 'infinity')
            from made order by id
            returning job_id"#,
            KIND,
            tenant,
            &owners,
            i32::try_from(jobs).context("too many jobs")?,
            within.map(|within| within.as_secs_f64()) as Option<f64>,
        )
        .fetch_all(&mut *connection)
        .await?;
        sqlx::query("vacuum analyze jobs, job_state").execute(&mut *connection).await?;
        connection.close_on_drop();
        ids.shuffle(&mut StdRng::seed_from_u64(seed));
        Ok(ids)
    }

    /// Somebody who wants jobs.
    pub fn wanter(&self) -> Wanter {
        Wanter { db: self.db.clone(), bell: Arc::clone(&self.bell) }
    }

    /// Waits until the worker has completed as many passes, since it was started.
    pub async fn completed(&self, fleet: &Fleet, passes: usize, limit: Duration) -> anyhow::Result<()> {
        let what = format!("{passes} passes are completed");
        until(&what, limit, Duration::from_millis(25), async || {
            Ok((passes_of(fleet).await? >= passes).then_some(()))
        })
        .await
    }

    /// How many jobs have an unanswered want.
    pub async fn unanswered(&self) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar!(r#"select count(*) as "count!" from job_state where wanted > done"#)
            .fetch_one(&self.db)
            .await?)
    }
}

/// Wants jobs as whoever hears a push does.
pub struct Wanter {
    db: PgPool,
    bell: Arc<Bell>,
}

impl Wanter {
    /// The durable want, then the bell. Says when the want was acknowledged.
    pub async fn want(&self, jobs: &[JobId]) -> anyhow::Result<SystemTime> {
        let mut connection = self.db.acquire().await?;
        let wanted = job_state::want(&mut connection, jobs, None, None).await?;
        let acknowledged = SystemTime::now();
        drop(connection);
        self.bell.offer(wanted.iter().filter_map(Wanted::ring), Instant::now()).await;
        Ok(acknowledged)
    }
}

/// How many passes that do nothing the worker has completed since it was started.
pub async fn passes_of(fleet: &Fleet) -> anyhow::Result<usize> {
    passes_of_kind(fleet, KIND).await
}

/// The same for jobs of another kind.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter")]
pub async fn passes_of_kind(fleet: &Fleet, kind: &str) -> anyhow::Result<usize> {
    let text = fleet.worker.metrics().await?;
    Ok(metrics::sum(&text, "syncfleet_job_attempts_total", &[("kind", kind), ("outcome", "complete")])
        as usize)
}
