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

    fn list(&self, host: &Host, kind: &str) -> Request {
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
        let key = secret.expose_secret();
        let mut held = Held::default();
        for address in wanted.addresses() {
            let kind = record_type(address);
            let reply = http.send(self.signed(self.list(&wanted.host, kind), key, now), secret).await?;
            let texts = success(&reply, key)?;
            if xml::first(&texts, "IsTruncated").is_none() {
                return Err(reply.malformed("no list of records came", key));
            }
            for value in values(&texts, &wanted.host, kind) {
                held.addresses.extend(value.parse::<std::net::IpAddr>());
            }
        }
        Ok(held)
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

/// The values of the sets of a name and type, in a listing. Fields of a set stand together, its name first.
fn values<'a>(texts: &'a [(String, String)], host: &Host, kind: &str) -> Vec<&'a str> {
    let (mut name, mut of_kind, mut found) = ("", false, Vec::new());
    for (path, text) in texts {
        if path.ends_with("ResourceRecordSet/Name") {
            (name, of_kind) = (text, false);
        } else if path.ends_with("ResourceRecordSet/Type") {
            of_kind = text == kind && is(name, host);
        } else if of_kind && path.ends_with("ResourceRecord/Value") {
            found.push(text.as_str());
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
            set("home.example.org.", "A", "192.0.2.8"),
            alias.to_owned(),
            set("home.example.org.", "AAAA", "2001:db8::7"),
            set("\\052.example.org.", "A", "192.0.2.9"),
            set("zoo.example.org.", "A", "192.0.2.10"),
            "</ResourceRecordSets></L>".to_owned(),
        ]
        .concat();
        let texts = xml::texts(&document).unwrap();
        let of = |host: &str, kind| values(&texts, &host.parse().unwrap(), kind);
        assert_eq!(of("home.example.org", "A"), ["192.0.2.7", "192.0.2.8"]);
        assert_eq!(of("home.example.org", "AAAA"), ["2001:db8::7"]);
        assert_eq!(of("*.example.org", "A"), ["192.0.2.9"]);
        assert!(of("x.example.org", "A").is_empty());
    }
}
