//! The messages: RFC 2136 section 2.

use std::net::IpAddr;

use hickory_proto::{
    ProtoError,
    op::{Message, OpCode, Query, UpdateMessage as _},
    rr::{
        DNSClass, Name, RData, Record, RecordType,
        rdata::{A, AAAA, TXT},
    },
};

use super::{Require, Rfc2136};
use crate::dns::{Host, Wanted};

/// The TTL of a name that has none, in seconds.
const TTL: u32 = 60;

/// How the owner's mark stands, as an update requires it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// There is no owner: nothing is required.
    None,
    /// It is there, with this owner's text.
    Ours,
    /// Neither it nor any of the records is there: it is made with them.
    New,
}

/// Where the mark of a name stands. `*` is no label of other names.
pub(super) fn mark(host: &Host) -> String {
    let host = host.as_str();
    host.strip_prefix("*.")
        .map_or_else(|| format!("_syncfleet.{host}"), |zone| format!("_syncfleet._any.{zone}"))
}

impl Rfc2136 {
    fn empty(&self) -> Result<Message, ProtoError> {
        let mut message = Message::query();
        message.metadata.op_code = OpCode::Update;
        message.metadata.recursion_desired = false;
        message.add_zone(Query::query(name(self.zone.as_str())?, RecordType::SOA));
        Ok(message)
    }

    /// Deletion and addition of each record.
    pub(super) fn change(&self, wanted: &Wanted, marked: Mark) -> Result<Message, ProtoError> {
        let host = name(wanted.host.as_str())?;
        let mut message = self.empty()?;
        let owner = TXT::new(self.owner.iter().cloned().collect());
        match marked {
            Mark::None => {}
            Mark::Ours => {
                // Section 2.4.2: the set is just this.
                message.add_pre_requisite(Record::from_rdata(
                    name(&mark(&wanted.host))?,
                    0,
                    RData::TXT(owner),
                ));
            }
            Mark::New => {
                let mark = name(&mark(&wanted.host))?;
                message.add_pre_requisite(set(&mark, RecordType::TXT, DNSClass::NONE));
                message.add_update(Record::from_rdata(mark, ttl(wanted), RData::TXT(owner)));
            }
        }
        for address in wanted.addresses() {
            let kind = kind(address);
            if marked == Mark::New {
                message.add_pre_requisite(set(&host, kind, DNSClass::NONE));
            } else if self.require == Require::Records {
                message.add_pre_requisite(set(&host, kind, DNSClass::ANY));
            }
            message.add_update(set(&host, kind, DNSClass::ANY));
            message.add_update(Record::from_rdata(host.clone(), ttl(wanted), data(address)));
        }
        Ok(message)
    }

    /// No update at all, if the zone has an SOA record: it has.
    pub(super) fn nothing(&self) -> Result<Message, ProtoError> {
        let mut message = self.empty()?;
        message.add_pre_requisite(set(&name(self.zone.as_str())?, RecordType::SOA, DNSClass::ANY));
        Ok(message)
    }

    /// The deletion of addresses that no record has: `0.0.0.0` and `::`. A server that lets the key do it finds nothing to delete
    /// (section 3.4.2.4).
    pub(super) fn deletion_of_nothing(&self, wanted: &Wanted) -> Result<Message, ProtoError> {
        let host = name(wanted.host.as_str())?;
        let mut message = self.empty()?;
        for address in wanted.addresses() {
            let nobody = match address {
                IpAddr::V4(_) => RData::A(A::new(0, 0, 0, 0)),
                IpAddr::V6(_) => RData::AAAA(AAAA::new(0, 0, 0, 0, 0, 0, 0, 0)),
            };
            let mut record = Record::from_rdata(host.clone(), 0, nobody);
            record.dns_class = DNSClass::NONE;
            message.add_update(record);
        }
        Ok(message)
    }

    /// A question for the records of a type, which the server is to answer by itself.
    pub(super) fn question(wanted: &Wanted, address: IpAddr) -> Result<Message, ProtoError> {
        let mut message = Message::query();
        message.metadata.recursion_desired = false;
        message.add_query(Query::query(name(wanted.host.as_str())?, kind(address)));
        Ok(message)
    }
}

/// A set without data: "is there" (section 2.4.1) or "delete it" (2.5.2) with the class ANY, "is not there" (2.4.3) with NONE.
fn set(name: &Name, kind: RecordType, class: DNSClass) -> Record {
    let mut set = Record::update0(name.clone(), 0, kind).into_record_of_rdata();
    set.dns_class = class;
    set
}

fn ttl(wanted: &Wanted) -> u32 {
    wanted.ttl.unwrap_or(TTL)
}

const fn kind(address: IpAddr) -> RecordType {
    match address {
        IpAddr::V4(_) => RecordType::A,
        IpAddr::V6(_) => RecordType::AAAA,
    }
}

const fn data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

fn name(text: &str) -> Result<Name, ProtoError> {
    let mut name = Name::from_ascii(text)?;
    name.set_fqdn(true);
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::provider, *};

    fn wanted(host: &str) -> Wanted {
        Wanted {
            host: host.parse().unwrap(),
            v4: Some("192.0.2.7".parse().unwrap()),
            v6: Some("2001:db8::7".parse().unwrap()),
            beside: None,
            ttl: Some(30),
        }
    }

    fn classes(records: &[Record]) -> Vec<(RecordType, DNSClass)> {
        records.iter().map(|record| (record.record_type(), record.dns_class)).collect()
    }

    #[test]
    fn one_message_has_prerequisites_deletions_and_additions_of_both_families() {
        use {DNSClass as Class, RecordType as Type};
        let provider = provider("ns");
        let message = provider.change(&wanted("*.example.org"), Mark::None).unwrap();
        let changes =
            [(Type::A, Class::ANY), (Type::A, Class::IN), (Type::AAAA, Class::ANY), (Type::AAAA, Class::IN)];
        assert_eq!(classes(message.updates()), changes);
        assert_eq!(classes(message.prerequisites()), [(Type::A, Class::ANY), (Type::AAAA, Class::ANY)]);
        assert_eq!(message.updates()[1].ttl, 30);

        let message = provider.change(&wanted("home.example.org"), Mark::New).unwrap();
        assert_eq!(
            classes(message.prerequisites()),
            [(Type::TXT, Class::NONE), (Type::A, Class::NONE), (Type::AAAA, Class::NONE)]
        );
        assert_eq!(message.updates()[0].name.to_ascii(), "_syncfleet.home.example.org.");
        assert_eq!(mark(&"*.example.org".parse().unwrap()), "_syncfleet._any.example.org");
    }

    #[test]
    fn what_only_looks_changes_nothing() {
        let provider = provider("ns");
        let message = provider.nothing().unwrap();
        assert!(message.updates().is_empty() && message.prerequisites().len() == 1);
        let message = provider.deletion_of_nothing(&wanted("home.example.org")).unwrap();
        assert_eq!(
            classes(message.updates()),
            [(RecordType::A, DNSClass::NONE), (RecordType::AAAA, DNSClass::NONE)]
        );
        assert!(
            message.updates().iter().all(|record| record.data.ip_addr().is_some_and(|a| a.is_unspecified()))
        );
    }
}
