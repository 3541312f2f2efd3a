use shared::store::{
    PgConnection,
    changes::{self, What},
    dns_records::{Record, RecordFamily},
};

/// Tells those who listen for changes what becomes of a record by this change of its families: what its provider has accepted, and
/// whether it began to fail or works again. A record fails while any of its families does. Says how much there was to tell.
pub(super) async fn tell_state(
    conn: &mut PgConnection,
    record: &Record,
    change: &[RecordFamily],
) -> Result<u32, sqlx::Error> {
    let after: Vec<&RecordFamily> =
        record.families.iter().map(|family| changed(change, family).unwrap_or(family)).collect();
    let accepted = record.families.iter().zip(&after).filter(|(before, after)| before.sent != after.sent);
    let accepted: Vec<_> =
        accepted.filter_map(|(_, after)| after.sent).map(|sent| sent.to_string()).collect();
    let was_failing = record.families.iter().any(|family| family.failing_since.is_some());
    let failing: Vec<_> = after.iter().filter(|family| family.failing_since.is_some()).collect();
    let mut told = 0;
    if !accepted.is_empty() {
        changes::dns_record(conn, record.id, What::Updated, Some(&accepted.join(", "))).await?;
        told += 1;
    }
    if let Some(turn) = What::turned(was_failing, !failing.is_empty()) {
        let host = record.host.as_str();
        let detail: Vec<String> = if turn == What::Failing {
            tracing::warn!(host, "the name does not follow");
            let why = |family: &&&RecordFamily| {
                format!("{}: {}", family.family, family.failing_why.as_deref().unwrap_or_default())
            };
            failing.iter().map(why).collect()
        } else {
            tracing::info!(host, "the name follows again");
            after.iter().filter_map(|family| family.sent).map(|sent| sent.to_string()).collect()
        };
        changes::dns_record(conn, record.id, turn, Some(&detail.join("; "))).await?;
        told += 1;
    }
    Ok(told)
}

fn changed<'a>(change: &'a [RecordFamily], family: &RecordFamily) -> Option<&'a RecordFamily> {
    change.iter().find(|changed| changed.family == family.family)
}
