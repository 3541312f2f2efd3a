//! `dns update --all-parked`: what is parked is served again, after a cause that many names had.

use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::{address, refused};
use crate::{
    admin::{Actor, AdminError, remove::retried, tenant},
    dns::{Park, REFUSED, address::Family},
    job::TenantId,
    store::{
        audit,
        dns_addresses::AddressId,
        dns_records::{self, KIND, RecordId},
        job_state::{self, Wanted},
        jobs,
    },
};

/// How many records are released in one transaction.
pub const BATCH: i64 = 500;

/// Which families that are parked; what is none does not matter.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Of this tenant only, by name.
    pub tenant: Option<String>,
    /// Following this address only, by name.
    pub address: Option<String>,
    /// For this reason only: a word of [`Park`], or [`REFUSED`].
    pub reason: Option<String>,
}

/// A family that is parked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParkedFamily {
    /// The record's number.
    pub id: RecordId,
    /// The name.
    pub host: String,
    /// Whose it is.
    pub tenant: String,
    /// Who holds it.
    pub provider: String,
    /// The family.
    pub family: Family,
    /// Why, in a word.
    pub parked: String,
    /// The same in the provider's words.
    pub parked_why: String,
}

/// All that a selection means, found once.
struct Found<'a> {
    tenant: Option<TenantId>,
    address: Option<AddressId>,
    reason: Option<&'a str>,
}

async fn find<'a>(conn: &mut PgConnection, selection: &'a Selection) -> Result<Found<'a>, AdminError> {
    let reason = selection.reason.as_deref();
    if let Some(word) = reason
        && word != REFUSED
        && !Park::ALL.iter().any(|park| park.word() == word)
    {
        let words: Vec<_> = Park::ALL.iter().map(|park| park.word()).chain([REFUSED]).collect();
        return Err(refused(format!("{word:?} is no reason to park: allowed are {}", words.join(", "))));
    }
    let tenant = match &selection.tenant {
        Some(name) => Some(tenant::find(&mut *conn, name).await?),
        None => None,
    };
    let address = match &selection.address {
        Some(name) => Some(address::named(conn, name, selection.tenant.as_deref()).await?.id),
        None => None,
    };
    Ok(Found { tenant, address, reason })
}

/// The families of a selection, by record; at most `limit`.
pub async fn ls(
    conn: &mut PgConnection,
    selection: &Selection,
    limit: i64,
) -> Result<Vec<ParkedFamily>, AdminError> {
    let Found { tenant, address, reason } = find(&mut *conn, selection).await?;
    let parked = sqlx::query_as!(
        ParkedFamily,
        r#"-- admin::dns::parked::ls
        select r.id, r.host, t.name as tenant, r.provider ->> 'provider' as "provider!", f.family as "family: Family",
            f.parked as "parked!", coalesce(f.parked_why, '') as "parked_why!"
        from dns_record_families f
        join dns_records r on r.id = f.record_id
        join tenants t on t.id = r.tenant_id
        where f.parked is not null and ($1::bigint is null or r.tenant_id = $1)
            and ($2::bigint is null or r.address_id = $2) and ($3::text is null or f.parked = $3)
        order by r.id, f.family
        limit $4"#,
        tenant,
        address,
        reason,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(parked)
}

/// How many records a selection has. Writes down that they are about to be served again.
pub async fn begin(db: &PgPool, actor: &Actor, selection: &Selection) -> Result<i64, AdminError> {
    let mut tx = db.begin().await?;
    let Found { tenant, address, reason } = find(&mut tx, selection).await?;
    let records = sqlx::query_scalar!(
        r#"-- admin::dns::parked::begin
        select count(distinct r.id) as "records!"
        from dns_record_families f
        join dns_records r on r.id = f.record_id
        where f.parked is not null and ($1::bigint is null or r.tenant_id = $1)
            and ($2::bigint is null or r.address_id = $2) and ($3::text is null or f.parked = $3)"#,
        tenant,
        address,
        reason,
    )
    .fetch_one(&mut *tx)
    .await?;
    if records > 0 {
        let Selection { tenant, address, reason } = selection;
        let detail = json!({ "records": records, "tenant": tenant, "address": address, "reason": reason });
        audit::write(&mut tx, actor.as_str(), "dns.update", "all that is parked", &detail).await?;
    }
    tx.commit().await?;
    Ok(records)
}

/// Serves the next [`BATCH`] records of a selection after a number again, each in the lane that it is in; what was sent and is not parked
/// is not sent again, and no minimum interval is shortened. The last one's number, and what was wanted; none: there are no more.
pub async fn batch(
    db: &PgPool,
    selection: &Selection,
    after: RecordId,
) -> Result<Option<(RecordId, Vec<Wanted>)>, AdminError> {
    retried(async || {
        let mut tx = db.begin().await?;
        let Found { tenant, address, reason } = find(&mut tx, selection).await?;
        let which = dns_records::Parked { tenant, address, reason };
        let records = dns_records::parked(&mut tx, &which, after, BATCH).await?;
        let Some(last) = records.last().copied() else { return Ok(None) };
        dns_records::release_parked(&mut tx, &records, reason).await?;
        let keys: Vec<String> = records.iter().map(ToString::to_string).collect();
        let jobs = jobs::of_keys(&mut tx, KIND, &keys).await?;
        job_state::release(&mut tx, &jobs).await?;
        job_state::begin_anew(&mut tx, &jobs).await?;
        let wanted = job_state::want(&mut tx, &jobs, None, None).await?;
        tx.commit().await?;
        Ok(Some((last, wanted)))
    })
    .await
}
