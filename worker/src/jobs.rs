//! The kinds, one file or folder each. To add one: write its file with a `KIND` in it, and add its two lines here.

mod calendar_events;
mod calendar_list;
mod dns_address;
mod dns_record;
mod drive_changes;
mod drive_contents;
mod drive_list;
mod google_channels;
mod noop;
mod webhook;

use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use shared::{
    dns::{Http, Limits, address::Finder, verify::Resolvers},
    google::{
        Google,
        errors::{CallError, Class},
    },
    guard::{Allow, system},
    job::{Failure, JobId, Parked, Policy, Run, Step, StepResult, Verdict},
    objects::Objects,
    secrets::KeyRing,
    store::{
        PgConnection, PgPool,
        cursor::Cursor,
        job_state::{self, Wanted},
        secrets,
    },
    webhook::Sender,
};
use url::Url;

/// Full passes after refused tokens begin within this time.
const RESYNC_SPREAD: Duration = Duration::from_secs(20);

/// Every kind that this program knows.
pub const KINDS: &[Kind] = &[
    calendar_events::KIND,
    calendar_list::KIND,
    dns_address::KIND,
    dns_record::KIND,
    drive_changes::KIND,
    drive_contents::KIND,
    drive_list::KIND,
    google_channels::KIND,
    noop::KIND,
    webhook::KIND,
];

/// A kind of job: how its jobs are run, and what one step of a pass does.
///
/// A step is bounded: one page, or some seconds. It reads its cursor from the database, asks the outside, and gives back a
/// transaction with rows and cursor, not yet committed, and its verdict. It may be cut off at any `await`, and the same step
/// may be done again by another worker; only what its transaction wrote counts.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// How its jobs are run.
    pub policy: Policy,
    /// One step.
    pub step: for<'a> fn(&'a Context, &'a Run) -> BoxFuture<'a, StepResult>,
}

/// What steps work with.
#[derive(Debug, Clone)]
pub struct Context {
    /// The database.
    pub db: PgPool,
    /// Google; none: no OAuth client is configured.
    pub google: Option<Google>,
    /// Where contents of files are kept; none: no object store is named.
    pub objects: Option<Objects>,
    /// Where the outside reaches the fleet; none: nothing is pushed to it, all is polled.
    pub public_url: Option<Url>,
    /// Sends messages to webhooks; none: no key ring is configured.
    pub webhooks: Option<Sender>,
    /// Keeps names; none: no key ring is configured.
    pub dns: Option<Dns>,
}

/// What keeps names pointing at addresses.
#[derive(Debug, Clone)]
pub struct Dns {
    /// Opens what providers want to be shown.
    pub keys: KeyRing,
    /// Calls providers.
    pub http: Http,
    /// Finds addresses.
    pub finder: Finder,
    /// Who finds the servers of zones; none: the system's, as they are at each look.
    pub resolvers: Option<Resolvers>,
    /// Where the servers of zones may be, beside the public internet.
    pub allow: Allow,
}

impl Dns {
    /// With the usual limits of time. What tenants name is called on the public internet, and where it is allowed.
    pub fn new(keys: KeyRing, resolvers: Option<Resolvers>, allow: Allow) -> anyhow::Result<Self> {
        let (limits, lookup) = (Limits::default(), system());
        let (http, finder) = (Http::with(limits, &allow, &lookup)?, Finder::with(limits, &allow, &lookup)?);
        Ok(Self { keys, http, finder, resolvers, allow })
    }
}

impl Context {
    /// Google, for the work of a run: its lane says how much of the budget it may use.
    fn google(&self, run: &Run) -> Result<Google, Failure> {
        let missing = "this worker has no OAuth client: set SYNCFLEET_GOOGLE_CLIENT_ID and SYNCFLEET_GOOGLE_CLIENT_SECRET";
        Ok(self.google.as_ref().context(missing)?.in_lane(run.lane))
    }

    fn webhooks(&self) -> Result<&Sender, Failure> {
        let missing = "this worker has no key ring: set SYNCFLEET_KEYS or SYNCFLEET_KEYS_FILE";
        Ok(self.webhooks.as_ref().context(missing)?)
    }

    fn dns(&self) -> Result<&Dns, Failure> {
        let missing = "this worker has no key ring: set SYNCFLEET_KEYS or SYNCFLEET_KEYS_FILE";
        Ok(self.dns.as_ref().context(missing)?)
    }

    fn objects(&self) -> Result<&Objects, Failure> {
        Ok(self.objects.as_ref().context("this worker has no object store: set SYNCFLEET_OBJECTS")?)
    }
}

/// Describes the metrics of kinds, and begins them at zero.
pub(crate) fn describe_metrics() {
    dns_record::describe_metrics();
    drive_contents::describe_metrics();
    webhook::describe_metrics();
}

/// The policies of all kinds.
#[must_use]
pub fn policies() -> Vec<Policy> {
    KINDS.iter().map(|kind| kind.policy).collect()
}

/// The row that a job's key names.
fn row_of(run: &Run) -> Result<i64, Failure> {
    let id = run.key.parse().with_context(|| format!("the key {:?} is no row's number", run.key));
    id.map_err(|error| Failure::park(error, Parked::Failed))
}

/// Wants other jobs within a step's transaction, all of them at once: two steps that want each other's job take their rows in one order.
async fn want(conn: &mut PgConnection, run: &Run, jobs: &[JobId]) -> Result<Vec<Wanted>, sqlx::Error> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    lock(&mut *conn, run, jobs).await?;
    job_state::want(conn, jobs, None, None).await
}

/// Locks the run's own job with others, which its step wants or removes.
async fn lock(conn: &mut PgConnection, run: &Run, others: &[JobId]) -> Result<(), sqlx::Error> {
    job_state::lock(conn, &[others, &[run.job]].concat()).await
}

/// A run's own randomness: the same run draws the same numbers.
fn rng(run: &Run) -> StdRng {
    StdRng::seed_from_u64(run.id.as_u64_pair().0 ^ run.id.as_u64_pair().1)
}

/// The end of a step whose call failed. Before the account is asked to sign in again, the secret that was refused is locked in
/// the step's transaction: it still stands when its job is parked and its gate closed, or neither happens.
pub(crate) async fn failed(context: &Context, run: &Run, error: CallError) -> StepResult {
    let refused = match &error {
        CallError::Auth(error) if error.needs_sign_in() => error.refused(),
        _ => None,
    };
    let Some((owner, updated_at)) = refused else {
        return Err(error.into_failure(run.attempt, &mut rng(run)));
    };
    let mut tx = context.db.begin().await?;
    if !secrets::stands(&mut tx, owner, updated_at).await? {
        let replaced = anyhow::Error::from(error).context("it was replaced meanwhile");
        return Err(Failure::retry(replaced, None));
    }
    let failure = error.into_failure(run.attempt, &mut rng(run));
    tracing::warn!("the step failed: {failure}");
    Ok(Step::wrote(failure.into(), tx, 0))
}

/// A list that leads back to the page that was asked for so often in a row is listed anew.
const CIRCLES: u32 = 4;

/// Whether the cursor's tokens count no more, so that all is to be listed anew.
fn is_expired(error: &CallError, run: &Run) -> bool {
    match error.class() {
        Some(Class::Resync) => true,
        Some(Class::Circle) => run.attempt >= CIRCLES,
        _ => false,
    }
}

/// The end of a step whose full pass may not begin yet.
fn waits_for_resync(after: Duration) -> Verdict {
    Verdict::Wait { after, why: "the sync token was refused several times in a row".to_owned() }
}

/// The end of a step whose tokens were refused. A change of an access rule refuses those of many calendars at once, so the full
/// passes that follow begin at different times; a want brings its own forward.
fn lists_anew(cursor: &Cursor, rng: &mut impl Rng) -> Verdict {
    anew_within(cursor.held, rng)
}

/// The same, where it may not begin before a time.
fn anew_within(held: Option<Duration>, rng: &mut impl Rng) -> Verdict {
    held.map_or_else(
        || Verdict::Wait {
            after: RESYNC_SPREAD.mul_f64(rng.random_range(0.0..=1.0)),
            why: "the sync token was refused: all is listed anew".to_owned(),
        },
        waits_for_resync,
    )
}
