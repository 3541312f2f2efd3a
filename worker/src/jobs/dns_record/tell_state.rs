use shared::store::dns_records::{Record, RecordFamily};

/// Says how much there is to tell those who listen for changes of what became of a record by this change of its families.
pub(super) fn tell_state(record: &Record, change: &[RecordFamily]) -> u32 {
    let before = record.families.iter().any(|family| family.failing_since.is_some());
    let after = record.families.iter().any(|family| {
        let family = change.iter().find(|changed| changed.family == family.family).unwrap_or(family);
        family.failing_since.is_some()
    });
    let turned = before != after;
    if turned {
        let host = record.host.as_str();
        if after {
            tracing::warn!(host, "the name does not follow");
        } else {
            tracing::info!(host, "the name follows again");
        }
    }
    u32::from(turned)
}
