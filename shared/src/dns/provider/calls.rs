use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::{Cloudflare, Finding, GoogleCloud, Held, Hetzner, Provider, Rfc2136, Route53, Step};
use crate::dns::{Answer, Answers, Http, Wanted};

/// A provider that can be asked what it holds.
enum Readable<'a> {
    Cloudflare(&'a Cloudflare),
    Hetzner(&'a Hetzner),
    Route53(&'a Route53),
    GoogleCloud(&'a GoogleCloud),
    Rfc2136(&'a Rfc2136),
}

impl Provider {
    /// What would be sent, step by step, with `***` for the secret. Steps that depend on an answer say so.
    #[must_use]
    pub fn plan(&self, wanted: &Wanted, now: DateTime<Utc>) -> Vec<Step> {
        match self {
            Self::Dyndns2(p) => p.plan(wanted),
            Self::KeySystems(p) => p.plan(wanted),
            Self::DuckDns(p) => p.plan(wanted),
            Self::Cloudflare(p) => p.plan(wanted),
            Self::Desec(p) => p.plan(wanted),
            Self::Hetzner(p) => p.plan(wanted),
            Self::Inwx(p) => p.plan(wanted),
            Self::Route53(p) => p.plan(wanted, now),
            Self::GoogleCloud(p) => p.plan(wanted),
            Self::Rfc2136(p) => p.plan(wanted),
            Self::Template(p) => p.plan(wanted),
        }
    }

    /// Sends an update once. Each record that was asked for has an answer.
    pub async fn update(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        now: DateTime<Utc>,
    ) -> Answers {
        match self {
            Self::Dyndns2(p) => p.update(http, secret, wanted).await,
            Self::KeySystems(p) => p.update(http, secret, wanted).await,
            Self::DuckDns(p) => p.update(http, secret, wanted).await,
            Self::Cloudflare(p) => p.update(http, secret, wanted).await,
            Self::Desec(p) => p.update(http, secret, wanted).await,
            Self::Hetzner(p) => p.update(http, secret, wanted).await,
            Self::Inwx(p) => p.update(http, secret, wanted).await,
            Self::Route53(p) => p.update(http, secret, wanted, now).await,
            Self::GoogleCloud(p) => p.update(http, secret, wanted, now).await,
            Self::Rfc2136(p) => p.update(http, secret, wanted, now).await,
            Self::Template(p) => p.update(http, secret, wanted).await,
        }
    }

    /// Whether it can be asked what it holds: [`Self::observe`] and [`Self::probe`]. Those who only take updates cannot.
    #[must_use]
    pub const fn can_be_read(&self) -> bool {
        self.readable().is_some()
    }

    const fn readable(&self) -> Option<Readable<'_>> {
        match self {
            Self::Cloudflare(p) => Some(Readable::Cloudflare(p)),
            Self::Hetzner(p) => Some(Readable::Hetzner(p)),
            Self::Route53(p) => Some(Readable::Route53(p)),
            Self::GoogleCloud(p) => Some(Readable::GoogleCloud(p)),
            Self::Rfc2136(p) => Some(Readable::Rfc2136(p)),
            Self::Dyndns2(_)
            | Self::KeySystems(_)
            | Self::DuckDns(_)
            | Self::Desec(_)
            | Self::Inwx(_)
            | Self::Template(_) => None,
        }
    }

    /// What it says that it holds now, of the families that have an address in `wanted`. Changes nothing, and is no update: no minimum
    /// interval applies. None: it cannot be asked ([`Self::can_be_read`]).
    pub async fn observe(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        now: DateTime<Utc>,
    ) -> Option<Result<Held, Answer>> {
        Some(match self.readable()? {
            Readable::Cloudflare(p) => p.observe(http, secret, wanted).await,
            Readable::Hetzner(p) => p.observe(http, secret, wanted).await,
            Readable::Route53(p) => p.observe(http, secret, wanted, now).await,
            Readable::GoogleCloud(p) => p.observe(http, secret, wanted, now).await,
            Readable::Rfc2136(p) => p.observe(http, secret, wanted, now).await,
        })
    }

    /// Whether credentials and zone are right, as far as that can be seen without changing anything. It ends with the first finding
    /// that is not good. None: nothing can be seen but by an update ([`Self::can_be_read`]).
    pub async fn probe(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        now: DateTime<Utc>,
    ) -> Option<Vec<Finding>> {
        Some(match self.readable()? {
            Readable::Cloudflare(p) => p.probe(http, secret, wanted).await,
            Readable::Hetzner(p) => p.probe(http, secret, wanted).await,
            Readable::Route53(p) => p.probe(http, secret, wanted, now).await,
            Readable::GoogleCloud(p) => p.probe(http, secret, wanted, now).await,
            Readable::Rfc2136(p) => p.probe(http, secret, wanted, now).await,
        })
    }
}
