//! Changes of names that follow addresses: of a tenant's, and of none of its accounts.

use sqlx::PgConnection;

use super::What;

/// The most characters of a detail.
const DETAIL: usize = 300;

/// Tells what became of a record, in the transaction that changes it. `detail` is for people: why it fails (by [`What::turned`]
/// of "does any of its families fail"), or the address that was accepted; no secrets.
///
/// A deletion is told before the row goes: of a record that is not there nothing is told. As for all changes, whoever has
/// committed it outside of a step calls [`super::tell`]; a step's `changed` must not be 0.
pub async fn dns_record(
    conn: &mut PgConnection,
    record: i64,
    what: What,
    detail: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"-- changes::dns_record
        insert into changes (epoch, xid, at, tenant_id, resource, parent, key, what, detail)
        select feed_epoch_to_write(), pg_current_xact_id()::text::bigint, clock(), tenant_id, 'dns_record', id, host, $2, $3
        from dns_records
        where id = $1"#,
        record,
        what as What,
        detail.and_then(line),
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The same of an address: its sources fail, or tell it again.
pub async fn dns_address(
    conn: &mut PgConnection,
    address: i64,
    what: What,
    detail: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"-- changes::dns_address
        insert into changes (epoch, xid, at, tenant_id, resource, parent, key, what, detail)
        select feed_epoch_to_write(), pg_current_xact_id()::text::bigint, clock(), tenant_id, 'dns_address', id, name, $2, $3
        from dns_addresses
        where id = $1"#,
        address,
        what as What,
        detail.and_then(line),
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Short, and on one line; none: nothing is left of it.
fn line(text: &str) -> Option<String> {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(DETAIL).collect();
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_one_short_line_or_none() {
        assert_eq!(line(" badauth:\nno such\u{7} user\r\n"), Some("badauth: no such  user".to_owned()));
        assert_eq!(line(" \n"), None);
        assert_eq!(line(&"ä".repeat(DETAIL + 1)), Some("ä".repeat(DETAIL)));
    }

    #[test]
    fn a_state_is_told_when_it_turns() {
        let told: Vec<_> = [false, true, true, true, false, false, true]
            .windows(2)
            .filter_map(|states| What::turned(states[0], states[1]))
            .collect();
        assert_eq!(told, [What::Failing, What::Recovered, What::Failing]);
    }
}
