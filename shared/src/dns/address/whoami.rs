//! Name servers that answer with the address of who asks.
//!
//! - Google: `o-o.myaddr.l.google.com`, TXT, of ns1.google.com (<https://developers.google.com/speed/public-dns/faq#locations>);
//! - OpenDNS: `myip.opendns.com`, of resolver1.opendns.com (<https://support.opendns.com/hc/en-us/articles/227988007>);
//! - Cloudflare: `whoami.cloudflare`, TXT of class CH, of 1.1.1.1 (<https://github.com/cloudflare/cloudflare-docs>).
//!
//! A router that answers all questions of DNS itself would ask them in turn with the same address, or answer with nothing.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::future::join_all;
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{DNSClass, Name, RData, RecordType},
};

use super::{Family, Told};
use crate::dns::exchange::{Question, ask as ask_server};

/// A server, and what it is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The server.
    pub server: SocketAddr,
    /// The name.
    pub name: &'static str,
    /// Whether its TXT record is meant, and not its addresses.
    pub text: bool,
    /// Whether the class is CH, and not IN.
    pub chaos: bool,
}

/// Servers of three operators.
#[must_use]
pub fn services(family: Family) -> Vec<Service> {
    let servers = match family {
        Family::Ipv4 => ["216.239.32.10:53", "208.67.222.222:53", "1.1.1.1:53"],
        Family::Ipv6 => ["[2001:4860:4802:32::a]:53", "[2620:119:35::35]:53", "[2606:4700:4700::1111]:53"],
    };
    let questions = [
        ("o-o.myaddr.l.google.com.", true, false),
        ("myip.opendns.com.", false, false),
        ("whoami.cloudflare.", true, true),
    ];
    servers
        .into_iter()
        .zip(questions)
        .filter_map(|(server, (name, text, chaos))| {
            Some(Service { server: server.parse().ok()?, name, text, chaos })
        })
        .collect()
}

/// Asks all at once.
pub async fn ask(services: &[Service], family: Family, limit: Duration) -> Vec<Told> {
    join_all(
        services
            .iter()
            .map(|service| async move { (service.server.to_string(), one(service, family, limit).await) }),
    )
    .await
}

async fn one(service: &Service, family: Family, limit: Duration) -> Result<IpAddr, String> {
    let name = Name::from_ascii(service.name).map_err(|error| error.to_string())?;
    let kind = match (service.text, family) {
        (true, _) => RecordType::TXT,
        (false, Family::Ipv4) => RecordType::A,
        (false, Family::Ipv6) => RecordType::AAAA,
    };
    let class = if service.chaos { DNSClass::CH } else { DNSClass::IN };
    let answer =
        ask_server(service.server, &Question { name: &name, kind, class, recurse: true }, limit).await?;
    read(&answer, family)
}

fn read(answer: &Message, family: Family) -> Result<IpAddr, String> {
    if answer.metadata.response_code != ResponseCode::NoError {
        return Err(answer.metadata.response_code.to_string());
    }
    answer
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::TXT(text) => {
                let text: Vec<u8> = text.txt_data.iter().flat_map(|part| part.iter().copied()).collect();
                String::from_utf8(text).ok()?.trim().parse().ok()
            }
            data => data.ip_addr(),
        })
        .find(|address| family.has(*address))
        .ok_or_else(|| format!("no address of {family} came"))
}

#[cfg(test)]
mod tests {
    use hickory_proto::{
        op::OpCode,
        rr::{Record, rdata::TXT},
    };

    use super::*;

    #[test]
    fn the_address_is_found_among_other_texts() {
        assert!(services(Family::Ipv4).len() == 3 && services(Family::Ipv6).len() == 3);
        let mut answer = Message::response(1, OpCode::Query);
        let name: Name = "o-o.myaddr.l.google.com.".parse().unwrap();
        for text in ["edns0-client-subnet 192.0.2.0/24", "8.8.4.4"] {
            let data = RData::TXT(TXT::new(vec![text.to_owned()]));
            answer.add_answer(Record::from_rdata(name.clone(), 60, data));
        }
        assert_eq!(read(&answer, Family::Ipv4), Ok("8.8.4.4".parse().unwrap()));
        assert!(read(&answer, Family::Ipv6).unwrap_err().contains("no address of IPv6"));
        answer.metadata.response_code = ResponseCode::Refused;
        assert!(read(&answer, Family::Ipv4).is_err());
    }
}
