use sqlx::PgConnection;

use super::LeaseLost;
use crate::job::Run;

/// Lets a step's transaction be committed before the step ends, if the run's lease stands: nobody takes it back before the
/// transaction has ended. For the intent of what cannot be undone, which must be there before it is done. To be called last in the
/// transaction, so that rows are locked in the order of a step's commit.
pub async fn checkpoint(conn: &mut PgConnection, run: &Run) -> Result<(), LeaseLost> {
    let stands = sqlx::query_scalar!(
        r#"-- job_state::checkpoint
        select true as "stands!" from job_state where job_id = $1 and lease = $2 and phase = 'running' for share"#,
        run.job,
        run.id,
    )
    .fetch_optional(conn)
    .await?;
    if stands.is_some() { Ok(()) } else { Err(LeaseLost::Lost(run.id)) }
}
