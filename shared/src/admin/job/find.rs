use std::{fmt, str::FromStr};

use sqlx::PgConnection;

use crate::{
    admin::{AdminError, kind_name},
    job::JobId,
};

/// How people name a job: its number, or KIND/KEY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobRef {
    /// Its number.
    Id(JobId),
    /// Its kind and key.
    Key {
        /// The kind.
        kind: String,
        /// The key.
        key: String,
    },
}

impl FromStr for JobRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().split_once('/') {
            Some((kind, key)) if !kind.is_empty() && !key.is_empty() => {
                Ok(Self::Key { kind: kind_name(kind), key: key.to_owned() })
            }
            _ => {
                text.trim().parse().map(Self::Id).map_err(|_| {
                    "name a job by its number, as 42, or by KIND/KEY, as noop/example".to_owned()
                })
            }
        }
    }
}

impl fmt::Display for JobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Key { kind, key } => write!(f, "{kind}/{key}"),
        }
    }
}

impl JobRef {
    /// The job's number, if there is such a job.
    pub async fn find(&self, conn: &mut PgConnection) -> Result<JobId, AdminError> {
        let found = match self {
            Self::Id(id) => {
                sqlx::query_scalar!("-- admin::job::find (id)\nselect id from jobs where id = $1", id)
                    .fetch_optional(conn)
                    .await?
            }
            Self::Key { kind, key } => {
                sqlx::query_scalar!(
                    "-- admin::job::find (key)\nselect id from jobs where kind = $1 and key = $2",
                    kind,
                    key
                )
                .fetch_optional(conn)
                .await?
            }
        };
        found.ok_or_else(|| AdminError::not_found("job", self, "`syncfleet job ls` shows jobs"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_named_by_number_or_by_kind_and_key() {
        assert_eq!("42".parse(), Ok(JobRef::Id(42)));
        assert_eq!("noop/a/b".parse(), Ok(JobRef::Key { kind: "noop".to_owned(), key: "a/b".to_owned() }));
        for wrong in ["", "noop", "noop/", "/key", "4x", "99999999999999999999"] {
            assert!(wrong.parse::<JobRef>().is_err(), "{wrong}");
        }
    }
}
