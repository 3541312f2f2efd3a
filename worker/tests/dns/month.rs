//! A month of a home with names at five providers, and every call counted: two that only take updates, one of them with an interval of
//! the name's own too, one that is read and stands before its name, and a BIND. Workers come and go, and some die.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use shared::{dns::address::Family, job::JobId};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::{
    cloudflare::{self, Cloudflare},
    provider::{Acts, Call, Dialect, Provider},
    rig::{New, Rig},
};

const V4: (Family, Option<&str>) = (Family::Ipv4, None);
const V6: (Family, Option<&str>) = (Family::Ipv6, None);

const BADAUTH: &str = "[RESPONSE]\ncode = 531\ndescription = Authorization failed\nEOF\n";

struct Month {
    rig: Rig,
    began: DateTime<Utc>,
    home: i64,
    last: u8,
}

impl Month {
    /// Goes on to a day's minute. Every six hours the router tells what it has told before.
    async fn until(&mut self, day: i64, hour: i64, minute: i64) {
        let at = self.began + TimeDelta::days(day) + TimeDelta::hours(hour) + TimeDelta::minutes(minute);
        while self.last > 0 && self.rig.clock.now() + TimeDelta::hours(6) < at {
            self.rig.pass(Duration::from_hours(6)).await;
            assert!(!self.tell(self.last).await, "it has not moved");
        }
        self.rig.pass_until(at).await;
    }

    async fn tell(&self, nth: u8) -> bool {
        let v4 = self.rig.tell(self.home, &format!("192.0.2.{nth}")).await;
        let v6 = self.rig.tell(self.home, &format!("2001:db8:{nth}::1")).await;
        assert_eq!(v4, v6);
        v4
    }

    async fn moves(&mut self, nth: u8) {
        assert!(self.tell(nth).await);
        self.last = nth;
    }

    /// A worker claims the job and dies when the provider has the call.
    async fn dies(&self, job: JobId, provider: &Provider) {
        let calls = provider.calls().len() + 1;
        let run = self.rig.claim(job).await;
        tokio::select! {
            step = self.rig.act(&run) => panic!("it was answered: {step:?}"),
            () = provider.until_called(calls) => {}
        }
        self.rig.reap().await;
    }
}

/// As short as a provider's silence may be.
const SILENCE: Duration = Duration::from_millis(50);

/// The times between calls that came within a span, in minutes.
fn gaps(calls: &[Call], from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<i64> {
    let within: Vec<_> = calls.iter().filter(|call| call.at >= from && call.at < to).collect();
    within.windows(2).map(|pair| (pair[1].at - pair[0].at).num_minutes()).collect()
}

/// How many calls were answered with a word.
fn answered(calls: &[Call], word: &str) -> usize {
    calls.iter().filter(|call| call.answer == word).count()
}

fn apart(calls: &[Call], least: TimeDelta) {
    for pair in calls.windows(2) {
        assert!(pair[1].at - pair[0].at >= least, "{pair:?}");
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_month_of_a_home(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let dyn2 = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    let keys = Provider::start(Dialect::KeySystems, &rig.bind, &rig.clock).await;
    let quiet = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    let slow = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    let front = Cloudflare::start("c.dyn.home.test", true).await;
    let home = rig.address("home", &[(Family::Ipv4, None), (Family::Ipv6, None)]).await;
    let office = rig.address("office", &[(Family::Ipv4, None)]).await;
    rig.tell(office, "192.0.2.200").await;

    let host = "d.dyn.home.test";
    let new = New { host, provider: dyn2.settings(), families: &[V4, V6], ..New::default() };
    let (at_dyn2, dyn2_job) = rig.record(home, new).await;
    let min_interval = Duration::from_mins(30);
    let host = "k.dyn.home.test";
    let new = New { host, provider: keys.settings(), min_interval, ..New::default() };
    let (at_keys, keys_job) = rig.record(home, new).await;
    let (host, min_interval) = ("s.dyn.home.test", Duration::from_hours(2));
    let new = New { host, provider: slow.settings(), min_interval, ..New::default() };
    let (at_slow, _) = rig.record(home, new).await;
    let (host, min_interval) = ("c.dyn.home.test", Duration::from_mins(1));
    let new = New { host, provider: front.settings(), min_interval, ..New::default() };
    let (at_front, _) = rig.record(home, new).await;
    let own = [V4, (Family::Ipv6, Some("::1:2:3:4"))];
    let (at_bind, _) = rig.record(home, rig.at_bind("b.dyn.home.test", &own)).await;
    let host = "q.dyn.home.test";
    let forced_interval = Some(Duration::from_hours(25 * 24));
    let new = New { host, provider: quiet.settings(), forced_interval, ..New::default() };
    let (at_quiet, _) = rig.record(office, new).await;
    let mut month = Month { began: rig.clock.now(), rig, home, last: 0 };

    // The first addresses, and nine nights with another one. The worker is started anew each morning.
    month.moves(1).await;
    for night in 1..=9 {
        month.until(night, 4, 0).await;
        month.rig.restart().await;
        month.moves(u8::try_from(night).unwrap() + 1).await;
    }
    // Three in four minutes: dyndns2 and key-systems get the first and the last.
    for (minute, nth) in [(0, 11), (2, 12), (4, 13)] {
        month.until(10, 4, minute).await;
        month.moves(nth).await;
    }
    // To another one and back: both are sent, the second when it may be.
    for (minute, nth) in [(0, 14), (1, 13)] {
        month.until(11, 4, minute).await;
        month.moves(nth).await;
    }
    // To another one, on, and back to it: what lies between is gone before it may be sent.
    for (minute, nth) in [(0, 16), (1, 17), (2, 16)] {
        month.until(11, 12, minute).await;
        month.moves(nth).await;
    }
    // dyndns2 is out of order for three hours, and says so.
    month.until(12, 4, 0).await;
    dyn2.acts(Acts::Says("911"));
    month.until(12, 4, 10).await;
    month.moves(18).await;
    month.until(12, 7, 0).await;
    dyn2.acts(Acts::Right);
    // A night in which all providers take the connection and say nothing; how long that is waited for does not matter here.
    month.until(14, 22, 0).await;
    for provider in [&dyn2, &keys, &slow] {
        provider.acts(Acts::Hangs);
    }
    front.acts(cloudflare::Acts::Hangs);
    month.rig.patience(Some(SILENCE));
    month.until(14, 23, 0).await;
    let night = month.rig.clock.now();
    month.moves(19).await;
    month.until(15, 3, 0).await;
    for record in [at_dyn2, at_keys, at_slow, at_front] {
        assert!(month.rig.of(record).await.families.iter().all(|family| family.failing_since.is_some()));
    }
    month.until(15, 6, 0).await;
    let morning = month.rig.clock.now();
    for provider in [&dyn2, &keys, &slow] {
        provider.acts(Acts::Right);
    }
    front.acts(cloudflare::Acts::Right);
    month.rig.restart().await;
    month.until(15, 10, 0).await;
    for record in [at_dyn2, at_keys, at_slow, at_front] {
        assert!(month.rig.of(record).await.families.iter().all(|family| family.failing_since.is_none()));
    }
    // It is taken, but the answer gets lost.
    month.until(16, 4, 0).await;
    dyn2.acts(Acts::TakesSilently);
    keys.acts(Acts::TakesSilently);
    month.moves(20).await;
    month.until(16, 5, 0).await;
    dyn2.acts(Acts::Right);
    keys.acts(Acts::Right);
    // A worker dies when dyndns2 has taken it; another one when key-systems has not.
    month.until(17, 4, 0).await;
    dyn2.acts(Acts::TakesAndHangs);
    month.moves(21).await;
    month.dies(dyn2_job, &dyn2).await;
    dyn2.acts(Acts::Right);
    month.until(18, 4, 0).await;
    keys.acts(Acts::Hangs);
    month.moves(22).await;
    month.dies(keys_job, &keys).await;
    keys.acts(Acts::Right);
    // Somebody has changed the password at key-systems; the home moves on; two days later it is mended.
    month.until(20, 4, 0).await;
    keys.acts(Acts::Says(BADAUTH));
    month.moves(23).await;
    month.until(20, 10, 0).await;
    month.moves(24).await;
    month.until(21, 4, 0).await;
    keys.acts(Acts::Right);
    month.moves(25).await;
    month.until(22, 4, 0).await;
    month.rig.retry(keys_job).await;
    month.until(31, 0, 0).await;

    // dyndns2: 10 nights, 2 + 2 + 1 of the moves in a row, the outage's, the night's, that of the crash at key-systems, and the last three.
    let calls = dyn2.calls();
    let silent = calls.iter().filter(|call| call.at >= night && call.at < morning).count();
    assert_eq!(answered(&calls, "good"), 10 + 5 + 1 + 1 + 1 + 3, "{calls:#?}");
    assert_eq!(answered(&calls, "911"), 6, "every half an hour");
    assert_eq!(answered(&calls, "nochg"), 0);
    assert_eq!(answered(&calls, "none"), silent + 2, "the two that were taken without an answer");
    assert_eq!(calls.len(), 21 + 6 + silent + 2);
    eprintln!("{silent} calls of dyndns2 in the night of no answer");
    // Seven hours; five minutes apart and up to half an hour more: 84 calls without growing, 25 or so with it.
    assert!((12..=40).contains(&silent), "{silent}");
    let waited = gaps(&calls, night, morning);
    assert!(waited.iter().all(|gap| (5..=36).contains(gap)), "{waited:?}");
    assert!(waited.iter().filter(|gap| **gap >= 15).count() >= 5, "ever longer: {waited:?}");
    apart(&calls, TimeDelta::minutes(5));

    let calls = keys.calls();
    let silent = calls.iter().filter(|call| call.at >= night && call.at < morning).count();
    assert_eq!(answered(&calls, "200"), 10 + 5 + 1 + 1 + 1 + 1 + 1, "{calls:#?}");
    assert_eq!(answered(&calls, "531"), 1, "then a person acts");
    assert_eq!(answered(&calls, "549"), 0, "nothing is denied");
    assert_eq!(answered(&calls, "none"), silent + 2, "one that was taken, and one that was not");
    assert_eq!(calls.len(), 20 + 1 + silent + 2);
    eprintln!("{silent} of key-systems");
    assert!((7..=14).contains(&silent), "{silent}");
    let waited = gaps(&calls, night, morning);
    assert!(waited.iter().all(|gap| (30..=61).contains(gap)), "{waited:?}");
    // All of half an hour without growing. How much more it is each time is chance.
    assert!(waited.iter().any(|gap| *gap >= 35), "ever longer: {waited:?}");
    apart(&calls, TimeDelta::minutes(30));

    // With an interval of its own: the same nights and moves in a row as dyndns2, and all of the last eight.
    let calls = slow.calls();
    let silent = calls.iter().filter(|call| call.at >= night && call.at < morning).count();
    assert_eq!(answered(&calls, "good"), 10 + 5 + 8, "{calls:#?}");
    assert_eq!(calls.len(), 10 + 5 + 8 + silent);
    assert!((2..=4).contains(&silent), "{silent}");
    apart(&calls, TimeDelta::hours(2));

    // One that is read is not written with what it has: nine nights, 3 + 2 + 3 in a row, and eight.
    assert_eq!(front.writes(), 25);
    let words = month.rig.words(at_front).await;
    let of = |word: &str| words.iter().filter(|found| *found == word).count();
    assert_eq!((of("good"), of("verified"), of("nochg"), of("refused")), (25, 26, 1, 0), "{words:?}");
    eprintln!("{} looks at Cloudflare", of("retry"));
    // 420 without growing: a minute apart and up to half an hour more.
    assert!((12..=60).contains(&of("retry")), "{words:?}");
    assert_eq!(words.len(), 26 + 26 + of("retry"), "{words:?}");

    // BIND takes what it gets: 10 nights, 3 + 2 + 3 in a row, and eight.
    let log = month.rig.bind.log();
    assert_eq!(log.matches("adding an RR at 'b.dyn.home.test' A ").count(), 26, "{log}");
    assert_eq!(log.matches("adding an RR at 'b.dyn.home.test' AAAA ").count(), 26);

    // What does not move is sent once, and again when it is time.
    let calls = quiet.calls();
    assert_eq!(calls.iter().map(|call| call.answer.as_str()).collect::<Vec<_>>(), ["good", "nochg"]);
    let apart = calls[1].at - calls[0].at;
    assert!(apart >= TimeDelta::days(25) && apart < TimeDelta::days(25) + TimeDelta::hours(2), "{apart}");
    assert_eq!(month.rig.of(at_quiet).await.families[0].no_changes, 1);

    for (record, host) in [(at_dyn2, "d"), (at_keys, "k"), (at_slow, "s"), (at_bind, "b")] {
        let of = month.rig.of(record).await;
        for family in &of.families {
            assert_eq!((family.sent, family.sending), (family.wanted(), None), "{host}");
            assert!(family.verified_at.is_some() && family.failing_since.is_none(), "{host}: {family:?}");
        }
        let seen = month.rig.bind.dig(&format!("{host}.dyn.home.test"), "A").await;
        assert_eq!(seen, ["192.0.2.25"], "{host}");
    }
    assert_eq!(front.content(), "192.0.2.25");
    let of = month.rig.of(at_front).await.families.remove(0);
    assert!(of.verified_at.is_some() && of.failing_since.is_none() && of.sending.is_none(), "{of:?}");
    month.rig.end().await;
}
