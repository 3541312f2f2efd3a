//! A message in the words of nsupdate (`nsupdate(1)`).

use hickory_proto::{
    op::{Message, UpdateMessage as _},
    rr::{DNSClass, RData, Record},
};

/// What a message requires, and what it changes.
pub(super) fn shown(message: &Message) -> Vec<String> {
    message.prerequisites().iter().map(required).chain(message.updates().iter().map(changed)).collect()
}

/// RFC 2136 section 2.4: the class says what is meant.
fn required(record: &Record) -> String {
    let (name, kind) = (&record.name, record.record_type());
    match record.dns_class {
        DNSClass::NONE => format!("prereq nxrrset {name} {kind}"),
        DNSClass::ANY => format!("prereq yxrrset {name} {kind}"),
        _ => format!("prereq yxrrset {name} {kind} {}", data(&record.data)),
    }
}

/// RFC 2136 section 2.5.
fn changed(record: &Record) -> String {
    let (name, kind) = (&record.name, record.record_type());
    match record.dns_class {
        DNSClass::ANY => format!("update delete {name} {kind}"),
        DNSClass::NONE => format!("update delete {name} {kind} {}", data(&record.data)),
        _ => format!("update add {name} {} {kind} {}", record.ttl, data(&record.data)),
    }
}

fn data(data: &RData) -> String {
    match data {
        RData::TXT(text) => {
            let parts = text.txt_data.iter().map(|part| format!("{:?}", String::from_utf8_lossy(part)));
            parts.collect::<Vec<_>>().join(" ")
        }
        data => data.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Mark, Require, tests::provider},
        shown,
    };
    use crate::dns::host::tests::wanted;

    #[test]
    fn a_message_is_told_in_the_words_of_nsupdate() {
        let mut provider = provider("ns");
        let lines =
            |provider: &super::super::Rfc2136, mark| shown(&provider.change(&wanted(), mark).unwrap());
        let changes = [
            "update delete home.example.org. A",
            "update add home.example.org. 60 A 192.0.2.7",
            "update delete home.example.org. AAAA",
            "update add home.example.org. 60 AAAA 2001:db8::7",
        ];
        let there = ["prereq yxrrset home.example.org. A", "prereq yxrrset home.example.org. AAAA"];
        assert_eq!(lines(&provider, Mark::None), [&there[..], &changes].concat());
        provider.require = Require::Nothing;
        provider.owner = Some("fleet \"one\"".to_owned());
        assert_eq!(lines(&provider, Mark::None), changes);
        let ours = r#"prereq yxrrset _syncfleet.home.example.org. TXT "fleet \"one\"""#;
        assert_eq!(lines(&provider, Mark::Ours), [&[ours][..], &changes].concat());
        let new = [
            "prereq nxrrset _syncfleet.home.example.org. TXT",
            "prereq nxrrset home.example.org. A",
            "prereq nxrrset home.example.org. AAAA",
            r#"update add _syncfleet.home.example.org. 60 TXT "fleet \"one\"""#,
        ];
        assert_eq!(lines(&provider, Mark::New), [&new[..], &changes].concat());
        assert_eq!(
            shown(&provider.deletion_of_nothing(&wanted()).unwrap()),
            ["update delete home.example.org. A 0.0.0.0", "update delete home.example.org. AAAA ::"]
        );
    }
}
