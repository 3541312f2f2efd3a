//! What a step writes of its record. Each write counts, and one that read another count writes nothing.

use std::{net::IpAddr, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Record, RecordFamily, RecordId};
use crate::{dns::address::Family, store::seconds};

/// The record was written by somebody else since it was read, or may not be sent to yet: the step is stale.
#[derive(Debug, thiserror::Error)]
pub enum MovedError {
    /// Another step, or a person, was faster.
    #[error("DNS record {0} was written by another meanwhile")]
    Moved(RecordId),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<MovedError> for crate::job::Failure {
    fn from(error: MovedError) -> Self {
        Self::retry(error, None)
    }
}

/// Writes down what is about to be sent, before the call. From now on nothing is sent before the minimum interval is over, counted
/// from when the call will have ended at the latest: `call` is how long it may take. Says since when it is being sent.
pub async fn begin_sending(
    conn: &mut PgConnection,
    record: &Record,
    sending: &[IpAddr],
    call: Duration,
    why: &str,
) -> Result<DateTime<Utc>, MovedError> {
    let families: Vec<Family> = sending.iter().map(|address| Family::of(*address)).collect();
    let addresses: Vec<String> = sending.iter().map(ToString::to_string).collect();
    let begun = sqlx::query_scalar!(
        r#"-- dns_records::begin_sending
        with moved as (
            update dns_records set
                step = step + 1,
                not_before = clock() + make_interval(secs => min_interval_seconds) + make_interval(secs => $5),
                not_before_why = $6
            where id = $1 and step = $2 and not_before <= clock()
            returning id
        )
        update dns_record_families f set sending = s.address::inet, sending_since = clock()
        from moved, unnest($3::address_family[], $4::text[]) as s (family, address)
        where f.record_id = moved.id and f.family = s.family and f.parked is null
        returning f.sending_since as "sending_since!""#,
        record.id,
        record.step,
        &families as &[Family],
        &addresses,
        seconds(call),
        why,
    )
    .fetch_all(conn)
    .await?;
    match begun.first() {
        Some(since) if begun.len() == sending.len() => Ok(*since),
        _ => Err(MovedError::Moved(record.id)),
    }
}

/// Writes how these families stand now. `hold`: nothing is sent before this time is over, and why; none: as before.
pub async fn write(
    conn: &mut PgConnection,
    record: &Record,
    families: &[RecordFamily],
    hold: Option<(Duration, &str)>,
) -> Result<(), MovedError> {
    let moved = sqlx::query!(
        "-- dns_records::write (1)
        update dns_records set
            step = step + 1,
            not_before = coalesce(clock() + make_interval(secs => $3), not_before),
            not_before_why = coalesce($4, not_before_why)
        where id = $1 and step = $2",
        record.id,
        record.step,
        hold.map(|(time, _)| seconds(time)),
        hold.map(|(_, why)| why),
    )
    .execute(&mut *conn)
    .await?;
    if moved.rows_affected() != 1 {
        return Err(MovedError::Moved(record.id));
    }
    for family in families {
        write_family(conn, record.id, family).await?;
    }
    Ok(())
}

async fn write_family(
    conn: &mut PgConnection,
    record: RecordId,
    family: &RecordFamily,
) -> Result<(), sqlx::Error> {
    let text = |address: Option<IpAddr>| address.map(|address| address.to_string());
    sqlx::query!(
        "-- dns_records::write (2)
        update dns_record_families set
            sending = $3::text::inet, sending_since = $4, sent = $5::text::inet, sent_at = $6, verified_at = $7, verify_ms = $8,
            unverified_at = $9, no_changes = $10, refusals = $11, parked = $12, parked_why = $13, failing_since = $14,
            failing_why = $15, resend = $16
        where record_id = $1 and family = $2",
        record,
        family.family as Family,
        text(family.sending),
        family.sending_since,
        text(family.sent),
        family.sent_at,
        family.verified_at,
        family.verify_ms,
        family.unverified_at,
        family.no_changes,
        family.refusals,
        family.parked.as_deref(),
        family.parked_why.as_deref(),
        family.failing_since,
        family.failing_why.as_deref(),
        family.resend,
    )
    .execute(conn)
    .await
    .map(drop)
}
