use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use crate::{
    admin::{AdminError, Gate, job::Job},
    job::{Lane, RunId, WorkerId},
    store::gates,
};

/// What an explanation rests on, beside the job's own row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Facts {
    /// The database's time of the read.
    pub now: DateTime<Utc>,
    /// The provider's minimum interval holds the job until then.
    pub floor_at: Option<DateTime<Utc>>,
    /// A backoff holds the job until then.
    pub backoff_until: Option<DateTime<Utc>>,
    /// The first want that is not answered yet.
    pub dirty_since: Option<DateTime<Utc>>,
    /// The closed gates before it.
    pub gates: Vec<Gate>,
    /// The run under way.
    pub run: Option<Under>,
    /// Steps of the pass under way that were committed.
    pub steps: i64,
    /// Living workers.
    pub workers: i64,
    /// Whether one of them knows the job's kind.
    pub known: bool,
    /// The slots in the job's lane of those who do.
    pub slots: i64,
    /// Due jobs of its lane that come first.
    pub before_in_lane: i64,
    /// Those of them that are its tenant's.
    pub before_of_tenant: i64,
}

/// A run under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Under {
    /// Its id, and the job's lease.
    pub run: RunId,
    /// When it was claimed.
    pub started_at: DateTime<Utc>,
    /// Who runs it.
    pub worker: WorkerId,
    /// That worker's name; none: its row is gone.
    pub worker_name: Option<String>,
    /// Its last sign of life.
    pub beat_at: Option<DateTime<Utc>>,
    /// Whether that is young enough.
    pub alive: bool,
}

pub(super) async fn read(conn: &mut PgConnection, job: &Job) -> Result<Facts, AdminError> {
    let row = sqlx::query!(
        r#"-- admin::job::explain (state)
        select clock() as "now!", s.tenant_id, s.dirty_since,
            case when s.floor_at > clock() then s.floor_at end as floor_at,
            case when s.backoff_until > clock() then s.backoff_until end as backoff_until,
            s.lease as "lease?", s.claimed_by as "claimed_by?",
            least(uuid_v7_time(s.lease), clock()) as started_at,
            w.name as "worker_name?", w.beat_at as "beat_at?", w.beat_at > clock() - interval '10 s' as alive,
            (
                select count(*) from runs r
                where s.seen is not null and r.job_id = s.job_id and r.outcome = 'continue'
                    and r.started_at >= s.due_since
            ) as "steps!"
        from job_state s
        left join workers w on w.id = s.claimed_by
        where s.job_id = $1"#,
        job.id,
    )
    .fetch_one(&mut *conn)
    .await?;
    let fleet = sqlx::query!(
        r#"-- admin::job::explain (fleet)
        select count(*) as "workers!", coalesce(bool_or($2 = any(kinds)), false) as "known!",
            coalesce(sum((slots ->> $1)::bigint) filter (where $2 = any(kinds)), 0)::bigint as "slots!"
        from workers
        where beat_at > clock() - interval '10 s'"#,
        job.lane.as_str(),
        job.kind,
    )
    .fetch_one(&mut *conn)
    .await?;
    let before = sqlx::query!(
        r#"-- admin::job::explain (before)
        select count(*) as "lane!", count(*) filter (where d.tenant_id = $2) as "tenant!"
        from job_state s
        join due_jobs d on d.lane = s.lane and d.run_at < 'infinity' and (d.run_at, d.job_id) < (s.run_at, s.job_id)
        where s.job_id = $1 and s.run_at <= clock()"#,
        job.id,
        row.tenant_id,
    )
    .fetch_one(&mut *conn)
    .await?;
    let tenant = row.tenant_id.to_string();
    let account = job.account.map(|id| id.to_string());
    // As in the view `due_jobs`.
    let passes =
        |gate: &gates::Closed| gate.reason == gates::Reason::Share.as_str() && job.lane == Lane::Interactive;
    let closed = gates::closed(conn, None).await?;
    let gates = closed.into_iter().filter(|gate| !passes(gate)).filter(|gate| match gate.scope.as_str() {
        "kind" => gate.target == job.kind,
        "lane" => gate.target == job.lane.as_str(),
        "tenant" => gate.target == tenant,
        _ => Some(&gate.target) == account.as_ref(),
    });
    let run = match (row.lease, row.claimed_by, row.started_at) {
        (Some(run), Some(worker), Some(started_at)) => Some(Under {
            run,
            started_at,
            worker,
            worker_name: row.worker_name,
            beat_at: row.beat_at,
            alive: row.alive.unwrap_or(false),
        }),
        _ => None,
    };
    Ok(Facts {
        now: row.now,
        floor_at: row.floor_at,
        backoff_until: row.backoff_until,
        dirty_since: row.dirty_since,
        gates: gates.map(Gate::from).collect(),
        run,
        steps: row.steps,
        workers: fleet.workers,
        known: fleet.known,
        slots: fleet.slots,
        before_in_lane: before.lane,
        before_of_tenant: before.tenant,
    })
}
