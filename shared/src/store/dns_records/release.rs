//! A person acts: what was parked is served again. What failed fails on until it is seen, but not for the old reason.

use sqlx::PgConnection;

use super::{RecordFamily, RecordId};
use crate::{job::TenantId, store::dns_addresses::AddressId};

/// Why a family fails that is served again, before the reason that it had.
const TRIED_AGAIN: &str = "being tried again; before that: ";

/// Why a family fails still that was accepted after it had failed.
pub const ACCEPTED: &str = "accepted, and not seen at the zone's servers yet";

impl RecordFamily {
    /// The family as it stands when a person has released it.
    #[must_use]
    pub fn released(&self) -> Self {
        let why = |why: &String| {
            if self.parked.is_some() { format!("{TRIED_AGAIN}{why}") } else { why.clone() }
        };
        Self {
            parked: None,
            parked_why: None,
            refusals: 0,
            failing_why: self.failing_why.as_ref().map(why),
            ..self.clone()
        }
    }
}

/// A person acts: what was parked is served again, and refusals are forgotten. `force`: what was sent is sent again, too. No
/// minimum interval is shortened by it. Says whether there is such a record; its job is to be released and wanted by the caller.
pub async fn release(conn: &mut PgConnection, id: RecordId, force: bool) -> Result<bool, sqlx::Error> {
    let found =
        sqlx::query!("-- dns_records::release (1)\nupdate dns_records set step = step + 1 where id = $1", id)
            .execute(&mut *conn)
            .await?;
    sqlx::query!(
        "-- dns_records::release (2)
        update dns_record_families set
            parked = null, parked_why = null, refusals = 0, resend = resend or $2,
            failing_why = case when parked is not null then $3 || failing_why else failing_why end
        where record_id = $1",
        id,
        force,
        TRIED_AGAIN,
    )
    .execute(conn)
    .await?;
    Ok(found.rows_affected() == 1)
}

/// Which families that are parked; what is none does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parked<'a> {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Following this address.
    pub address: Option<AddressId>,
    /// For this reason, in its word.
    pub reason: Option<&'a str>,
}

/// The next `limit` records after a number that have such families, held: nobody else changes them before the transaction ends.
pub async fn parked(
    conn: &mut PgConnection,
    which: &Parked<'_>,
    after: RecordId,
    limit: i64,
) -> Result<Vec<RecordId>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- dns_records::parked
        select r.id
        from dns_records r
        where r.id > $1 and ($2::bigint is null or r.tenant_id = $2) and ($3::bigint is null or r.address_id = $3)
            and exists (
                select from dns_record_families f
                where f.record_id = r.id and f.parked is not null and ($4::text is null or f.parked = $4)
            )
        order by r.id
        limit $5
        for no key update of r",
        after,
        which.tenant,
        which.address,
        which.reason,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Releases those families of records that are parked, for a reason or for any; nothing else of them is sent again. Their jobs are to be
/// released and wanted by the caller.
pub async fn release_parked(
    conn: &mut PgConnection,
    records: &[RecordId],
    reason: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- dns_records::release_parked (1)\nupdate dns_records set step = step + 1 where id = any($1)",
        records,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "-- dns_records::release_parked (2)
        update dns_record_families set
            parked = null, parked_why = null, refusals = 0, failing_why = $3 || failing_why
        where record_id = any($1) and parked is not null and ($2::text is null or parked = $2)",
        records,
        reason,
        TRIED_AGAIN,
    )
    .execute(conn)
    .await
    .map(drop)
}
