//! Names at a BIND 9 whose addresses change during the faults, as routers tell them through all that is wrong on the way to the
//! ingresses. BIND is the witness, and writes down each update that it gets. Now and then it is stopped for longer than a call may take: what
//! was sent meanwhile arrives, and is answered too late. Whether it has arrived is to be looked for then, and it is not to be sent again.
//!
//! No address comes twice, so an address that BIND got twice for a name was sent twice for one change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail};
use chrono::TimeDelta;
use loadtest::bind::{Bind, Update};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rustix::process::{Pid, Signal, kill_process};
use shared::secrets::KeyRing;
use sqlx::PgPool;

use super::check::Findings;
use crate::stage::homes::{Homes, Names, Routers};

const ZONE: &str = "faults.test";

/// Addresses, and names that follow them.
const HOMES: Names = Names { records: 12, addresses: 3 };

/// Between two changes: shorter than the least time between two updates of a name, so that changes must wait for each other.
const PAUSE: Duration = Duration::from_secs(2);

/// BIND is stopped before each change of so many, and for how long: longer than the worker waits for an answer.
const STOPS: u32 = 8;
const STOPPED: Duration = Duration::from_secs(17);

/// How long a router waits for an answer, and until it calls again where there was none.
const ANSWER: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(500);

/// How long the last words of all routers may take when nothing is wrong any more.
const LAST_WORDS: Duration = Duration::from_mins(1);

/// The least time between two updates of a name, as the provider has it, less what two clocks of one machine may differ by.
const LEAST: TimeDelta = TimeDelta::milliseconds(9_900);

/// The names, the truth about them, and their BIND.
pub struct Kept {
    bind: Bind,
    homes: Homes,
    /// What each home's router says, or tries to, and how many changes there were.
    truth: Mutex<(Vec<Ipv4Addr>, u32)>,
}

impl Kept {
    /// Starts BIND with its files in a new folder, and puts the homes into the database. Their jobs are in step.
    pub async fn start(folder: &Path, db: &PgPool, keys: &KeyRing) -> anyhow::Result<Self> {
        fs::create_dir(folder).context("cannot make a folder for BIND")?;
        let bind = Bind::start(folder, &[HOMES.zone(ZONE)], true).await?;
        let homes = Homes::seed(db, keys, &bind, HOMES, ZONE).await?;
        let truth = (0..HOMES.addresses).map(Names::before).collect();
        Ok(Self { bind, homes, truth: Mutex::new((truth, 0)) })
    }

    /// The homes' routers, which call this address.
    pub fn routers(&self, public: SocketAddr) -> anyhow::Result<Routers> {
        Routers::new(public, &self.homes)
    }

    /// Changes one address after the other, until it is dropped.
    pub async fn change(self: Arc<Self>, routers: Routers, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        for change in 1_u32.. {
            let is_stopped = change.is_multiple_of(STOPS) && self.signal(Signal::STOP).is_ok();
            let home = rng.random_range(0..HOMES.addresses);
            let address = self.move_home(home);
            tell(&routers, home, address).await;
            tokio::time::sleep(if is_stopped { STOPPED } else { PAUSE }).await;
            // If it is gone, the check will say so.
            let _ = self.signal(Signal::CONT);
        }
    }

    /// BIND goes on, and each router calls once more, as the last call may have got no answer.
    pub async fn tell_again(&self, routers: &Routers) -> anyhow::Result<()> {
        self.signal(Signal::CONT)?;
        let (truth, _) = self.truth();
        let telling = async {
            for (home, address) in (0..).zip(truth) {
                tell(routers, home, address).await;
            }
        };
        let told = tokio::time::timeout(LAST_WORDS, telling).await;
        told.with_context(|| format!("routers were not heard within {LAST_WORDS:?} of peace"))
    }

    /// Compares BIND's zone with the truth, and looks at what it got.
    pub async fn check(&self, db: &PgPool, findings: &mut Findings) -> anyhow::Result<()> {
        let (truth, changes) = self.truth();
        let found = self.bind.transfer(ZONE).await?;
        let mut wrong = Vec::new();
        for record in 0..HOMES.records {
            let (host, home) = (Names::host(record, ZONE), HOMES.address_of(record) as usize);
            let there = found.get(&host).map_or(&[][..], Vec::as_slice);
            if there != [IpAddr::V4(truth[home])] {
                wrong.push(format!("{host}: {there:?} in place of {}", truth[home]));
            }
        }
        findings.wrong_many("names of BIND differ from the truth", &wrong);
        let updates = self.bind.updates()?;
        if changes > 0 && updates.is_empty() {
            bail!("{changes} addresses changed, and BIND got no update");
        }
        findings.wrong_many("updates were sent twice or too soon", &needless(&updates));
        let done: Vec<(String, i64)> =
            sqlx::query_as("select what, count(*) from dns_history group by what order by what")
                .fetch_all(db)
                .await?;
        let done: Vec<_> = done.iter().map(|(what, count)| format!("{what} {count}")).collect();
        findings.told.push(format!(
            "names compared: {}; {changes} changes of addresses, {} updates at BIND; history: {}",
            HOMES.records,
            updates.len(),
            done.join(", ")
        ));
        Ok(())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.bind.pid()?).ok().and_then(Pid::from_raw);
        kill_process(pid.context("no process number")?, signal).context("cannot signal BIND")
    }

    fn move_home(&self, home: u32) -> Ipv4Addr {
        let mut truth = self.truth.lock().unwrap_or_else(PoisonError::into_inner);
        truth.1 += 1;
        let address = Names::before(HOMES.addresses + truth.1);
        if let Some(place) = truth.0.get_mut(home as usize) {
            *place = address;
        }
        address
    }

    fn truth(&self) -> (Vec<Ipv4Addr>, u32) {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Calls until there is an answer that says that it was heard.
async fn tell(routers: &Routers, home: u32, address: Ipv4Addr) {
    loop {
        match tokio::time::timeout(ANSWER, routers.tell(home, address)).await {
            Ok(Ok(answer)) if answer == "good" || answer == "nochg" => return,
            _ => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// Updates of a name with an address that it had got before, and those that came too soon after another one.
fn needless(updates: &[Update]) -> Vec<String> {
    let mut by_name: BTreeMap<&str, Vec<&Update>> = BTreeMap::new();
    for update in updates {
        by_name.entry(&update.name).or_default().push(update);
    }
    let mut found = Vec::new();
    for (name, updates) in by_name {
        let mut sent = BTreeSet::new();
        for update in &updates {
            if !sent.insert(update.address) {
                found.push(format!("{name}: {} again at {}", update.address, update.at));
            }
        }
        for two in updates.windows(2) {
            if let [one, next] = two
                && next.at - one.at < LEAST
            {
                found.push(format!("{name}: at {}, and again at {}", one.at, next.at));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_twice_or_too_soon_is_seen() {
        let update = |seconds: i64, name: &str, address: u32| Update {
            at: chrono::DateTime::from_timestamp(seconds, 0).unwrap(),
            name: name.to_owned(),
            address: Names::before(address).into(),
        };
        let good = [update(0, "a", 1), update(1, "b", 1), update(10, "a", 2), update(30, "b", 3)];
        assert!(needless(&good).is_empty());
        assert_eq!(needless(&[update(0, "a", 1), update(10, "a", 2), update(20, "a", 1)]).len(), 1);
        assert_eq!(needless(&[update(0, "a", 1), update(9, "a", 2)]).len(), 1);
        assert_eq!(needless(&[update(0, "a", 1), update(1, "a", 1)]).len(), 2);
    }
}
