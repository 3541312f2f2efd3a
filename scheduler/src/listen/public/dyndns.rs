//! `GET /nic/update` and `/v3/update` (dyndns2, <https://help.dyn.com/remote-access-api/perform-update/>), `GET /update` (Duck DNS,
//! <https://www.duckdns.org/spec.jsp>): routers tell their addresses. `docs/dns.md` tells how they are set up.
//!
//! # Properties wanted, and what stands for them
//!
//! - *`good` means that the want is durable*: it is given after the commit that writes the address and wants the records' jobs. `nochg`
//!   means that the address was already what was told; it writes nothing, but once an hour that it was told. While the database is away
//!   the answer is `911`, nothing is told, and clients come again.
//! - *A burst costs little*: calls of some milliseconds are looked up by two statements ([`look`]) and written by one transaction
//!   ([`tells`]).
//! - *Nothing is told by who may not*: a name belongs to one login. Names of others and names that do not exist are told apart by nobody.
//!   What is no address of the public internet is not told unless its network is allowed, and answered with `dnserr`, upon which clients
//!   try again; a family that can be used is told all the same, so that a home behind its provider's NAT keeps its IPv6.
//! - *What cannot be used leaves a trace where people look*: the family of the address fails, with who told what and the way out, until a
//!   router tells it well, be it the address that it was. That it fails, and that it fails no more, is told once each. It is so only of
//!   families that no source is asked for: of others the source has the say, and both would take turns. Nor does it fail while another
//!   login tells it well, whose words would end it each time. A word that was noted is not written again.
//! - *Strangers cannot burn the processor*: a source may fail a few times ([`FAILURES`]), few passwords are checked at once, and who was
//!   right before is not checked again ([`verifier`]). Unknown users take as long as known ones.
//! - *A client that never stops is told so*: with nothing new, far too often ([`often`]), the answer is `abuse`; a new address is taken
//!   nevertheless. An operator's `abuse` is for all calls, until it is lifted.
//!
//! # Races
//!
//! - *Two calls of one address at once*: whichever is written last stands. A client that waits for its answers has an order.
//! - *A family fails by one call and recovers by another one*, or by the job that asks the source of the other family: whoever writes such a
//!   turn holds the address ([`shared::store::dns_hosts::tell`]). Of a good and a useless word in one transaction the good one counts.
//! - *A login blocked, removed, or given a new password while it calls*: a call that was looked up before is finished as it was.
//! - *The caller goes before the answer*: it may be written all the same. Told again it is `nochg`.

mod answer;
mod call;
mod look;
mod often;
mod tells;
mod verifier;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use axum::{
    Router,
    extract::{ConnectInfo, RawQuery, State},
    http::{HeaderMap, header},
    response::Response,
    routing::get,
};
use metrics::{counter, describe_counter};
use shared::{
    admin::dns,
    dns::address::{Family, Rules},
    guard::forbidden,
    shutdown::Tasks,
    store::{
        dns_hosts::{Known, Told, Useless},
        dns_logins::{Credentials, Use},
    },
};

use self::{
    answer::{Answer, Line, Word},
    call::{Asked, Call},
    look::{Found, Look},
    often::Often,
    tells::Tell,
    verifier::{Busy, Verifier},
};
use super::Ingress;
use crate::listen::{
    Peer,
    gather::{Gather, Refused},
    proxies::{self, Proxies},
    sources::{Allowance, Charge, Sources},
};

/// Twenty failures of a source at once, then one a second.
const FAILURES: Allowance = Allowance { rate: 1.0, burst: 40.0, bad: 1.0 };

/// So much of a program's name is kept.
const AGENT: usize = 200;

/// What the routes work with.
struct DynDns {
    proxies: Proxies,
    looks: Gather<Look, Found>,
    tells: Gather<Tell, Vec<bool>>,
    /// None: the system gave no random bytes for a key.
    verifier: Option<Verifier>,
    failures: Sources,
    often: Often,
}

/// Who calls.
struct Caller {
    /// None: a proxy that has not told for whom.
    address: Option<IpAddr>,
    /// Whom failures are counted to.
    source: IpAddr,
    agent: Option<String>,
}

/// The routes, and the tasks behind them.
pub(super) fn routes(ingress: &Ingress, proxies: &Proxies, tasks: &Tasks) -> Router {
    describe_counter!("syncfleet_dns_calls_total", "Names that routers called, by the word of the answer");
    for word in Word::ALL {
        counter!("syncfleet_dns_calls_total", "answer" => word.as_str()).absolute(0);
    }
    let dyndns = Arc::new(DynDns {
        proxies: proxies.clone(),
        looks: look::start(&ingress.db, tasks),
        tells: tells::start(ingress, tasks),
        verifier: Verifier::new().ok(),
        failures: Sources::new(FAILURES),
        often: Often::default(),
    });
    Router::new()
        .route("/nic/update", get(dyndns2))
        .route("/v3/update", get(dyndns2))
        .route("/update", get(duckdns))
        .with_state(dyndns)
}

async fn dyndns2(
    State(dyndns): State<Arc<DynDns>>,
    ConnectInfo(Peer(from)): ConnectInfo<Peer>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let call = Call::dyndns2(query.as_deref().unwrap_or_default(), &headers);
    dyndns.answer(call, from, &headers).await.dyndns2()
}

async fn duckdns(
    State(dyndns): State<Arc<DynDns>>,
    ConnectInfo(Peer(from)): ConnectInfo<Peer>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let (call, verbose) = Call::duckdns(query.as_deref().unwrap_or_default());
    dyndns.answer(call, from, &headers).await.duckdns(verbose)
}

impl From<Refused> for Answer {
    fn from(refused: Refused) -> Self {
        Self::new(
            Word::OutOfOrder,
            match refused {
                Refused::Full => "too many calls at once: come again",
                Refused::Unavailable => "the database does not answer: come again",
            },
        )
    }
}

impl DynDns {
    async fn answer(&self, call: Result<Call, Answer>, from: SocketAddr, headers: &HeaderMap) -> Answer {
        let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let caller = Caller {
            // Whoever says that they speak for another and is not trusted may be a proxy: its address is nobody's home.
            address: Some(from.ip().to_canonical())
                .filter(|address| !self.proxies.trusts(*address) && !proxies::speaks_for_another(headers)),
            source: from.ip(),
            agent: agent.map(|agent| agent.chars().take(AGENT).collect()),
        };
        let answered = async { self.take(call?, &caller).await };
        answered.await.unwrap_or_else(|answer: Answer| answer)
    }

    /// What comes of a call. An error is an answer, too: one for the whole call.
    async fn take(&self, call: Call, caller: &Caller) -> Result<Answer, Answer> {
        let verifier =
            self.verifier.as_ref().ok_or_else(|| Answer::new(Word::OutOfOrder, "no random bytes"))?;
        // Charged before it is looked at, so that many at once are no way around it; given back to who is right.
        let is_charged = !verifier.knows(&call.username, &call.password);
        if is_charged && !self.failures.charge(caller.source, Charge::Bad, Instant::now()) {
            return Err(too_many());
        }
        let look = Look { username: call.username.clone(), hosts: call.hosts() };
        let found = match self.looks.bring(look).await {
            Ok(Found { login, hosts }) => {
                self.admit(verifier, &call, login, caller).await.map(|login| (login, hosts))
            }
            Err(refused) => Err(refused.into()),
        };
        let is_wrong = found.as_ref().is_err_and(|answer: &Answer| answer.has(Word::BadAuth));
        if is_charged && !is_wrong {
            self.failures.give_back(caller.source, Charge::Bad);
        } else if !is_charged && is_wrong {
            // The password was changed since it was learnt.
            self.failures.charge(caller.source, Charge::Bad, Instant::now());
        }
        let (login, hosts) = found?;
        if login.blocked {
            return Err(Answer::new(Word::Abuse, "this login is blocked: ask the operator"));
        }
        let answer = match call.asked {
            Ok(asked) => self.tell(&asked, &hosts, &login, caller).await?,
            Err(answer) => answer,
        };
        if !answer.has(Word::Good) && !self.often.may(login.id, Instant::now()) {
            return Err(Answer::new(
                Word::Abuse,
                "this login has called far too often with nothing new: one call in 10 seconds",
            ));
        }
        Ok(answer)
    }

    async fn admit(
        &self,
        verifier: &Verifier,
        call: &Call,
        login: Option<Credentials>,
        caller: &Caller,
    ) -> Result<Credentials, Answer> {
        let hash = login.as_ref().map(|login| login.password_hash.as_str());
        let is_right = verifier.check(&call.username, &call.password, hash).await.map_err(|Busy| {
            Answer::new(Word::OutOfOrder, "too many passwords are being checked: come again")
        })?;
        if let Some(login) = login.as_ref().filter(|_| is_right) {
            return Ok(login.clone());
        }
        // What is no user name here may be a password in the wrong place.
        let user = login.as_ref().map_or("(unknown)", |login| &login.username);
        tracing::info!(user, from = %caller.source, "a router's call was refused: user name or password is wrong");
        Err(Answer::new(Word::BadAuth, "user name or password is wrong"))
    }

    /// Tells the addresses of all names that can be, and answers for each name.
    async fn tell(
        &self,
        asked: &Asked,
        hosts: &HashMap<String, Known>,
        login: &Credentials,
        caller: &Caller,
    ) -> Result<Answer, Answer> {
        let ips =
            if asked.ips.is_empty() { caller.for_names(asked.caller_v6) } else { Ok(asked.ips.clone()) };
        let judged: Vec<Judged> = asked
            .hosts
            .iter()
            .map(|host| {
                let Some(host) = host else { return Judged::refused(Word::NotFqdn, "no full name") };
                let known = hosts.get(host.as_str()).filter(|known| known.login == login.id);
                match (known, &ips) {
                    (None, _) => Judged::refused(Word::NoHost, "no name of this login"),
                    (Some(_), Err(why)) => Judged::refused(Word::DnsError, why),
                    (Some(known), Ok(ips)) => judge(known, ips, login, !asked.ips.is_empty()),
                }
            })
            .collect();
        let is_refused = judged.iter().any(|one| one.refused.is_some());
        let told: Vec<Told> = if asked.all && is_refused {
            Vec::new()
        } else {
            judged.iter().flat_map(|one| one.told.iter().cloned()).collect()
        };
        let useless: Vec<Useless> = judged.iter().flat_map(|one| one.useless.iter().cloned()).collect();
        let used =
            login.stale.then(|| Use { login: login.id, from: caller.source, agent: caller.agent.clone() });
        let news = if told.is_empty() && useless.is_empty() && used.is_none() {
            Vec::new()
        } else {
            self.tells.bring(Tell { told: told.clone(), useless, used }).await?
        };
        let is_news = |of: &Told| told.iter().zip(&news).any(|(one, is_news)| *is_news && one == of);
        let why = judged.iter().find_map(|one| one.refused.as_ref().map(|(_, why)| why.clone()));
        let line = |one: Judged| {
            let word = match one.refused {
                Some((word, _)) => word,
                None if one.told.iter().any(is_news) => Word::Good,
                None => Word::NoChange,
            };
            Line { word, ips: if word.is_success() { one.ips } else { Vec::new() } }
        };
        Ok(Answer { lines: judged.into_iter().map(line).collect(), why })
    }
}

impl Caller {
    /// The caller's address, for a call that names none.
    fn for_names(&self, v6: bool) -> Result<Vec<IpAddr>, String> {
        match self.address {
            None => Err("a proxy stands in front, and is not trusted or does not tell who calls: set \
                SYNCFLEET_TRUSTED_PROXIES, or name the address"
                .to_owned()),
            Some(address) if address.is_ipv6() && !v6 => {
                Err("an address of IPv6 is never taken from the caller: name it with ipv6=".to_owned())
            }
            Some(address) => Ok(vec![address]),
        }
    }
}

fn too_many() -> Answer {
    Answer::new(Word::OutOfOrder, "too many calls with a wrong password came from this address: come again")
}

/// What a call means for a name.
struct Judged {
    /// Why it is not, or not wholly, what was asked for.
    refused: Option<(Word, String)>,
    /// The addresses of the answer.
    ips: Vec<IpAddr>,
    /// What has to be written.
    told: Vec<Told>,
    /// What cannot be used, and has to be noted.
    useless: Vec<Useless>,
}

impl Judged {
    fn refused(word: Word, why: &str) -> Self {
        Self { refused: Some((word, why.to_owned())), ips: Vec::new(), told: Vec::new(), useless: Vec::new() }
    }
}

/// What these addresses mean for a name: whether they may be told, and whether they are news. `named`: they stood in the call.
fn judge(known: &Known, ips: &[IpAddr], login: &Credentials, named: bool) -> Judged {
    let allowed = known.allowed.iter().filter_map(|network| network.parse().ok()).collect();
    let rules = Rules::new(allowed);
    let mut judged = Judged { refused: None, ips: Vec::new(), told: Vec::new(), useless: Vec::new() };
    for ip in ips {
        // Whoever keeps one family alone has no use for the other, which most routers send all the same.
        let Some(family) = known.families.iter().find(|family| family.family.has(*ip)) else { continue };
        if let Err(error) = rules.check(*ip) {
            tracing::warn!(
                user = login.username,
                host = known.hostname,
                "a router's address is not told: {error}"
            );
            let way_out = rules.to_allow(&known.name, *ip);
            let why = useless(login, family.family, *ip, &way_out, named);
            if family.fails_by_router() && family.failing_why.as_ref() != Some(&why) {
                judged.useless.push(Useless { address: known.address, family: family.family, why });
            }
            judged.refused = Some((Word::DnsError, format!("{error}: {way_out}")));
            continue;
        }
        judged.ips.push(*ip);
        if family.stale || family.ip != Some(*ip) || family.failed_by_router() {
            judged.told.push(Told { address: known.address, ip: *ip, by: login.username.clone() });
        }
    }
    if judged.ips.is_empty() && judged.refused.is_none() {
        return Judged::refused(Word::DnsError, "the name's address is not kept in that family");
    }
    judged
}

/// Why a family fails, for those who keep the address.
fn useless(login: &Credentials, family: Family, ip: IpAddr, way_out: &str, named: bool) -> String {
    let did = if named { "told" } else { "named no address and called from" };
    let what = forbidden(ip).unwrap_or("not public");
    let flag = dns::word(family);
    format!(
        "the router {} {did} {ip}, which is {what}: nobody outside could reach it. If it is meant, {way_out} allows its network; \
         if not, choose another source (`--{flag} SOURCE`) or none (`--no-{flag}`)",
        login.username,
    )
}
