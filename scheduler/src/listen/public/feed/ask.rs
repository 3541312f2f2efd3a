use shared::{
    job::AccountId,
    store::changes::{After, Resource, What},
};

/// What a reader asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// Where it begins.
    pub after: After,
    /// Of this account only.
    pub account: Option<AccountId>,
    /// Of these resources only; empty: of all.
    pub resources: Vec<Resource>,
    /// Only where this became of the row; empty: whatever became of it.
    pub whats: Vec<What>,
}

impl Asked {
    /// Reads the query, and the header `Last-Event-ID`, which a reader that comes back sends by itself: it is newer than the
    /// address.
    pub(super) fn read(query: &str, last: Option<&str>) -> Result<Self, String> {
        let mut asked = Self { after: After::Now, account: None, resources: Vec::new(), whats: Vec::new() };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "after" => asked.after = value.parse().map_err(|bad| format!("after: {bad}"))?,
                "account" => {
                    let bad = |_| format!("account: {value:?} is no account's number");
                    asked.account = Some(value.trim().parse().map_err(bad)?);
                }
                "resource" => {
                    for resource in value.split(',') {
                        asked.resources.push(resource.parse().map_err(|bad| format!("resource: {bad}"))?);
                    }
                }
                "what" => {
                    for what in value.split(',') {
                        asked.whats.push(what.parse().map_err(|bad| format!("what: {bad}"))?);
                    }
                }
                other => {
                    return Err(format!(
                        "unknown parameter {other:?}: there are after, account, resource and what"
                    ));
                }
            }
        }
        if let Some(last) = last.filter(|last| !last.trim().is_empty()) {
            asked.after = last.parse().map_err(|bad| format!("Last-Event-ID: {bad}"))?;
        }
        Ok(asked)
    }
}

#[cfg(test)]
mod tests {
    use shared::store::changes::Position;

    use super::*;

    #[test]
    fn a_query_is_read_and_the_header_is_newer() {
        let asked = Asked::read("account=7&resource=event,file&resource=calendar&after=1-2-3", Some("1-2-4"))
            .unwrap();
        assert_eq!(asked.after, After::Position(Position { epoch: 1, xid: 2, id: 4 }));
        assert_eq!((asked.account, asked.resources.len(), asked.whats.len()), (Some(7), 3, 0));
        let asked = Asked::read("what=failing,recovered&resource=dns_record", None).unwrap();
        assert_eq!(
            (asked.resources, asked.whats),
            (vec![Resource::DnsRecord], vec![What::Failing, What::Recovered])
        );
        assert_eq!(Asked::read("", Some(" ")).unwrap().after, After::Now);
        assert_eq!(Asked::read("after=oldest", None).unwrap().after, After::Oldest);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, last, why) in [
            ("after=yesterday", None, "after: \"yesterday\" is no position"),
            ("", Some("7"), "Last-Event-ID: \"7\" is no position"),
            ("account=ada", None, "account: \"ada\""),
            ("resource=mail", None, "the resources are calendar, event"),
            ("what=broken", None, "what: unknown change \"broken\""),
            ("since=1", None, "unknown parameter \"since\""),
        ] {
            let error = Asked::read(query, last).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
