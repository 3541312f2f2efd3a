//! `worker ls`: the processes of the fleet. The role that works is the same command without a verb.

use shared::{
    admin::{self, words, worker},
    job::Lane,
};

use super::Access;
use crate::{
    exit::Exit,
    output::{Output, when},
};

/// Lists the workers.
pub async fn ls(access: &Access, out: Output) -> anyhow::Result<Exit> {
    let db = access.open().await?;
    let mut conn = db.acquire().await?;
    let workers = worker::ls(&mut conn).await?;
    let now = admin::now(&mut conn).await?;
    let columns = ["NAME", "VERSION", "INTERACTIVE", "NORMAL", "BULK", "RUNNING", "LAST BEAT", "UP", "STATE"];
    out.list(&workers, "no workers; `syncfleet worker` starts one", &columns, |worker| {
        let lane = |lane: Lane| format!("{}/{}", worker.busy.of(lane), worker.slots.of(lane));
        vec![
            worker.name.clone(),
            worker.version.clone(),
            lane(Lane::Interactive),
            lane(Lane::Normal),
            lane(Lane::Bulk),
            worker.running.to_string(),
            when(Some(worker.beat_at), now),
            words::span((now - worker.started_at).num_seconds()),
            if worker.alive { "alive".to_owned() } else { "silent".to_owned() },
        ]
    })?;
    Ok(Exit::Done)
}
