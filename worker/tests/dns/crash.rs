//! A worker that dies around a call to a provider: nothing is sent twice that has arrived.

use std::time::{Duration, Instant};

use shared::{
    dns::address::Family,
    job::{JobId, Run, Verdict},
    store::dns_records::RecordId,
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use worker::commit::Ended;

use crate::{
    provider::{Acts, Dialect, Provider},
    rig::{New, Rig},
};

struct Stage {
    rig: Rig,
    provider: Provider,
    home: i64,
    record: RecordId,
    job: JobId,
}

async fn stage(db: PgConnectOptions, acts: Acts) -> Stage {
    stage_of(db, acts, true).await
}

/// `verify`: whether the zone's servers are asked.
async fn stage_of(db: PgConnectOptions, acts: Acts, verify: bool) -> Stage {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    provider.acts(acts);
    let home = rig.address("home", &[(Family::Ipv4, None)]).await;
    rig.tell(home, "192.0.2.51").await;
    let (record, job) =
        rig.record(home, New { provider: provider.settings(), verify, ..New::default() }).await;
    Stage { rig, provider, home, record, job }
}

impl Stage {
    /// The worker dies when the provider has the call.
    async fn dies_in_the_call(&self, calls: usize) {
        let run = self.rig.claim(self.job).await;
        tokio::select! {
            step = self.rig.act(&run) => panic!("it was not answered: {step:?}"),
            () = self.provider.until_called(calls) => {}
        }
        self.rig.reap().await;
    }

    /// What the zone's servers say, whatever the provider has.
    async fn shows(&self, address: &str) {
        let script =
            format!("update delete cloud.home.test. A\nupdate add cloud.home.test. 60 A {address}\n");
        self.rig.bind.nsupdate(&script).await;
    }

    /// An update is not answered, and cannot be seen; the next one is refused for half an hour.
    async fn open_behind_a_refusal(&self) {
        self.rig.pass(Duration::from_mins(10)).await;
        self.provider.acts(Acts::Silent);
        self.rig.tell(self.home, "192.0.2.52").await;
        self.rig.pass(Duration::from_mins(1)).await;
        self.provider.acts(Acts::Says("911"));
        self.rig.pass(Duration::from_mins(10)).await;
        assert_eq!(self.rig.words(self.record).await, ["good", "verified", "retry", "wait"]);
        let family = self.rig.of(self.record).await.families.remove(0);
        assert_eq!(family.sending.map(|address| address.to_string()).as_deref(), Some("192.0.2.52"));
        self.provider.acts(Acts::Right);
    }

    async fn ends_with(self, calls: usize, words: &[&str]) {
        self.rig.pass(Duration::from_hours(10)).await;
        assert_eq!(self.provider.calls().len(), calls, "{:?}", self.provider.calls());
        for pair in self.provider.calls().windows(2) {
            assert!(pair[1].at - pair[0].at >= chrono::TimeDelta::minutes(5), "{pair:?}");
        }
        assert_eq!(self.rig.words(self.record).await, words);
        let family = self.rig.of(self.record).await.families.remove(0);
        assert_eq!((family.sent, family.sending), (family.wanted(), None), "{family:?}");
        assert!(family.verified_at.is_some() && family.failing_since.is_none(), "{family:?}");
        let seen = self.rig.bind.dig("cloud.home.test", "A").await;
        assert_eq!(seen, [family.wanted().unwrap().to_string()]);
        self.rig.end().await;
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn between_the_sending_and_the_record(_: PgPoolOptions, db: PgConnectOptions) {
    let stage = stage(db, Acts::TakesAndHangs).await;
    stage.dies_in_the_call(1).await;
    let family = stage.rig.of(stage.record).await.families.remove(0);
    assert!(family.sending.is_some() && family.sent.is_none(), "the intent is there: {family:?}");
    stage.provider.acts(Acts::Right);
    stage.ends_with(1, &["observed"]).await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn between_the_intent_and_the_sending(_: PgPoolOptions, db: PgConnectOptions) {
    // As if it had never come: nothing is changed.
    let stage = stage(db, Acts::Hangs).await;
    stage.dies_in_the_call(1).await;
    stage.provider.acts(Acts::Right);
    stage.rig.pass(Duration::from_mins(1)).await;
    let text = stage.rig.explained(stage.job).await;
    assert!(text.starts_with("waits for the provider's minimum interval"), "{text}");
    stage.rig.want(stage.job).await;
    stage.ends_with(2, &["good", "verified"]).await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn after_the_answer_and_before_the_commit(_: PgPoolOptions, db: PgConnectOptions) {
    let stage = stage(db, Acts::Right).await;
    let run = stage.rig.claim(stage.job).await;
    // What it wrote is rolled back with its connection.
    drop(stage.rig.act(&run).await);
    stage.rig.reap().await;
    assert!(stage.rig.history(stage.record).await.is_empty());
    stage.ends_with(1, &["observed"]).await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_step_that_was_taken_for_dead_records_nothing(_: PgPoolOptions, db: PgConnectOptions) {
    let stage = stage(db, Acts::TakesAndHangs).await;
    let late = stage.rig.claim(stage.job).await;
    let meanwhile = async {
        stage.provider.until_called(1).await;
        stage.rig.reap().await;
        // Another worker finds what has arrived.
        stage.rig.step(stage.job).await;
        stage.provider.acts(Acts::Right);
        stage.provider.answer();
    };
    let (step, ()) = tokio::join!(stage.rig.act(&late), meanwhile);
    assert_eq!(stage.rig.commit(&late, step).await.ended, Ended::LeaseLost);
    stage.ends_with(1, &["observed"]).await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_lease_that_is_lost_before_the_checkpoint_sends_nothing(_: PgPoolOptions, db: PgConnectOptions) {
    let stage = stage(db, Acts::Right).await;
    let late = stage.rig.claim(stage.job).await;
    stage.rig.reap().await;
    let step = stage.rig.act(&late).await;
    assert_eq!(stage.rig.commit(&late, step).await.ended, Ended::LeaseLost);
    assert!(stage.provider.calls().is_empty(), "it has not called");
    assert!(stage.rig.of(stage.record).await.families[0].sending.is_none(), "nor said that it would");
    stage.ends_with(1, &["good", "verified"]).await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn two_steps_at_once_send_once(_: PgPoolOptions, db: PgConnectOptions) {
    let stage = stage(db, Acts::Right).await;
    let late = stage.rig.claim(stage.job).await;
    stage.rig.reap().await;
    let next = stage.rig.claim(stage.job).await;
    let whole = async |run: &Run| {
        let step = stage.rig.act(run).await;
        stage.rig.commit(run, step).await
    };
    let (first, _) = tokio::join!(whole(&late), whole(&next));
    assert_eq!(first.ended, Ended::LeaseLost);
    stage.rig.pass(Duration::from_hours(10)).await;
    assert_eq!(stage.provider.calls().len(), 1);
    assert_eq!(stage.rig.words(stage.record).await, ["good", "verified"]);
    stage.rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_answer_that_never_comes_is_looked_for(_: PgPoolOptions, db: PgConnectOptions) {
    let stage = stage(db, Acts::TakesSilently).await;
    stage.ends_with(1, &["retry", "observed"]).await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_arrived_unheard_may_have_done_so_just_now(_: PgPoolOptions, db: PgConnectOptions) {
    let stage = stage(db, Acts::TakesSilently).await;
    stage.rig.pass(Duration::from_mins(1)).await;
    stage.provider.acts(Acts::Right);
    stage.rig.tell(stage.home, "192.0.2.52").await;
    // Within it the minimum interval is over, and the backoff after a call without an answer.
    stage.rig.pass(Duration::from_mins(7)).await;
    assert_eq!(stage.rig.words(stage.record).await, ["retry", "observed"]);
    assert_eq!(stage.provider.calls().len(), 1, "the interval counts from the look");
    stage.ends_with(2, &["retry", "observed", "good", "verified"]).await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn the_address_moves_back_after_a_crash(_: PgPoolOptions, db: PgConnectOptions) {
    let stage = stage(db, Acts::Right).await;
    stage.rig.pass(Duration::from_mins(10)).await;
    stage.rig.tell(stage.home, "192.0.2.52").await;
    stage.provider.acts(Acts::TakesAndHangs);
    stage.dies_in_the_call(2).await;
    // What was recorded last is what is wanted now, and yet the provider has something else.
    stage.rig.tell(stage.home, "192.0.2.51").await;
    stage.provider.acts(Acts::Right);
    stage.ends_with(3, &["good", "verified", "observed", "good", "verified"]).await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_refusal_in_between_does_not_settle_what_is_open(_: PgPoolOptions, db: PgConnectOptions) {
    let stage = stage(db, Acts::Right).await;
    stage.open_behind_a_refusal().await;
    // It had arrived.
    stage.shows("192.0.2.52").await;
    stage.ends_with(3, &["good", "verified", "retry", "wait", "observed"]).await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn the_address_moves_back_after_a_refusal(_: PgPoolOptions, db: PgConnectOptions) {
    let stage = stage(db, Acts::Right).await;
    stage.open_behind_a_refusal().await;
    // What was recorded last is what is wanted now, and it is not known whether the provider has that.
    stage.rig.tell(stage.home, "192.0.2.51").await;
    stage.ends_with(4, &["good", "verified", "retry", "wait", "nochg", "verified"]).await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_person_who_acts_during_the_call_loses_nothing(_: PgPoolOptions, db: PgConnectOptions) {
    let stage = stage(db, Acts::TakesAndHangs).await;
    let run = stage.rig.claim(stage.job).await;
    let acts = async {
        stage.provider.until_called(1).await;
        let mut conn = stage.rig.db.acquire().await.unwrap();
        shared::store::dns_records::release(&mut conn, stage.record, false).await.unwrap();
        drop(conn);
        stage.provider.acts(Acts::Right);
        stage.provider.answer();
    };
    let (step, ()) = tokio::join!(stage.rig.act(&run), acts);
    stage.rig.commit(&run, step).await;
    stage.ends_with(1, &["observed"]).await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn where_nobody_can_be_asked_it_is_sent_once_more_when_it_may_be(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let stage = stage_of(db, Acts::TakesAndHangs, false).await;
    stage.dies_in_the_call(1).await;
    stage.provider.acts(Acts::Right);
    stage.rig.pass(Duration::from_mins(4)).await;
    stage.rig.want(stage.job).await;
    assert_eq!(stage.provider.calls().len(), 1, "the minimum interval holds, whoever died");
    stage.rig.pass(Duration::from_hours(24 * 20)).await;
    let calls = stage.provider.calls();
    let answers: Vec<_> = calls.iter().map(|call| call.answer.as_str()).collect();
    assert_eq!(answers, ["none", "nochg"], "it had arrived");
    assert!(calls[1].at - calls[0].at >= chrono::TimeDelta::minutes(5), "{calls:?}");
    assert_eq!(stage.rig.words(stage.record).await, ["nochg"]);
    let family = stage.rig.of(stage.record).await.families.remove(0);
    assert_eq!((family.sent, family.sending, family.no_changes), (family.wanted(), None, 1), "{family:?}");
    assert!(family.verified_at.is_none() && family.failing_since.is_none(), "{family:?}");
    stage.rig.end().await;
}

/// As if the process had been stopped after it had made sure of its lease: the database answers when that counts for nothing any more.
#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_worker_that_was_stopped_before_the_call_does_not_call(_: PgPoolOptions, db: PgConnectOptions) {
    let stage = stage(db, Acts::Right).await;
    let run = stage.rig.claim(stage.job).await;
    let mut holder = stage.rig.db.begin().await.unwrap();
    let held = sqlx::query("select from job_state where job_id = $1 for update").bind(stage.job);
    held.execute(&mut *holder).await.unwrap();
    let stopped = async {
        let waits = "select exists (select from pg_stat_activity where datname = current_database()
                and wait_event_type = 'Lock' and clock_timestamp() - query_start > interval '6 s')";
        let began = Instant::now();
        while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&stage.rig.db).await.unwrap() {
            assert!(began.elapsed() < Duration::from_mins(1), "it does not make sure of its lease");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        holder.rollback().await.unwrap();
    };
    let (step, ()) = tokio::join!(stage.rig.act(&run), stopped);
    assert!(
        matches!(&step.verdict, Verdict::Retry { why, .. } if why.contains("stopped before the call")),
        "{:?}",
        step.verdict
    );
    stage.rig.commit(&run, step).await;
    assert!(stage.provider.calls().is_empty());
    let family = stage.rig.of(stage.record).await.families.remove(0);
    assert!(family.sending.is_some() && family.sent.is_none(), "the intent is there: {family:?}");
    // It is looked for in vain, and sent when the minimum interval is over.
    stage.ends_with(1, &["good", "verified"]).await;
}
