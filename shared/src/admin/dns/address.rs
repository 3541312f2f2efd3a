//! `dns address`: addresses that move, and who tells them.

mod change;
mod find;
mod list;

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

pub use self::{
    change::{Change, set},
    find::{Asked, find},
    list::{Address, AddressFamily, Filter, ls, show},
};
use super::{invalid, refused, source, within, word};
use crate::{
    admin::{Actor, AdminError, policy, remove::retried, tenant},
    dns::{
        FieldError,
        address::{Family, Rules, Source},
    },
    guard::Network,
    job::{Lane, Policy, TenantId},
    store::{
        audit,
        changes::{self, What},
        dns_addresses::{self, AddressId, KIND, NewAddress},
        job_state::{self, Wanted},
        jobs::{self, NewJob},
    },
};

/// How often sources are asked, unless it is said otherwise.
pub const EVERY: Duration = Duration::from_mins(5);

/// Who tells a family: a source, or only routers.
pub type Told = (Family, Option<Source>);

/// An address to be.
#[derive(Debug, Clone)]
pub struct New<'a> {
    /// Whose it is, by name.
    pub tenant: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its families, each with its source; none: only routers tell it.
    pub families: &'a [Told],
    /// How often sources are asked.
    pub every: Duration,
    /// Networks that it may lie in although they are not of the public internet.
    pub allowed: &'a [Network],
}

/// What adding, changing or removing came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Its number.
    pub id: AddressId,
    /// Its tenant.
    pub tenant: String,
    /// Its name.
    pub name: String,
    /// For the bell, after the commit.
    #[serde(skip)]
    pub bell: Vec<Wanted>,
}

/// Adds an address, with its job if a source is to be asked.
pub async fn add(db: &PgPool, actor: &Actor, policies: &[Policy], new: &New<'_>) -> Result<Done, AdminError> {
    if new.families.is_empty() {
        return Err(invalid("an address has a family: give --ipv4 SOURCE, --ipv6 SOURCE or both"));
    }
    for (family, source) in new.families {
        fits(*family, source.as_ref(), new.allowed)?;
    }
    let interval = interval(new.every)?;
    let mut tx = db.begin().await?;
    let tenant = tenant::find(&mut tx, new.tenant).await?;
    let row = NewAddress { tenant, name: new.name, interval, allowed: new.allowed };
    let id = match dns_addresses::insert(&mut tx, &row).await {
        Ok(Some(id)) => id,
        Ok(None) => {
            return Err(refused(format!("tenant {} has an address {} already", new.tenant, new.name)));
        }
        Err(sqlx::Error::Database(error)) if error.is_check_violation() => {
            return Err(invalid(format!(
                "{:?} is not an address's name: use 1 to 63 of a-z 0-9 . _ - and begin with a letter or digit",
                new.name
            )));
        }
        Err(error) => return Err(error.into()),
    };
    for (family, source) in new.families {
        dns_addresses::put_family(&mut tx, id, *family, source.as_ref()).await?;
    }
    let bell =
        keep_job(&mut tx, policies, id, tenant, new.families.iter().any(|(_, source)| source.is_some()))
            .await?;
    let detail = json!({
        "tenant": new.tenant, "families": told(new.families), "every_seconds": interval.as_secs(),
        "allowed": texts(new.allowed),
    });
    audit::write(&mut tx, actor.as_str(), "dns.address.add", new.name, &detail).await?;
    tx.commit().await?;
    Ok(Done { id, tenant: new.tenant.to_owned(), name: new.name.to_owned(), bell })
}

/// For the audit table.
fn told(families: &[Told]) -> Value {
    families.iter().map(|(family, teller)| (word(*family), json!(source::text(teller.as_ref())))).collect()
}

fn texts(networks: &[Network]) -> Vec<String> {
    networks.iter().map(ToString::to_string).collect()
}

/// Whether a source fits its family; one that is fixed also the rules.
fn fits(family: Family, source: Option<&Source>, allowed: &[Network]) -> Result<(), AdminError> {
    let Some(source) = source else { return Ok(()) };
    source.check(family).map_err(|error: FieldError| invalid(format!("{}: {error}", word(family))))?;
    if let Source::Fixed { address } = source {
        Rules::new(allowed.to_vec())
            .check(*address)
            .map_err(|error| invalid(format!("{}: {error}", word(family))))?;
    }
    Ok(())
}

fn interval(every: Duration) -> Result<Duration, AdminError> {
    within("every", every, Duration::from_mins(1), Duration::from_hours(24))
}

/// Makes and wants the address's job if a source is to be asked, else takes it away.
async fn keep_job(
    conn: &mut PgConnection,
    policies: &[Policy],
    id: AddressId,
    tenant: TenantId,
    has_source: bool,
) -> Result<Vec<Wanted>, AdminError> {
    if !has_source {
        jobs::remove(conn, KIND, &[id.to_string()]).await?;
        return Ok(Vec::new());
    }
    let job = NewJob { key: id.to_string(), tenant, account: None, first: None };
    let jobs = jobs::ensure(conn, policy(policies, KIND)?, &[job]).await?;
    job_state::release(conn, &jobs).await?;
    Ok(job_state::want(conn, &jobs, None, Some(Lane::Interactive)).await?)
}

/// An address that was named.
pub(super) struct Named {
    pub(super) id: AddressId,
    pub(super) tenant_id: TenantId,
    pub(super) tenant: String,
}

/// An address by its name, if there is exactly one such address. Nobody removes it before the transaction ends.
pub(super) async fn named(
    conn: &mut PgConnection,
    name: &str,
    of: Option<&str>,
) -> Result<Named, AdminError> {
    let tenant = match of {
        Some(name) => Some(tenant::find(conn, name).await?),
        None => None,
    };
    let mut found = sqlx::query_as!(
        Named,
        "-- admin::dns::address::named
        select a.id, a.tenant_id, t.name as tenant
        from dns_addresses a
        join tenants t on t.id = a.tenant_id
        where a.name = $1 and ($2::bigint is null or a.tenant_id = $2)
        order by t.name
        for key share of a",
        name,
        tenant,
    )
    .fetch_all(conn)
    .await?;
    if found.len() > 1 {
        let tenants: Vec<_> = found.iter().take(20).map(|one| one.tenant.as_str()).collect();
        return Err(refused(format!(
            "several tenants have an address {name}: say whose by --tenant, one of {}",
            tenants.join(", ")
        )));
    }
    found
        .pop()
        .ok_or_else(|| AdminError::not_found("address", name, "`syncfleet dns address ls` shows addresses"))
}

/// Removes an address that no record points at, with the names by which routers tell it.
pub async fn rm(db: &PgPool, actor: &Actor, name: &str, of: Option<&str>) -> Result<Done, AdminError> {
    retried(async || {
        let mut tx = db.begin().await?;
        let Named { id, tenant_id, tenant } = named(&mut tx, name, of).await?;
        // Whoever adds a record at the same time waits here, or is waited for; and a step that is about to commit.
        sqlx::query!("-- admin::dns::address::rm\nselect id from dns_addresses where id = $1 for update", id)
            .fetch_optional(&mut *tx)
            .await?;
        jobs::remove(&mut tx, KIND, &[id.to_string()]).await?;
        let hosts = pointing(&mut tx, id, None).await?;
        if !hosts.is_empty() {
            return Err(refused(format!(
                "records point at {name}: {}; remove them (`syncfleet dns rm`) or give them another address \
                 (`syncfleet dns set HOST --address NAME`)",
                hosts.join(", ")
            )));
        }
        changes::dns_address(&mut tx, id, What::Deleted, None).await?;
        dns_addresses::remove(&mut tx, id).await?;
        audit::write(&mut tx, actor.as_str(), "dns.address.rm", name, &json!({ "tenant": tenant })).await?;
        tx.commit().await?;
        changes::tell(db, tenant_id).await;
        Ok(Done { id, tenant, name: name.to_owned(), bell: Vec::new() })
    })
    .await
}

/// Some hosts of records that point at an address, in a family or at all.
async fn pointing(
    conn: &mut PgConnection,
    id: AddressId,
    family: Option<Family>,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- admin::dns::address::pointing
        select host
        from dns_records r
        where address_id = $1 and (
            $2::address_family is null
            or exists (select from dns_record_families f where f.record_id = r.id and f.family = $2)
        )
        order by id
        limit 10",
        id,
        family as Option<Family>,
    )
    .fetch_all(conn)
    .await
}
