use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
};

use sqlx::PgConnection;

use crate::{
    dns::address::Family,
    job::Lane,
    store::{
        dns_addresses::{self, AddressId},
        job_state::{self, Wanted},
    },
};

/// What a router has told of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The address.
    pub address: AddressId,
    /// What it is.
    pub ip: IpAddr,
    /// The login's user name.
    pub by: String,
}

impl Told {
    /// The family that was told.
    #[must_use]
    pub const fn family(&self) -> Family {
        Family::of(self.ip)
    }
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Changed {
    /// The addresses that are another one now, with the family.
    pub families: HashSet<(AddressId, Family)>,
    /// The jobs of their records, which were wanted.
    pub wanted: Vec<Wanted>,
}

impl Changed {
    /// Whether what was told was news.
    #[must_use]
    pub fn has(&self, told: &Told) -> bool {
        self.families.contains(&(told.address, told.family()))
    }
}

/// Writes what routers have told, and wants the jobs of the records of each address that has changed, in the lane interactive. Of several
/// words about one family of an address the last one counts; those before it were news, if it is another one.
///
/// To be called in a transaction. Addresses are locked in their order, then jobs in theirs. A family that the address is not kept in is
/// left out.
pub async fn tell(conn: &mut PgConnection, told: &[Told]) -> Result<Changed, sqlx::Error> {
    let mut last: BTreeMap<(AddressId, Family), &Told> = BTreeMap::new();
    let mut superseded = HashSet::new();
    for one in told {
        let key = (one.address, one.family());
        if last.insert(key, one).is_some_and(|before| before.ip != one.ip) {
            superseded.insert(key);
        }
    }
    let addresses: Vec<AddressId> = last.keys().map(|(address, _)| *address).collect();
    let families: Vec<Family> = last.keys().map(|(_, family)| *family).collect();
    let ips: Vec<String> = last.values().map(|one| one.ip.to_string()).collect();
    let by: Vec<String> = last.values().map(|one| one.by.clone()).collect();
    let rows = sqlx::query!(
        r#"-- dns_hosts::tell
        with told as (
            select address_id, family, ip::inet as ip, told_by
            from unnest($1::bigint[], $2::address_family[], $3::text[], $4::text[]) as t (address_id, family, ip, told_by)
        ), locked as (
            select f.address_id, f.family, t.ip, t.told_by, f.address is distinct from t.ip as changed
            from dns_address_families f join told t using (address_id, family)
            order by f.address_id, f.family
            for update of f
        )
        update dns_address_families f set
            address = l.ip,
            since = case when l.changed then clock() else f.since end,
            told_at = clock(),
            told_by = l.told_by
        from locked l
        where f.address_id = l.address_id and f.family = l.family
        returning f.address_id, f.family as "family: Family", l.changed as "changed!""#,
        &addresses,
        &families as &[Family],
        &ips,
        &by,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut changed = Changed::default();
    let mut moved = Vec::new();
    for row in rows {
        let key = (row.address_id, row.family);
        if row.changed {
            moved.push(row.address_id);
        }
        if row.changed || superseded.contains(&key) {
            changed.families.insert(key);
        }
    }
    if moved.is_empty() {
        return Ok(changed);
    }
    let jobs = dns_addresses::records_of(conn, &moved).await?;
    changed.wanted = job_state::want(conn, &jobs, None, Some(Lane::Interactive)).await?;
    Ok(changed)
}
