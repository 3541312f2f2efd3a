//! `config check`: whether what the settings name is there and fit.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::store::{
    self, Session,
    schema::{self, SchemaError, Version},
};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The first Redis that has what the bell needs (BLMPOP).
const REDIS_AT_LEAST: u32 = 7;

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The setting that it is about.
    pub setting: &'static str,
    /// Whether it is good.
    pub ok: bool,
    /// What was found, and what to do if it is not good.
    pub found: String,
}

impl Check {
    /// A check's result: what was found, or what is wrong.
    #[must_use]
    pub fn new(setting: &'static str, result: Result<String, String>) -> Self {
        let ok = result.is_ok();
        let (Ok(found) | Err(found)) = result;
        Self { setting, ok, found }
    }
}

/// Whether the database answers, and has the version that the program needs.
pub async fn database(url: &SecretString) -> Check {
    Check::new("DATABASE_URL", ask_database(url).await)
}

async fn ask_database(url: &SecretString) -> Result<String, String> {
    store::connect::reach(url, PATIENCE).await.map_err(|error| format!("{error:#}"))?;
    let db =
        store::connect(url, &Session::new("syncfleet check", 1)).map_err(|error| format!("{error:#}"))?;
    match schema::version(&db).await {
        Ok(Version::Current) => Ok("reachable, and of this program's version".to_owned()),
        Ok(Version::Older(0)) => Err("reachable, but empty: run `syncfleet migrate`".to_owned()),
        Ok(Version::Older(found)) => {
            Err(format!("reachable, but at migration {found} only: run `syncfleet migrate`"))
        }
        Err(error @ (SchemaError::Newer { .. } | SchemaError::Mismatch(_) | SchemaError::Database(_))) => {
            Err(error.to_string())
        }
    }
}

/// With fewer connections than this one long statement would hold up all others of its process.
const CONNECTIONS_AT_LEAST: u32 = 2;

/// What a process opens beside its pool, at most: to listen for changes, and to beat.
const CONNECTIONS_BESIDE: u32 = 2;

/// Whether a process can open as many connections as it may.
pub async fn connections(url: &SecretString, pool: u32) -> Check {
    Check::new("SYNCFLEET_DATABASE_CONNECTIONS", ask_connections(url, pool).await)
}

async fn ask_connections(url: &SecretString, pool: u32) -> Result<String, String> {
    let db =
        store::connect(url, &Session::new("syncfleet check", 1)).map_err(|error| format!("{error:#}"))?;
    let room = store::limited(PATIENCE, async { schema::room(&mut *db.acquire().await?).await });
    let room = room
        .await
        .map_err(|error: sqlx::Error| format!("the database does not answer: {}", store::said(&error)))?;
    enough(pool, room)
}

/// Whether a pool is large enough, and fits the server with its `room`.
fn enough(pool: u32, room: u32) -> Result<String, String> {
    let all = pool.saturating_add(CONNECTIONS_BESIDE);
    if pool < CONNECTIONS_AT_LEAST {
        return Err(format!(
            "{pool}: one long statement would hold up all others; {CONNECTIONS_AT_LEAST} at least, 10 is usual"
        ));
    }
    if all > room {
        return Err(format!(
            "a process opens {all} at most ({pool}, and {CONNECTIONS_BESIDE} to listen and to beat), and the server has \
             room for {room} of all processes: lower it, or raise the server's max_connections"
        ));
    }
    Ok(format!(
        "a process opens {all} at most ({pool}, and {CONNECTIONS_BESIDE} to listen and to beat); the server has room for \
         {room} of all processes"
    ))
}

/// Whether Redis answers, and is new enough.
pub async fn redis(url: &SecretString) -> Check {
    let asked = tokio::time::timeout(PATIENCE, ask_redis(url)).await;
    let late =
        || format!("no answer within {} s: is it running, and is the address right?", PATIENCE.as_secs());
    Check::new("REDIS_URL", asked.unwrap_or_else(|_| Err(late())))
}

async fn ask_redis(url: &SecretString) -> Result<String, String> {
    let wrong = |error: redis::RedisError| format!("{error}: is it running, and is the address right?");
    let client = redis::Client::open(url.expose_secret()).map_err(wrong)?;
    let mut connection = client.get_multiplexed_async_connection().await.map_err(wrong)?;
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await.map_err(wrong)?;
    fits(&info)
}

/// Whether the server that tells this of itself is new enough.
fn fits(info: &str) -> Result<String, String> {
    let version =
        info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("unknown").trim();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= REDIS_AT_LEAST) {
        Ok(format!("reachable, version {version}"))
    } else {
        Err(format!("version {version}: Redis {REDIS_AT_LEAST}.0 or later is needed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_has_its_least_and_its_most() {
        assert!(enough(1, 100).unwrap_err().contains("2 at least"));
        assert!(enough(2, 4).unwrap().contains("opens 4 at most"));
        assert!(enough(10, 11).unwrap_err().contains("max_connections"));
    }

    #[test]
    fn an_old_redis_is_refused() {
        assert_eq!(fits("# Server\r\nredis_version:7.0.15\r\n"), Ok("reachable, version 7.0.15".to_owned()));
        assert_eq!(fits("redis_version:10.1.0"), Ok("reachable, version 10.1.0".to_owned()));
        for old in ["redis_version:6.2.14\r\n", "redis_version:\r\n", ""] {
            assert!(fits(old).unwrap_err().contains("Redis 7.0 or later"), "{old}");
        }
    }
}
