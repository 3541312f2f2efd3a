//! The protocol of Dyn, which most providers and routers speak.
//!
//! `GET …?hostname=H&myip=A` with basic authentication; one line a name comes back, whose first word is the code
//! (<https://help.dyn.com/remote-access-api/perform-update/>, <https://help.dyn.com/remote-access-api/return-codes/>). Lines are read by
//! their first word alone: `good` also stands in words that mean the contrary.
//!
//! Dialects differ in how two addresses are sent ([`Dual`]). Some answer them by two lines in whatever order; each such line names its
//! address. Statuses other than 200 may carry a code, which then decides, but for those of a success.

use std::{net::IpAddr, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::{Desec, FieldError, Step};
use crate::dns::{
    Answer, Answers, Endpoint, Http, Outcome, Park, Wanted,
    http::{Auth, Reply, Request},
    outcome::said,
};

/// How long to leave a provider alone that says it is out of order: <https://www.noip.com/integrate/response>.
const OUT_OF_ORDER: Duration = Duration::from_mins(30);

/// A server that speaks dyndns2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dyndns2 {
    /// As `https://members.dyndns.org/nic/update`.
    pub url: Endpoint,
    /// The user of the basic authentication.
    pub user: String,
    /// How two addresses are sent.
    #[serde(default)]
    pub dual: Dual,
}

/// How the addresses of both families are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dual {
    /// One request with `myip=A,AAAA`, as Dyn has it.
    #[default]
    Combined,
    /// A request each with `myip`. For those who take a list for abuse, as selfhost.de.
    Separate,
    /// One request with `myip=A` and `myipv6=AAAA`, as No-IP has it. Both go with each update, as No-IP takes the caller's address for a
    /// missing `myip` (<https://www.noip.com/integrate/request>). Of a name that is kept in AAAA alone there is no `myip` to give: there
    /// [`Dual::Separate`] is to be used, if the server takes an IPv6 address by `myip`.
    Myipv6,
}

impl Dyndns2 {
    pub(super) fn check(&self) -> Result<(), FieldError> {
        for name in ["hostname", "myip", "myipv6"] {
            if self.url.url().query_pairs().any(|(found, _)| found == name) {
                return Err(FieldError::new(
                    "url",
                    format!("the parameter {name} is added here; leave it out of the URL"),
                ));
            }
        }
        if Desec::is_at(self.url.url()) {
            let why = "deSEC removes the family that such a call leaves out: choose the provider desec, which keeps it";
            return Err(FieldError::new("url", why));
        }
        if self.user.is_empty() || self.user.contains(':') {
            return Err(FieldError::new("user", "it is not empty, and has no colon (RFC 7617 section 2)"));
        }
        Ok(())
    }

    /// The requests, with the addresses that each is for.
    fn requests(&self, wanted: &Wanted) -> Vec<(Vec<IpAddr>, Request)> {
        let all = wanted.addresses();
        let request = |addresses: Vec<IpAddr>| {
            let mut parameters = vec![("hostname", wanted.host.to_string())];
            if self.dual == Dual::Myipv6 {
                let mut both: Vec<&IpAddr> = addresses.iter().chain(&wanted.beside).collect();
                both.sort();
                let name = |address: &IpAddr| if address.is_ipv4() { "myip" } else { "myipv6" };
                parameters.extend(both.into_iter().map(|address| (name(address), address.to_string())));
            } else {
                let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                parameters.push(("myip", list.join(",")));
            }
            let parameters: Vec<_> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
            (addresses, Request::get(self.url.query(&parameters), Auth::Basic(self.user.clone())))
        };
        match self.dual {
            Dual::Combined | Dual::Myipv6 => vec![request(all)],
            Dual::Separate => all.into_iter().map(|address| request(vec![address])).collect(),
        }
    }

    pub(super) fn plan(&self, wanted: &Wanted) -> Vec<Step> {
        self.requests(wanted).into_iter().map(|(_, request)| Step::new(request)).collect()
    }

    pub(super) async fn update(&self, http: &Http, secret: &SecretString, wanted: &Wanted) -> Answers {
        let mut answers = Answers::default();
        for (addresses, request) in self.requests(wanted) {
            send(http, secret, request, &addresses, &mut answers).await;
        }
        answers
    }
}

/// Sends a request and notes what its answer means for each of the addresses. Sends nothing after an answer that ends it: nothing is
/// to be sent after `badauth`, `nohost`, `notfqdn` and their like (<https://help.dyn.com/remote-access-api/policies/>).
pub(super) async fn send(
    http: &Http,
    secret: &SecretString,
    request: Request,
    addresses: &[IpAddr],
    answers: &mut Answers,
) {
    let reply = match answers.end_of_the_name() {
        Some(answer) => Err(answer),
        None => http.send(request, secret).await,
    };
    for address in addresses {
        let answer = match &reply {
            Ok(reply) => answer(reply, *address, secret.expose_secret()),
            Err(answer) => answer.clone(),
        };
        answers.set(*address, answer);
    }
}

/// What an answer means for an address that was sent.
fn answer(reply: &Reply, address: IpAddr, secret: &str) -> Answer {
    let lines: Vec<(&str, Vec<IpAddr>)> = reply
        .body
        .lines()
        .filter_map(|line| {
            let mut words = line.trim().split([' ', '\t', ',']).filter(|word| !word.is_empty());
            Some((words.next()?, words.filter_map(|word| word.parse().ok()).collect()))
        })
        .collect();
    let of_family = |ips: &[IpAddr]| ips.iter().any(|ip| ip.is_ipv4() == address.is_ipv4());
    let line = lines
        .iter()
        .find(|(_, ips)| of_family(ips))
        .or_else(|| lines.iter().find(|(_, ips)| ips.is_empty()))
        .or(lines.first());
    let decides = |word: &str| match outcome(word) {
        Some(Outcome::Good | Outcome::NoChange) | None => reply.status.is_success(),
        Some(_) => true,
    };
    let Some((word, ips)) = line.filter(|(word, _)| decides(word)) else {
        return if reply.status.is_success() {
            reply.malformed("no word of dyndns2 came", secret)
        } else {
            reply.by_status(secret)
        };
    };
    if reply.is_page() {
        return reply.malformed("no word of dyndns2 came", secret);
    }
    let told = said(
        &format!("{word} {}", ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
        secret,
    );
    let Some(outcome) = outcome(word) else {
        return Answer::new(Outcome::Refused, told);
    };
    if matches!(outcome, Outcome::Good | Outcome::NoChange) {
        // Dyn says so to programs that it ignores.
        if !address.is_loopback() && ips.iter().any(IpAddr::is_loopback) {
            return Answer::park(Park::BadAgent, format!("{told}: the request was ignored"));
        }
        if let Some(set) = ips.iter().find(|ip| ip.is_ipv4() == address.is_ipv4())
            && *set != address
        {
            let what = format!("{told}: another address than {address}, which was sent");
            return Answer::new(Outcome::Refused, what);
        }
    }
    Answer::new(outcome, told)
}

/// What a code means; none: it is no code.
fn outcome(word: &str) -> Option<Outcome> {
    Some(match word {
        "good" => Outcome::Good,
        "nochg" => Outcome::NoChange,
        "badauth" => Outcome::Park(Park::BadAuth),
        "badagent" => Outcome::Park(Park::BadAgent),
        "!donator" => Outcome::Park(Park::NotPermitted),
        "badsys" | "badparam" => Outcome::Park(Park::BadSetting),
        "notfqdn" => Outcome::Park(Park::NotFqdn),
        "nohost" | "!yours" | "!active" => Outcome::Park(Park::NoHost),
        "numhost" => Outcome::Park(Park::NumHost),
        "abuse" => Outcome::Park(Park::Abuse),
        "911" => Outcome::Wait(OUT_OF_ORDER),
        "dnserr" => Outcome::Retry,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;
    use crate::dns::http::tests::reply;

    fn both(status: u16, body: &str) -> [Outcome; 2] {
        let reply = reply(StatusCode::from_u16(status).unwrap(), body);
        ["192.0.2.7", "2001:db8::7"].map(|address| answer(&reply, address.parse().unwrap(), "s3cret").outcome)
    }

    #[test]
    fn lines_are_matched_to_addresses_by_their_family_not_their_order() {
        use Outcome::{Good, NoChange, Park as P, Refused, Retry};
        for (body, v4, v6) in [
            ("good", Good, Good),
            ("good 192.0.2.7\r\n", Good, Good),
            ("good 2001:db8::7\nnochg 192.0.2.7", NoChange, Good),
            ("nochg 192.0.2.7,2001:db8::7", NoChange, NoChange),
            ("good 2001:0db8:0::7 192.0.2.7", Good, Good),
            ("good 127.0.0.1", P(Park::BadAgent), P(Park::BadAgent)),
            // Of the AAAA record the line says nothing but its word.
            ("good 198.51.100.1", Refused, Good),
            ("good 192.0.2.7\r\nnochg 2001:db8::7\r\n", Good, NoChange),
            ("nochg 2001:db8::7\ndnserr 192.0.2.7", Retry, NoChange),
            ("good\tx\t192.0.2.7", Good, Good),
            ("\u{fffd}good", Refused, Refused),
            ("GOOD 192.0.2.7", Refused, Refused),
            ("badauth", P(Park::BadAuth), P(Park::BadAuth)),
            ("goodbye", Refused, Refused),
            ("OK", Refused, Refused),
            ("nogood", Refused, Refused),
            ("", Retry, Retry),
            ("\n\n", Retry, Retry),
            ("<html>good nochg</html>", Retry, Retry),
        ] {
            let [a, aaaa] = both(200, body);
            assert_eq!((a, aaaa), (v4, v6), "{body}");
        }
    }

    #[test]
    fn a_code_decides_whatever_the_status() {
        assert_eq!(both(401, "badauth")[0], Outcome::Park(Park::BadAuth));
        assert_eq!(both(403, "abuse")[0], Outcome::Park(Park::Abuse));
        assert_eq!(both(503, "911")[0], Outcome::Wait(OUT_OF_ORDER));
        assert_eq!(both(401, "<html>who are you")[0], Outcome::Park(Park::BadAuth));
        // But no success with a status that is none.
        assert_eq!(both(500, "good 192.0.2.7")[0], Outcome::Retry);
        assert_eq!(both(302, "good 192.0.2.7")[0], Outcome::Retry);
        assert_eq!(both(404, "nochg")[0], Outcome::Park(Park::NoHost));
        assert_eq!(both(500, "oops")[0], Outcome::Retry);
        assert_eq!(both(500, "")[0], Outcome::Retry);
    }
}
