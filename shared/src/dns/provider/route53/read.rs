//! What Route 53 holds: `GetHostedZone` and `ListResourceRecordSets`
//! (<https://docs.aws.amazon.com/Route53/latest/APIReference/API_ListResourceRecordSets.html>).
//!
//! A listing begins at a name and a type, and goes on with whatever comes next: only the sets of that very name and type count.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Route53, success};
use crate::dns::{
    Answer, Host, Http, Park, Wanted,
    host::record_type,
    http::{Auth, Request},
    provider::{Finding, Held},
    xml,
};

/// How many sets are listed: of one name and type there are several where they are weighted or of several places.
const SETS: &str = "20";

impl Route53 {
    fn zone(&self) -> Request {
        Request::get(self.url.with(&["2013-04-01", "hostedzone", &self.zone_id]), Auth::None)
    }

    pub(super) fn list(&self, host: &Host, kind: &str) -> Request {
        let mut url = self.url.with(&["2013-04-01", "hostedzone", &self.zone_id, "rrset"]);
        url.query_pairs_mut()
            .append_pair("maxitems", SETS)
            .append_pair("name", &format!("{host}."))
            .append_pair("type", kind);
        Request::get(url, Auth::None)
    }

    pub(in crate::dns::provider) async fn observe(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        now: DateTime<Utc>,
    ) -> Result<Held, Answer> {
        let mut held = Held::default();
        for address in wanted.addresses() {
            let sets = self.sets(http, secret, &wanted.host, record_type(address), now).await?;
            let values = sets.iter().flat_map(|set| &set.values);
            held.addresses.extend(values.filter_map(|value| value.parse::<std::net::IpAddr>().ok()));
        }
        Ok(held)
    }

    /// The sets of a name and type: at most one, but where they have a routing policy.
    pub(super) async fn sets(
        &self,
        http: &Http,
        secret: &SecretString,
        host: &Host,
        kind: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<Set>, Answer> {
        let key = secret.expose_secret();
        let reply = http.send(self.signed(self.list(host, kind), key, now), secret).await?;
        let texts = success(&reply, key)?;
        if xml::first(&texts, "IsTruncated").is_none() {
            return Err(reply.malformed("no list of records came", key));
        }
        Ok(sets(&texts, host, kind))
    }

    /// Zone and records. Whether the key may also write is seen by writing alone.
    pub(in crate::dns::provider) async fn probe(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        now: DateTime<Utc>,
    ) -> Vec<Finding> {
        let key = secret.expose_secret();
        let zone = async {
            let reply = http.send(self.signed(self.zone(), key, now), secret).await?;
            let texts = success(&reply, key)?;
            let name = xml::first(&texts, "HostedZone/Name").and_then(|name| name.parse::<Host>().ok());
            name.ok_or_else(|| reply.malformed("no hosted zone came", key))
        };
        let zone = match zone.await {
            Ok(zone) if wanted.host.below(&zone).is_some() => Finding::good("zone", zone.as_str()),
            Ok(zone) => {
                let what = format!("the zone is {zone}, and {} is not in it", wanted.host);
                return vec![Finding::new("zone", Answer::park(Park::NoHost, what))];
            }
            Err(answer) => return vec![Finding::new("zone", answer)],
        };
        let records = match self.observe(http, secret, wanted, now).await {
            Ok(held) => Finding::held(&held),
            Err(answer) => Finding::new("records", answer),
        };
        vec![zone, records]
    }
}

/// A set of records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Set {
    /// Its data; empty: it is an alias.
    pub(super) values: Vec<String>,
    /// Seconds; none: it is an alias, whose TTL is that of its target.
    pub(super) ttl: Option<u32>,
    /// The name that it is an alias of.
    pub(super) alias: Option<String>,
    /// It is one of several for the name, each for some clients: weighted, of a region, for failover.
    pub(super) is_routed: bool,
}

/// The sets of a name and type, in a listing. Fields of a set stand together, its name first.
fn sets(texts: &[(String, String)], host: &Host, kind: &str) -> Vec<Set> {
    let (mut name, mut of_kind, mut found) = ("", false, Vec::<Set>::new());
    for (path, text) in texts {
        let Some((_, field)) = path.rsplit_once("ResourceRecordSet/") else { continue };
        match field {
            "Name" => (name, of_kind) = (text, false),
            "Type" => {
                of_kind = text == kind && is(name, host);
                if of_kind {
                    found.push(Set::default());
                }
            }
            _ => {}
        }
        let Some(set) = found.last_mut().filter(|_| of_kind) else { continue };
        match field {
            "TTL" => set.ttl = text.parse().ok(),
            "SetIdentifier" => set.is_routed = true,
            "AliasTarget/DNSName" => set.alias = Some(text.clone()),
            "ResourceRecords/ResourceRecord/Value" => set.values.push(text.clone()),
            _ => {}
        }
    }
    found
}

/// Whether a listed name is this host's. `*` is listed as `\052`:
/// <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DomainNameFormat.html>.
fn is(listed: &str, host: &Host) -> bool {
    let listed = listed.strip_suffix('.').unwrap_or(listed);
    listed.strip_prefix("\\052").map_or_else(
        || listed.eq_ignore_ascii_case(host.as_str()),
        |rest| host.as_str().strip_prefix('*').is_some_and(|host| rest.eq_ignore_ascii_case(host)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_sets_of_the_name_and_type_count() {
        let set = |name: &str, kind: &str, value: &str| {
            format!(
                "<ResourceRecordSet><Name>{name}</Name><Type>{kind}</Type><TTL>60</TTL><ResourceRecords>\
                 <ResourceRecord><Value>{value}</Value></ResourceRecord></ResourceRecords></ResourceRecordSet>"
            )
        };
        let alias = "<ResourceRecordSet><Name>home.example.org.</Name><Type>A</Type><AliasTarget>\
                     <DNSName>x.example.org.</DNSName></AliasTarget></ResourceRecordSet>";
        let document = [
            "<L><ResourceRecordSets>".to_owned(),
            set("home.example.org.", "A", "192.0.2.7"),
            set("home.example.org.", "A", "192.0.2.8")
                .replace("<TTL>", "<SetIdentifier>one</SetIdentifier><Weight>1</Weight><TTL>"),
            alias.to_owned(),
            set("home.example.org.", "AAAA", "2001:db8::7"),
            set("\\052.example.org.", "A", "192.0.2.9"),
            set("zoo.example.org.", "A", "192.0.2.10"),
            "</ResourceRecordSets></L>".to_owned(),
        ]
        .concat();
        let texts = xml::texts(&document).unwrap();
        let of = |host: &str, kind| sets(&texts, &host.parse().unwrap(), kind);
        let plain = |value: &str| Set { values: vec![value.to_owned()], ttl: Some(60), ..Set::default() };
        let alias = Set { alias: Some("x.example.org.".to_owned()), ..Set::default() };
        let routed = Set { is_routed: true, ..plain("192.0.2.8") };
        assert_eq!(of("home.example.org", "A"), [plain("192.0.2.7"), routed, alias]);
        assert_eq!(of("home.example.org", "AAAA"), [plain("2001:db8::7")]);
        assert_eq!(of("*.example.org", "A"), [plain("192.0.2.9")]);
        assert!(of("x.example.org", "A").is_empty());
    }
}
