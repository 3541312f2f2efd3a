//! Carries the plan out, and keeps a record of what was struck when.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use chrono::{DateTime, Utc};
use loadtest::proxy::Mode;
use rustix::process::Signal;
use sqlx::PgPool;
use tokio::task::JoinSet;

use super::{
    fault::{Fault, Line, Member, Outside, Role},
    fleet::{Fleet, Unit},
    observe::{self, Held},
    plan::Planned,
    report::say,
    servers::Servers,
};

/// What is struck.
pub struct Target {
    pub servers: Servers,
    pub fleet: Fleet,
    pub db: PgPool,
    record: Mutex<Record>,
}

/// What was struck, and what was seen of it.
#[derive(Debug, Default, Clone)]
pub struct Record {
    pub struck: Vec<Struck>,
    pub crashes: Vec<Crash>,
    /// Who said in the metrics that the bell is away.
    pub without_bell: BTreeSet<Member>,
    /// What should not have happened.
    pub wrong: Vec<String>,
}

/// A fault that struck.
#[derive(Debug, Clone, Copy)]
pub struct Struck {
    pub fault: Fault,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

/// A worker that was killed or stopped, and what it held.
#[derive(Debug, Clone)]
pub struct Crash {
    pub member: Member,
    pub at: DateTime<Utc>,
    pub held: Vec<Held>,
}

/// The time on the clock that the database shares.
pub fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

impl Target {
    pub fn new(servers: Servers, fleet: Fleet, db: PgPool) -> Self {
        Self { servers, fleet, db, record: Mutex::default() }
    }

    /// The record as it stands.
    pub fn record(&self) -> Record {
        self.note(|record| record.clone())
    }

    fn note<T>(&self, write: impl FnOnce(&mut Record) -> T) -> T {
        write(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Strikes as planned, and returns when the last fault is over.
    pub async fn strike_all(self: &Arc<Self>, planned: &[Planned]) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut under_way = JoinSet::new();
        for one in planned {
            tokio::time::sleep((began + one.at).saturating_duration_since(Instant::now())).await;
            say(&format!("{:>6.1} s  {}", one.at.as_secs_f64(), one.fault))?;
            let (target, fault) = (Arc::clone(self), one.fault);
            under_way.spawn(async move {
                let from = now();
                if let Err(error) = target.strike(fault).await {
                    target.note(|record| record.wrong.push(format!("{fault}: {error:#}")));
                }
                target.note(|record| record.struck.push(Struck { fault, from, to: now() }));
            });
        }
        while let Some(ended) = under_way.join_next().await {
            ended?;
        }
        Ok(())
    }

    async fn strike(&self, fault: Fault) -> anyhow::Result<()> {
        match fault {
            Fault::Kill { member, away } => {
                let unit = self.fleet.unit(member)?;
                let _turn = unit.turn().await;
                let pid = unit.pid().await;
                let at = now();
                unit.kill().await?;
                self.note_held(member, pid, at).await;
                tokio::time::sleep(away).await;
                unit.start().await
            }
            Fault::Stop { member, lasts } => {
                let unit = self.fleet.unit(member)?;
                let _turn = unit.turn().await;
                let (pid, at) = (unit.pid().await, now());
                unit.signal(Signal::STOP).await?;
                self.note_held(member, pid, at).await;
                tokio::time::sleep(lasts).await;
                unit.signal(Signal::CONT).await
            }
            Fault::Renew { member } => {
                let unit = self.fleet.unit(member)?;
                let _turn = unit.turn().await;
                let ended = unit.end().await;
                unit.start().await?;
                ended
            }
            Fault::Flush => {
                // Redis itself may be away.
                let _ = self.servers.redis.flush().await;
                Ok(())
            }
            Fault::RedisAway { lasts } => {
                self.servers.redis.end().await;
                self.watch_bell(lasts).await;
                self.servers.redis.run().await
            }
            Fault::PostgresCrash { away } => {
                self.servers.postgres.crash().await;
                tokio::time::sleep(away).await;
                self.servers.postgres.run().await
            }
            Fault::Cut { member, line } => {
                self.fleet.unit(member)?.line(line).cut();
                Ok(())
            }
            Fault::Strand { member, line } => {
                self.fleet.unit(member)?.line(line).strand();
                Ok(())
            }
            Fault::Delay { member, line, by, lasts } => {
                let unit = self.fleet.unit(member)?;
                during(unit, line, Mode::Delay(by), lasts).await;
                Ok(())
            }
            Fault::Outside { what, lasts } => {
                let mode = match what {
                    Outside::Cut => {
                        self.fleet.outside().cut();
                        return Ok(());
                    }
                    Outside::Refuse => Mode::Refuse,
                    Outside::Delay(by) => Mode::Delay(by),
                    Outside::Swallow => Mode::BlackHole,
                };
                self.fleet.outside().set(mode);
                tokio::time::sleep(lasts).await;
                self.fleet.outside().set(Mode::Forward);
                Ok(())
            }
            Fault::Swallow { member, line, lasts, then_cut } => {
                let unit = self.fleet.unit(member)?;
                during(unit, line, Mode::BlackHole, lasts).await;
                if then_cut {
                    unit.line(line).cut();
                }
                Ok(())
            }
        }
    }

    async fn note_held(&self, member: Member, pid: Option<u32>, at: DateTime<Utc>) {
        let (Role::Worker, Some(pid)) = (member.role, pid) else { return };
        // Where the database is away, too, nobody knows, and nothing is measured.
        if let Ok(held) = observe::held(&self.db, pid).await {
            self.note(|record| record.crashes.push(Crash { member, at, held }));
        }
    }

    async fn watch_bell(&self, lasts: Duration) {
        let until = Instant::now() + lasts;
        while Instant::now() < until {
            for unit in self.fleet.units() {
                if self.fleet.bell_is_up(unit).await == Some(false) {
                    self.note(|record| record.without_bell.insert(unit.member));
                }
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

async fn during(unit: &Unit, line: Line, mode: Mode, lasts: Duration) {
    unit.line(line).set(mode);
    tokio::time::sleep(lasts).await;
    unit.line(line).set(Mode::Forward);
}
