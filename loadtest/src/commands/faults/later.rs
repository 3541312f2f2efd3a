//! Hours that pass in a moment: the fleet is down, the database's clock is put forward, and the fleet comes back.
//!
//! So all is polled that pushes keep from being polled for hours, what Google has refused for a day is asked for again, and what
//! is to be taken out of the object store is due.

use std::time::{Duration, Instant};

use anyhow::bail;
use sqlx::PgPool;

use super::{
    check::Findings,
    fault::{Member, Role},
    strike::Target,
};

/// A day and some more: longer than anything waits that is not done by the week.
const A_DAY: u32 = 26;

/// Longer than what is to be removed from the object store is kept.
const KEPT: u32 = 2;

/// So often is cleared what clearing leaves over, at most.
const ROUNDS: usize = 6;

/// How long clearing may take each time.
const CLEARED: Duration = Duration::from_mins(1);

/// How far the clock was put forward.
#[derive(Debug, Default)]
pub struct Clock {
    hours: u32,
}

impl Clock {
    /// The fleet is down for a day. Gives connections by whose clock the day has passed.
    pub async fn a_day_later(&mut self, target: &Target, findings: &mut Findings) -> anyhow::Result<PgPool> {
        findings.wrong.extend(target.fleet.stop().await);
        let db = self.forward(target, A_DAY).await?;
        target.fleet.start_all().await?;
        Ok(db)
    }

    /// Has everything taken out of the object store that nothing refers to: it is named first, and taken out some time after.
    /// Nothing else runs meanwhile.
    pub async fn clear_objects(
        &mut self,
        target: &Target,
        findings: &mut Findings,
    ) -> anyhow::Result<PgPool> {
        findings.wrong.extend(target.fleet.stop().await);
        let (mut db, scheduler) =
            (target.servers.postgres.pool()?, target.fleet.unit(Member::first(Role::Scheduler))?);
        for _ in 0..ROUNDS {
            let (unused, removals) = left(&db).await?;
            if unused + removals == 0 {
                return Ok(db);
            }
            db = self.forward(target, KEPT).await?;
            scheduler.start().await?;
            let began = Instant::now();
            loop {
                let (unused, due): (i64, i64) = (left(&db).await?.0, due(&db).await?);
                if unused + due == 0 {
                    break;
                }
                if began.elapsed() > CLEARED {
                    bail!("{unused} objects that nobody uses and {due} removals are left after {CLEARED:?}");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            scheduler.end().await?;
        }
        Ok(db)
    }

    async fn forward(&mut self, target: &Target, hours: u32) -> anyhow::Result<PgPool> {
        self.hours += hours;
        target.servers.postgres.shift_clock(self.hours).await?;
        target.servers.postgres.pool()
    }
}

/// Objects that nothing refers to, and removals.
async fn left(db: &PgPool) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as(
        "select (select count(*) from objects o where not exists (select from file_contents c where c.object_id = o.id)),
            (select count(*) from object_removals)",
    )
    .fetch_one(db)
    .await
}

async fn due(db: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select count(*) from object_removals where due_at <= clock()").fetch_one(db).await
}
