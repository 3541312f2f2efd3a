//! A tenant with addresses and records, a clock that is shifted, and the engine by the step: claim, step, and the worker's own commit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use rand::{SeedableRng, rngs::StdRng};
use secrecy::SecretString;
use serde_json::Value;
use shared::{
    admin::{
        Actor,
        dns::{RecordRef, address, record, show},
    },
    bell::Bell,
    dns::{
        Http, Limits, Provider,
        address::{Family, HostId, Source},
    },
    guard::{Allow, system},
    job::{JobId, Lanes, Policy, Run, Step, TenantId, Verdict},
    secrets::{KeyRing, Owner, generate_key},
    shutdown::Tasks,
    store::{
        PgPool,
        dns_addresses::{self, AddressId, NewAddress},
        dns_history::{self, Entry},
        dns_hosts,
        dns_records::{self, NewRecord, Record, RecordId},
        job_state::{self, Claimer},
        jobs::{self, NewJob},
        secrets, tenants,
    },
};
use sqlx::{
    PgConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;
use worker::{
    Settings, Worker,
    commit::{self, Ended},
    heartbeat::Heart,
    jobs::{Context, Dns, KINDS, Kind, policies},
};

use crate::bind::{Bind, SECRET};

/// What a step came to.
#[derive(Debug)]
pub struct Stepped {
    pub verdict: Verdict,
    pub ended: Ended,
}

/// A record to be.
pub struct New<'a> {
    pub host: &'a str,
    pub provider: Value,
    pub families: &'a [(Family, Option<&'a str>)],
    pub min_interval: Duration,
    pub forced_interval: Option<Duration>,
    /// Whether BIND is asked afterwards.
    pub verify: bool,
    pub secret: &'a str,
}

impl Default for New<'_> {
    fn default() -> Self {
        Self {
            host: "cloud.home.test",
            provider: Value::Null,
            families: &[(Family::Ipv4, None)],
            min_interval: Duration::from_mins(5),
            forced_interval: None,
            verify: true,
            secret: "s3cret",
        }
    }
}

/// The time as the database has it.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    pub fn now(&self) -> DateTime<Utc> {
        DateTime::<Utc>::from(SystemTime::now())
            + chrono::TimeDelta::milliseconds(self.0.load(Ordering::SeqCst))
    }

    fn advance_to(&self, at: DateTime<Utc>) {
        // What is due then is due a moment later, too.
        let ahead = (at - self.now()).num_milliseconds() + 2;
        if ahead > 0 {
            self.0.fetch_add(ahead, Ordering::SeqCst);
        }
    }

    async fn set(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        let shift = format!("{} milliseconds", self.0.load(Ordering::SeqCst));
        let set = sqlx::query("select set_config('syncfleet.clock_shift', $1, false)").bind(shift);
        set.execute(conn).await.map(drop)
    }
}

/// A worker that commits; what it is to run is claimed by the test, step by step.
struct Working {
    worker: Arc<Worker>,
    tasks: Tasks,
    heart: Heart,
}

impl Working {
    fn start(url: SecretString, context: Context) -> Self {
        let lanes = Lanes { interactive: 0, normal: 0, bulk: 0 };
        let settings = Settings { kinds: KINDS, lanes, name: "test".to_owned(), database_url: url };
        let tasks = Tasks::new();
        let (worker, heart) = worker::start(settings, context, Arc::new(Bell::in_memory()), &tasks).unwrap();
        Self { worker, tasks, heart }
    }

    async fn end(self) {
        assert!(self.tasks.finish(Duration::from_secs(20)).await, "it ends in time");
        self.heart.stop().await;
    }
}

/// What keeps names, with the usual limits.
fn dns(keys: &KeyRing) -> Dns {
    Dns::new(keys.clone(), None, allow()).unwrap()
}

/// Providers and BIND are on this machine.
fn allow() -> Allow {
    Allow::new(&["127.0.0.0/8".parse().unwrap()])
}

pub struct Rig {
    pub db: PgPool,
    pub bind: Arc<Bind>,
    pub clock: Clock,
    pub context: Context,
    pub tenant: TenantId,
    keys: KeyRing,
    url: SecretString,
    working: Working,
    runs: AtomicU64,
}

impl Rig {
    pub async fn start(database: PgConnectOptions) -> Self {
        let url = SecretString::from(sqlx::ConnectOptions::to_url_lossy(&database).to_string());
        let clock = Clock::default();
        let (of_new, of_old) = (clock.clone(), clock.clone());
        let db = PgPoolOptions::new()
            .max_connections(8)
            .after_connect(move |conn, _| {
                let clock = of_new.clone();
                Box::pin(async move { clock.set(conn).await })
            })
            .before_acquire(move |conn, _| {
                let clock = of_old.clone();
                Box::pin(async move { clock.set(conn).await.map(|()| true) })
            })
            .connect_with(database)
            .await
            .unwrap();
        let keys = KeyRing::parse(&generate_key("test").unwrap()).unwrap();
        let context = Context {
            db: db.clone(),
            google: None,
            objects: None,
            public_url: None,
            webhooks: None,
            dns: Some(dns(&keys)),
        };
        let tenant = tenants::ensure(&mut db.acquire().await.unwrap(), "home").await.unwrap();
        let working = Working::start(url.clone(), context.clone());
        let bind = Arc::new(Bind::start().await);
        Self { db, bind, clock, context, tenant, keys, url, working, runs: AtomicU64::new(0) }
    }

    /// Ends the worker and starts another one: of what it had in memory nothing is left.
    pub async fn restart(&mut self) {
        self.context.dns = Some(dns(&self.keys));
        let next = Working::start(self.url.clone(), self.context.clone());
        std::mem::replace(&mut self.working, next).end().await;
    }

    /// Providers may take this long for an answer from now on; none: as long as usual.
    pub fn patience(&mut self, call: Option<Duration>) {
        let usual = Limits::default();
        let limits = Limits { call: call.unwrap_or(usual.call), ..usual };
        let dns = self.context.dns.as_mut().unwrap();
        dns.http = Http::with(limits, &allow(), &system()).unwrap();
    }

    pub async fn end(self) {
        self.working.end().await;
    }

    /// An address whose families are told by routers, or by a source.
    pub async fn address(&self, name: &str, families: &[(Family, Option<Source>)]) -> AddressId {
        let mut tx = self.db.begin().await.unwrap();
        let allowed = ["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        let interval = Duration::from_mins(5);
        let new = NewAddress { tenant: self.tenant, name, interval, allowed: &allowed };
        let id = dns_addresses::insert(&mut tx, &new).await.unwrap().unwrap();
        for (family, source) in families {
            dns_addresses::put_family(&mut tx, id, *family, source.as_ref()).await.unwrap();
        }
        tx.commit().await.unwrap();
        id
    }

    /// The job of an address, wanted.
    pub async fn address_job(&self, id: AddressId) -> JobId {
        self.job("dns_address", id).await
    }

    /// A record that BIND verifies, with its job, wanted.
    pub async fn record(&self, address: AddressId, new: New<'_>) -> (RecordId, JobId) {
        let families: Vec<(Family, Option<HostId>)> =
            new.families.iter().map(|(family, id)| (*family, id.map(|id| id.parse().unwrap()))).collect();
        let servers = [self.bind.server];
        let record = NewRecord {
            tenant: self.tenant,
            address,
            host: &new.host.parse().unwrap(),
            provider: &Provider::parse(new.provider).unwrap(),
            ttl: None,
            min_interval: new.min_interval,
            forced_interval: new.forced_interval,
            verify: new.verify,
            verify_servers: new.verify.then_some(&servers),
            families: &families,
        };
        let mut tx = self.db.begin().await.unwrap();
        let id = dns_records::insert(&mut tx, &record).await.unwrap().unwrap();
        let owner = Owner::dns_record(id, dns_records::SECRET);
        secrets::put(&mut tx, &self.keys, owner, &new.secret.into(), None).await.unwrap();
        tx.commit().await.unwrap();
        (id, self.job("dns_record", id).await)
    }

    /// The settings of BIND itself as a provider. Its secret is [`SECRET`].
    pub fn rfc2136(&self) -> Value {
        serde_json::json!({"provider": "rfc2136", "server": self.bind.server.to_string(), "zone": "home.test", "key": "ddns-key"})
    }

    /// A record at BIND itself.
    pub fn at_bind<'a>(&self, host: &'a str, families: &'a [(Family, Option<&'a str>)]) -> New<'a> {
        let min_interval = Duration::from_secs(10);
        New { host, provider: self.rfc2136(), families, min_interval, secret: SECRET, ..New::default() }
    }

    async fn job(&self, kind: &str, row: i64) -> JobId {
        let mut tx = self.db.begin().await.unwrap();
        let new = NewJob { key: row.to_string(), tenant: self.tenant, account: None, first: None };
        let jobs = jobs::ensure(&mut tx, &policy(kind), &[new]).await.unwrap();
        job_state::want(&mut tx, &jobs, None, None).await.unwrap();
        tx.commit().await.unwrap();
        jobs[0]
    }

    /// As a router does. Whether the address has moved.
    pub async fn tell(&self, address: AddressId, now: &str) -> bool {
        let told = dns_hosts::Told { address, ip: now.parse().unwrap(), by: "router".to_owned() };
        let mut tx = self.db.begin().await.unwrap();
        let changed = dns_hosts::tell(&mut tx, std::slice::from_ref(&told), &[]).await.unwrap();
        tx.commit().await.unwrap();
        changed.has(&told)
    }

    /// As a router does that tells what cannot be used.
    pub async fn tell_useless(&self, address: AddressId, family: Family, why: &str) {
        let useless = dns_hosts::Useless { address, family, why: why.to_owned() };
        let mut tx = self.db.begin().await.unwrap();
        dns_hosts::tell(&mut tx, &[], &[useless]).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// As `dns address set` does.
    pub async fn set_address(&self, name: &str, change: &address::Change) {
        address::set(&self.db, &Actor::new("test"), &policies(), (name, None), change).await.unwrap();
    }

    /// As `dns set` does.
    pub async fn set_record(&self, record: RecordId, change: &record::Change) {
        let which = (&RecordRef::Id(record), None);
        record::set(&self.db, &Actor::new("test"), &self.keys, &policies(), which, change).await.unwrap();
    }

    pub async fn want(&self, job: JobId) {
        let mut conn = self.db.acquire().await.unwrap();
        assert_eq!(job_state::want(&mut conn, &[job], None, None).await.unwrap().len(), 1);
    }

    /// As an operator's retry does.
    pub async fn retry(&self, job: JobId) {
        assert_eq!(job_state::release(&mut self.db.acquire().await.unwrap(), &[job]).await.unwrap(), 1);
    }

    /// As a person's `--force` does.
    pub async fn force(&self, record: RecordId, job: JobId) {
        let mut tx = self.db.begin().await.unwrap();
        assert!(dns_records::release(&mut tx, record, true).await.unwrap());
        job_state::release(&mut tx, &[job]).await.unwrap();
        job_state::want(&mut tx, &[job], None, None).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Claims a job that is due, as a worker that has no row: [`Rig::reap`] takes it back.
    pub async fn claim(&self, job: JobId) -> Run {
        let kinds: Vec<String> = KINDS.iter().map(|kind| kind.policy.kind.to_owned()).collect();
        // Numbered, and not drawn: chance is the same each time.
        let nth = self.runs.fetch_add(1, Ordering::Relaxed);
        let (lease, worker) =
            (Uuid::from_u64_pair(nth, nth.wrapping_mul(0x9E37_79B9_7F4A_7C15)), Uuid::now_v7());
        let claimer = Claimer { worker, kinds: &kinds, suspects: true };
        let mut conn = self.db.acquire().await.unwrap();
        let mut runs = job_state::claim(&mut conn, &claimer, &[job], &[lease]).await.unwrap();
        runs.pop().unwrap_or_else(|| panic!("job {job} is not due"))
    }

    /// Runs a step, and leaves it uncommitted.
    pub async fn act(&self, run: &Run) -> Step {
        match (kind(&run.kind).step)(&self.context, run).await {
            Ok(step) => step,
            Err(failure) => Step::quiet(failure.into()),
        }
    }

    /// Commits a step as the worker does.
    pub async fn commit(&self, run: &Run, step: Step) -> Stepped {
        let verdict = step.verdict.clone();
        let mut rng = StdRng::seed_from_u64(run.id.as_u64_pair().1);
        let ended = commit::step(&self.working.worker, run, &kind(&run.kind).policy, step, &mut rng).await;
        Stepped { verdict, ended }
    }

    /// One step of a job that is due.
    pub async fn step(&self, job: JobId) -> Stepped {
        let run = self.claim(job).await;
        let step = self.act(&run).await;
        self.commit(&run, step).await
    }

    /// Takes back all runs, as from workers that died.
    pub async fn reap(&self) {
        let reaped = job_state::reap(&self.db, Duration::from_secs(10), 100).await.unwrap();
        assert!(!reaped.is_empty(), "no run was under way");
    }

    /// Lets time pass; what becomes due meanwhile is run at its time. Says how many steps there were.
    pub async fn pass(&self, time: Duration) -> usize {
        self.pass_until(self.clock.now() + time).await
    }

    pub async fn pass_until(&self, at: DateTime<Utc>) -> usize {
        for steps in 0..10_000 {
            let next: Option<(JobId, DateTime<Utc>)> = sqlx::query_as(
                "select job_id, greatest(run_at, '2000-01-01') from job_state
                where phase = 'idle' and run_at <= $1 order by run_at, job_id limit 1",
            )
            .bind(at)
            .fetch_optional(&self.db)
            .await
            .unwrap();
            let Some((job, run_at)) = next else {
                self.clock.advance_to(at);
                return steps;
            };
            self.clock.advance_to(run_at);
            let stepped = self.step(job).await;
            assert!(matches!(stepped.ended, Ended::Committed(_)), "job {job}: {stepped:?}");
        }
        panic!("something is always due");
    }

    pub async fn of(&self, record: RecordId) -> Record {
        dns_records::get(&mut self.db.acquire().await.unwrap(), record).await.unwrap().unwrap()
    }

    /// What was done for a record, oldest first.
    pub async fn history(&self, record: RecordId) -> Vec<Entry> {
        let mut last = dns_history::last(&mut self.db.acquire().await.unwrap(), record, 1_000).await.unwrap();
        last.reverse();
        last
    }

    /// The words of what was done for a record, oldest first.
    pub async fn words(&self, record: RecordId) -> Vec<String> {
        self.history(record).await.into_iter().map(|entry| entry.what).collect()
    }

    /// A record as `dns show` has it: how its first family stands, and why.
    pub async fn shown(&self, record: RecordId) -> (String, Option<String>) {
        let mut conn = self.db.acquire().await.unwrap();
        let mut shown = show::show(&mut conn, &RecordRef::Id(record), None).await.unwrap();
        let family = shown.families.remove(0);
        (family.state, family.row.parked_why.or(family.row.failing_why))
    }

    /// From now on workers may call these networks beside the public internet, and no others.
    pub fn allow(&mut self, networks: &[&str]) {
        let networks: Vec<_> = networks.iter().map(|network| network.parse().unwrap()).collect();
        self.context.dns = Some(Dns::new(self.keys.clone(), None, Allow::new(&networks)).unwrap());
    }

    /// Why the job does not run, in words.
    pub async fn explained(&self, job: JobId) -> String {
        let job = shared::admin::job::JobRef::Id(job);
        shared::admin::job::explain::explain(&self.db, &job).await.unwrap().text
    }
}

fn kind(name: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.policy.kind == name).unwrap()
}

fn policy(name: &str) -> Policy {
    kind(name).policy
}
