use std::time::{Duration, Instant};

use sqlx::PgPool;

use super::Objects;
use crate::store::objects;

/// What is found in this time is removed; the rest the next time.
const LIMIT: Duration = Duration::from_mins(1);

impl Objects {
    /// Takes out of the store what is due to be, at most so much. Says how much. What cannot be removed is tried again.
    pub async fn remove_due(&self, db: &PgPool, limit: i64) -> anyhow::Result<usize> {
        let began = Instant::now();
        let due = objects::due(&mut *db.acquire().await?, limit).await?;
        let (mut gone, mut failure) = (Vec::new(), None);
        for removal in due {
            match self.remove(removal.key, removal.upload.as_deref()).await {
                Ok(()) => gone.push(removal.key),
                Err(error) => failure = Some(error),
            }
            if began.elapsed() > LIMIT {
                break;
            }
        }
        objects::removed(&mut *db.acquire().await?, &gone).await?;
        failure.map_or(Ok(gone.len()), Err)
    }
}
