use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::IpAddr,
};

use sqlx::PgConnection;

use crate::{
    dns::address::Family,
    job::{Lane, TenantId},
    store::{
        dns_addresses::{self, Address, AddressId},
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

/// What a router has told of an address that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Useless {
    /// The address.
    pub address: AddressId,
    /// The family that was told.
    pub family: Family,
    /// Who told what, why it cannot be used, and what to do.
    pub why: String,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Changed {
    /// The addresses that are another one now, with the family.
    pub families: HashSet<(AddressId, Family)>,
    /// The jobs of their records, which were wanted.
    pub wanted: Vec<Wanted>,
    /// The tenants of whom it was told that an address began to fail, or fails no more.
    pub turned: BTreeSet<TenantId>,
}

impl Changed {
    /// Whether what was told was news.
    #[must_use]
    pub fn has(&self, told: &Told) -> bool {
        self.families.contains(&(told.address, told.family()))
    }
}

/// Writes what routers have told, and wants the jobs of the records of each address that has changed, in the lane interactive. Of several
/// words about one family of an address the last one counts; those before it were news, if it is another one. A family that no source is
/// asked for fails by a `useless` word, and no more by a good one; of one that has both at once the good one counts.
///
/// To be called in a transaction. Addresses that fail or are about to are held in their order, then families are locked in theirs, then
/// jobs. A family that the address is not kept in is left out.
pub async fn tell(
    conn: &mut PgConnection,
    told: &[Told],
    useless: &[Useless],
) -> Result<Changed, sqlx::Error> {
    let mut words = Words::default();
    let mut superseded = HashSet::new();
    for one in useless {
        words.0.insert((one.address, one.family), Word::Useless(one));
    }
    for one in told {
        let key = (one.address, one.family());
        if let Some(Word::Good(before)) = words.0.insert(key, Word::Good(one))
            && before.ip != one.ip
        {
            superseded.insert(key);
        }
    }
    if words.0.is_empty() {
        return Ok(Changed::default());
    }
    let before = hold_failing(conn, &words).await?;
    let mut changed = Changed::default();
    let mut moved = Vec::new();
    for (key, is_another) in write(conn, &words, &before).await? {
        if is_another {
            moved.push(key.0);
        }
        if is_another || superseded.contains(&key) {
            changed.families.insert(key);
        }
    }
    for address in &before {
        if dns_addresses::tell_turn(conn, address, None).await? > 0 {
            changed.turned.insert(address.tenant);
        }
    }
    if !moved.is_empty() {
        let jobs = dns_addresses::records_of(conn, &moved).await?;
        changed.wanted = job_state::want(conn, &jobs, None, Some(Lane::Interactive)).await?;
    }
    Ok(changed)
}

enum Word<'a> {
    Good(&'a Told),
    Useless(&'a Useless),
}

/// The words that count.
#[derive(Default)]
struct Words<'a>(BTreeMap<(AddressId, Family), Word<'a>>);

impl Words<'_> {
    fn addresses(&self) -> Vec<AddressId> {
        self.0.keys().map(|(address, _)| *address).collect()
    }

    fn of_useless(&self) -> Vec<AddressId> {
        let useless = self.0.iter().filter(|(_, word)| matches!(word, Word::Useless(_)));
        useless.map(|((address, _), _)| *address).collect()
    }
}

/// Holds the addresses that fail by a router's word, or are about to, so that each turn is told once. How they stand before it.
async fn hold_failing(conn: &mut PgConnection, words: &Words<'_>) -> Result<Vec<Address>, sqlx::Error> {
    let held = sqlx::query_scalar!(
        "-- dns_hosts::tell (1)
        select a.id
        from dns_addresses a
        where a.id = any($1) and (
            a.id = any($2)
            or exists (
                select from dns_address_families f
                where f.address_id = a.id and f.source is null and f.failing_since is not null
            )
        )
        order by a.id
        for no key update of a",
        &words.addresses(),
        &words.of_useless(),
    )
    .fetch_all(&mut *conn)
    .await?;
    if held.is_empty() { Ok(Vec::new()) } else { dns_addresses::of(conn, &held).await }
}

/// Writes the words. Which families were written, and whether each is another address now.
///
/// Whether a family fails is written of the addresses in `held` alone: of one that began to fail in between the next word counts.
async fn write(
    conn: &mut PgConnection,
    words: &Words<'_>,
    held: &[Address],
) -> Result<Vec<((AddressId, Family), bool)>, sqlx::Error> {
    let families: Vec<Family> = words.0.keys().map(|(_, family)| *family).collect();
    let columns = |word: &Word<'_>| match word {
        Word::Good(told) => (Some(told.ip.to_string()), Some(told.by.clone()), None),
        Word::Useless(useless) => (None, None, Some(useless.why.clone())),
    };
    let (ips, by, whys): (Vec<_>, Vec<_>, Vec<_>) = words.0.values().map(columns).collect();
    let held: Vec<AddressId> = held.iter().map(|address| address.id).collect();
    let rows = sqlx::query!(
        r#"-- dns_hosts::tell (2)
        with told as (
            select address_id, family, ip::inet as ip, told_by, why
            from unnest($1::bigint[], $2::address_family[], $3::text[], $4::text[], $5::text[])
                as t (address_id, family, ip, told_by, why)
        ), locked as (
            select f.address_id, f.family, t.ip, t.told_by, t.why,
                t.ip is not null and f.address is distinct from t.ip as changed,
                f.source is null and f.address_id = any($6) as turns
            from dns_address_families f join told t using (address_id, family)
            order by f.address_id, f.family
            for update of f
        )
        update dns_address_families f set
            address = coalesce(l.ip, f.address),
            since = case when l.changed then clock() else f.since end,
            told_at = case when l.ip is not null then clock() else f.told_at end,
            told_by = coalesce(l.told_by, f.told_by),
            failing_since = case
                when not l.turns then f.failing_since
                when l.why is not null then coalesce(f.failing_since, clock())
            end,
            failing_why = case when l.turns then l.why else f.failing_why end
        from locked l
        where f.address_id = l.address_id and f.family = l.family
        returning f.address_id, f.family as "family: Family", l.changed as "changed!""#,
        &words.addresses(),
        &families as &[Family],
        &ips as &[Option<String>],
        &by as &[Option<String>],
        &whys as &[Option<String>],
        &held,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.address_id, row.family), row.changed)).collect())
}
