//! Whether a name can follow: the credentials are tried as far as that goes without changing anything ([`Provider::probe`]), and the
//! zone's servers are asked what they answer now.

mod zone;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Serialize;

use super::{Host, Http, Outcome, Provider, Wanted, provider, verify::Resolvers};

/// What a look has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Nothing is known to be wrong, but somebody should know.
    Note,
    /// The name will not follow, or not for everybody.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What: of the provider its own words (`token`, `zone`, `records`, `key`, `policy`) or `credentials`; of the zone's servers
    /// `servers`, `A`, `AAAA`, `alias` and `primary`.
    pub what: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, and what to do if it is not good. No secret stands in it.
    pub found: String,
}

impl Finding {
    fn new(what: &'static str, verdict: Verdict, found: impl Into<String>) -> Self {
        Self { what, verdict, found: found.into() }
    }

    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self::new(what, Verdict::Good, found)
    }

    fn note(what: &'static str, found: impl Into<String>) -> Self {
        Self::new(what, Verdict::Note, found)
    }

    fn bad(what: &'static str, found: impl Into<String>) -> Self {
        Self::new(what, Verdict::Bad, found)
    }
}

impl From<provider::Finding> for Finding {
    fn from(finding: provider::Finding) -> Self {
        let verdict = match finding.answer.outcome {
            Outcome::Good | Outcome::NoChange => Verdict::Good,
            Outcome::Wait(_) | Outcome::Unknown(_) | Outcome::Retry => Verdict::Note,
            Outcome::Park(_) | Outcome::Refused => Verdict::Bad,
        };
        Self::new(finding.what, verdict, finding.answer.said)
    }
}

/// Whether a record is kept in a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is not: what is there is somebody else's.
    No,
    /// It is, and nothing was sent yet.
    Unsent,
    /// It is, and this was sent.
    Sent(IpAddr),
}

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    /// The name.
    pub host: &'a Host,
    /// Who holds it.
    pub provider: &'a Provider,
    /// Its secret.
    pub secret: &'a SecretString,
    /// Of its A record.
    pub v4: Kept,
    /// Of its AAAA record.
    pub v6: Kept,
    /// The servers to ask instead of those that the zone names.
    pub servers: Option<&'a [SocketAddr]>,
}

impl Target<'_> {
    /// What tells a provider which records are meant. Nothing of it is sent as an update.
    fn wanted(&self) -> Wanted {
        Wanted {
            host: self.host.clone(),
            v4: match self.v4 {
                Kept::No => None,
                Kept::Sent(IpAddr::V4(address)) => Some(address),
                Kept::Sent(_) | Kept::Unsent => Some(Ipv4Addr::new(192, 0, 2, 1)),
            },
            v6: match self.v6 {
                Kept::No => None,
                Kept::Sent(IpAddr::V6(address)) => Some(address),
                Kept::Sent(_) | Kept::Unsent => Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
            },
            beside: None,
            ttl: None,
        }
    }
}

/// Looks at all of it. Nothing is changed anywhere.
pub async fn check(
    http: &Http,
    resolvers: &Resolvers,
    target: &Target<'_>,
    now: DateTime<Utc>,
) -> Vec<Finding> {
    let wanted = target.wanted();
    let probed = target.provider.probe(http, target.secret, &wanted, now).await;
    let mut findings: Vec<Finding> = match probed {
        Some(found) => found.into_iter().map(Into::into).collect(),
        None => vec![Finding::note(
            "credentials",
            format!(
                "{} takes nothing but updates: whether the secret is right is known after the first one",
                target.provider.name()
            ),
        )],
    };
    let proxied = match target.provider {
        Provider::Cloudflare(_) if findings.iter().all(|finding| finding.verdict != Verdict::Bad) => {
            let held = target.provider.observe(http, target.secret, &wanted, now).await;
            held.is_some_and(|held| held.is_ok_and(|held| held.proxied))
        }
        _ => false,
    };
    findings.extend(zone::check(resolvers, target, proxied).await);
    findings
}
