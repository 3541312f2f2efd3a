//! What follows from what is watched and what should be: the one next act.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use shared::{
    google::channels::Ending,
    job::JobId,
    store::channels::{Channel, State, Target},
};

use super::{MISSED, OVERLAP, REMEMBERED, REPLACE_AFTER};

/// Rests are not shorter: clocks and commits are not that exact.
const SHORTEST_REST: Duration = Duration::from_secs(5);

/// The state that an act follows from.
pub(super) struct View<'a> {
    pub(super) now: DateTime<Utc>,
    /// How often in a row a step has failed.
    pub(super) attempt: u32,
    pub(super) targets: &'a [Target],
    pub(super) channels: &'a [Channel],
    /// The API and the webhook's address of a kind.
    pub(super) address: &'a dyn Fn(&str) -> Option<(&'static str, String)>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Rows change; Google is not asked.
    Tidy(Tidy),
    /// These rows wait for Google's answer.
    Watch(Vec<Channel>),
    /// These channels are to be ended.
    Stop(Vec<Ending>),
    /// Nothing, for so long.
    Rest(Duration),
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tidy {
    /// Channels to be asked for: the job, its API, the address.
    pub(super) ask: Vec<(JobId, &'static str, String)>,
    /// Channels that are not wanted any more.
    pub(super) retire: Vec<String>,
    /// Rows that are of no use any more.
    pub(super) forget: Vec<String>,
}

impl View<'_> {
    pub(super) fn act(&self) -> Act {
        let tidy = self.tidy();
        if tidy != Tidy::default() {
            return Act::Tidy(tidy);
        }
        let asked: Vec<Channel> = self.in_state(State::Asked).cloned().collect();
        let stopping: Vec<_> = self
            .in_state(State::Stopping)
            .filter_map(|channel| {
                let resource_id = self.resource_of(channel)?.to_owned();
                Some(Ending { id: channel.id.clone(), api: channel.api.clone(), resource_id })
            })
            .collect();
        // Watches first. While they fail, ends have every other turn, so that the one does not hold up the other.
        let ends_first = self.attempt % 2 == 1;
        if !stopping.is_empty() && (asked.is_empty() || ends_first) {
            return Act::Stop(stopping);
        }
        if asked.is_empty() { Act::Rest(self.rest()) } else { Act::Watch(asked) }
    }

    fn tidy(&self) -> Tidy {
        let mut tidy = Tidy::default();
        for channel in self.channels {
            let ended = match channel.state {
                State::Stopped => channel.ended_at.is_none_or(|at| at + delta(REMEMBERED) <= self.now),
                _ => channel.expires_at <= self.now,
            };
            if ended {
                tidy.forget.push(channel.id.clone());
            } else if matches!(channel.state, State::Asked | State::Live) && !self.is_wanted(channel) {
                tidy.retire.push(channel.id.clone());
            }
        }
        for target in self.targets {
            let Some((api, address)) = (self.address)(&target.kind) else { continue };
            if target.refused_until.is_none() && self.needs_another(target.job, &address) {
                tidy.ask.push((target.job, api, address));
            }
        }
        tidy
    }

    /// Whether a channel that is asked for or live is to stay so.
    fn is_wanted(&self, channel: &Channel) -> bool {
        let Some(target) = self.targets.iter().find(|target| target.job == channel.job) else { return false };
        let Some(newer) = self.successor(channel) else {
            return target.refused_until.is_none() || channel.state == State::Live;
        };
        // The successor is to prove itself first.
        channel.state == State::Live
            && newer.heard_at.is_none()
            && newer.created_at + delta(OVERLAP) > self.now
    }

    /// The live channel that has taken another one's place.
    fn successor(&self, channel: &Channel) -> Option<&Channel> {
        let is_newer = |other: &&Channel| {
            other.job == channel.job && (other.created_at, &other.id) > (channel.created_at, &channel.id)
        };
        self.living().find(is_newer)
    }

    fn needs_another(&self, job: JobId, address: &str) -> bool {
        if self.in_state(State::Asked).any(|channel| channel.job == job && channel.expires_at > self.now) {
            return false;
        }
        let newest = self.living().filter(|channel| channel.job == job && channel.address == address).last();
        newest.is_none_or(|channel| {
            channel.renew_at.is_some_and(|at| at <= self.now)
                || channel.missed >= MISSED && channel.created_at + delta(REPLACE_AFTER) <= self.now
        })
    }

    /// Google's id of what a channel watches: as it was told, or as that of another channel of the same job.
    fn resource_of<'a>(&'a self, channel: &'a Channel) -> Option<&'a str> {
        let of_job = |other: &&Channel| other.job == channel.job && other.resource_id.is_some();
        channel
            .resource_id
            .as_deref()
            .or_else(|| self.channels.iter().find(of_job).and_then(|other| other.resource_id.as_deref()))
    }

    fn living(&self) -> impl Iterator<Item = &Channel> {
        self.in_state(State::Live).filter(|channel| channel.expires_at > self.now)
    }

    fn in_state(&self, state: State) -> impl Iterator<Item = &Channel> {
        self.channels.iter().filter(move |channel| channel.state == state)
    }

    /// The time to the next moment at which something else may follow.
    fn rest(&self) -> Duration {
        let of_channel = |channel: &Channel| {
            let moments = match channel.state {
                State::Stopped => [channel.ended_at.map(|at| at + delta(REMEMBERED)), None, None, None],
                _ => [
                    Some(channel.expires_at),
                    channel.renew_at,
                    (channel.missed >= MISSED).then(|| channel.created_at + delta(REPLACE_AFTER)),
                    Some(channel.created_at + delta(OVERLAP)),
                ],
            };
            moments.into_iter().flatten().collect::<Vec<_>>()
        };
        let refusals = self.targets.iter().filter_map(|target| target.refused_until);
        let soonest =
            self.channels.iter().flat_map(of_channel).chain(refusals).filter(|at| *at > self.now).min();
        let rest = soonest.and_then(|at| (at - self.now).to_std().ok()).unwrap_or(Duration::MAX);
        rest.max(SHORTEST_REST)
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "https://a.example/webhooks/google/calendar";

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + minutes * 60, 0).unwrap()
    }

    fn target(job: JobId) -> Target {
        Target { job, kind: "calendar_events".to_owned(), key: job.to_string(), refused_until: None }
    }

    /// A live channel of a week, made at a minute and heard at once.
    fn live(id: &str, job: JobId, made: i64) -> Channel {
        Channel {
            id: id.to_owned(),
            job,
            api: "calendar".to_owned(),
            state: State::Live,
            address: ADDRESS.to_owned(),
            resource_id: Some(format!("r{job}")),
            created_at: at(made),
            expires_at: at(made + 10_080),
            renew_at: Some(at(made + 5_000)),
            heard_at: Some(at(made)),
            missed: 0,
            ended_at: None,
        }
    }

    fn act(minute: i64, targets: &[Target], channels: &[Channel]) -> Act {
        let address = |kind: &str| super::super::api_of(kind).map(|api| (api, ADDRESS.to_owned()));
        View { now: at(minute), attempt: 0, targets, channels, address: &address }.act()
    }

    #[test]
    fn watches_that_fail_do_not_hold_up_ends() {
        let asked = Channel { state: State::Asked, resource_id: None, renew_at: None, ..live("b", 2, 0) };
        let stopping = Channel { state: State::Stopping, ..live("a", 1, 0) };
        let (targets, channels) = ([target(2)], [stopping, asked.clone()]);
        let address = |kind: &str| super::super::api_of(kind).map(|api| (api, ADDRESS.to_owned()));
        let act = |attempt| {
            View { now: at(1), attempt, targets: &targets, channels: &channels, address: &address }.act()
        };
        assert_eq!([act(0), act(2)], [(); 2].map(|()| Act::Watch(vec![asked.clone()])));
        assert_eq!([act(1), act(3)], [(); 2].map(|()| stop("a", "r1")));
    }

    fn stop(id: &str, resource_id: &str) -> Act {
        let (id, api) = (id.to_owned(), "calendar".to_owned());
        Act::Stop(vec![Ending { id, api, resource_id: resource_id.to_owned() }])
    }

    fn ask(job: JobId) -> Tidy {
        Tidy { ask: vec![(job, "calendar", ADDRESS.to_owned())], ..Tidy::default() }
    }

    #[test]
    fn what_has_no_channel_gets_one_and_is_left_alone_then() {
        assert_eq!(act(0, &[target(1)], &[]), Act::Tidy(ask(1)));
        let asked = Channel {
            state: State::Asked,
            resource_id: None,
            renew_at: None,
            heard_at: None,
            ..live("a", 1, 0)
        };
        assert_eq!(act(0, &[target(1)], std::slice::from_ref(&asked)), Act::Watch(vec![asked]));
        let Act::Rest(rest) = act(6, &[target(1)], &[live("a", 1, 0)]) else {
            panic!("it is not left alone")
        };
        assert_eq!(rest, Duration::from_mins(5_000 - 6));
    }

    #[test]
    fn a_renewal_overlaps_until_the_new_channel_is_heard() {
        let old = live("a", 1, 0);
        assert_eq!(act(5_000, &[target(1)], std::slice::from_ref(&old)), Act::Tidy(ask(1)));
        let silent = Channel { heard_at: None, ..live("b", 1, 5_000) };
        let Act::Rest(rest) = act(5_001, &[target(1)], &[old.clone(), silent.clone()]) else {
            panic!("the old one is not kept")
        };
        assert_eq!(rest, Duration::from_mins(4));
        let retired = Act::Tidy(Tidy { retire: vec!["a".to_owned()], ..Tidy::default() });
        assert_eq!(act(5_001, &[target(1)], &[old.clone(), live("b", 1, 5_000)]), retired);
        assert_eq!(act(5_005, &[target(1)], &[old.clone(), silent]), retired);
        let stopping = Channel { state: State::Stopping, ..old };
        assert_eq!(act(5_005, &[target(1)], &[stopping, live("b", 1, 5_000)]), stop("a", "r1"));
    }

    #[test]
    fn what_is_refused_is_not_asked_for_until_its_time() {
        let refused = Target { refused_until: Some(at(60)), ..target(1) };
        assert_eq!(act(0, &[refused], &[]), Act::Rest(Duration::from_hours(1)));
    }

    #[test]
    fn a_channel_without_a_resource_in_the_list_is_ended() {
        let gone = Tidy { retire: vec!["a".to_owned()], ..Tidy::default() };
        assert_eq!(act(1, &[], &[live("a", 1, 0)]), Act::Tidy(gone));
    }

    #[test]
    fn another_address_and_missed_changes_lead_to_another_channel() {
        let elsewhere = Channel { address: "https://old.example/".to_owned(), ..live("a", 1, 0) };
        assert_eq!(act(1, &[target(1)], &[elsewhere]), Act::Tidy(ask(1)));
        let mute = Channel { missed: MISSED, ..live("a", 1, 0) };
        let Act::Rest(rest) = act(10, &[target(1)], std::slice::from_ref(&mute)) else { panic!("too soon") };
        assert_eq!(rest, Duration::from_mins(50));
        assert_eq!(act(60, &[target(1)], &[mute]), Act::Tidy(ask(1)));
    }

    #[test]
    fn what_ran_out_is_forgotten_and_asked_for_again() {
        let again = Tidy { forget: vec!["a".to_owned()], ..ask(1) };
        assert_eq!(act(20_000, &[target(1)], &[live("a", 1, 0)]), Act::Tidy(again));
    }

    #[test]
    fn a_lost_channel_is_ended_by_the_resource_of_its_successor() {
        let lost = Channel { state: State::Stopping, resource_id: None, renew_at: None, ..live("a", 1, 0) };
        let Act::Rest(_) = act(6, &[], std::slice::from_ref(&lost)) else { panic!("it cannot be ended yet") };
        assert_eq!(act(6, &[target(1)], &[lost, live("b", 1, 1)]), stop("a", "r1"));
    }
}
