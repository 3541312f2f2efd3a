use std::time::{Duration, Instant};

use sqlx::PgPool;

use super::Objects;
use crate::store::objects;

/// What is found in this time is removed; the rest the next time.
const LIMIT: Duration = Duration::from_mins(1);

/// What was taken out of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Objects, and uploads that nobody goes on with.
    pub objects: usize,
    /// Whether nothing more was due.
    pub is_all: bool,
}

impl Objects {
    /// Takes out of the store what is due to be, at most so much. What cannot be removed is tried again in an
    /// hour, and makes this an error once all the others were tried.
    pub async fn remove_due(&self, db: &PgPool, limit: i64) -> anyhow::Result<Removed> {
        let began = Instant::now();
        let due = objects::due(&mut *db.acquire().await?, limit).await?;
        let found = due.len();
        let (mut gone, mut failed, mut failure) = (Vec::new(), Vec::new(), None);
        for removal in due {
            match self.remove(removal.key, removal.upload.as_deref()).await {
                Ok(()) => gone.push(removal.key),
                Err(error) => {
                    failed.push(removal.key);
                    failure = Some(error.context(format!("object {} was not removed", removal.key)));
                }
            }
            if began.elapsed() > LIMIT {
                break;
            }
        }
        let mut connection = db.acquire().await?;
        objects::removed(&mut connection, &gone).await?;
        if let Some(error) = failure {
            let postponed = objects::postpone(&mut connection, &failed).await?;
            return Err(error.context(format!("{postponed} of {found} removals are tried again in an hour")));
        }
        let is_all = gone.len() == found && i64::try_from(found).is_ok_and(|found| found < limit);
        Ok(Removed { objects: gone.len(), is_all })
    }
}
