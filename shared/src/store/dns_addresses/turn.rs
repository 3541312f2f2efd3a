use sqlx::PgConnection;

use super::{Address, get};
use crate::store::changes::{self, What};

/// Tells those who listen for changes that an address began to fail, or that it fails no more: it fails while any of its families does,
/// by the word of its source or of a router. `before` is how it stood when this transaction began to hold it ([`super::hold`]); `ended`
/// says why nothing fails any more, if not because it is told again. Says how much there was to tell.
pub async fn tell_turn(
    conn: &mut PgConnection,
    before: &Address,
    ended: Option<&str>,
) -> Result<u32, sqlx::Error> {
    let Some(after) = get(&mut *conn, before.id).await? else { return Ok(0) };
    let is_failing = |address: &Address| address.families.iter().any(|family| family.failing_since.is_some());
    let Some(what) = What::turned(is_failing(before), is_failing(&after)) else { return Ok(0) };
    let failing: Vec<String> = after
        .families
        .iter()
        .filter_map(|family| Some(format!("{}: {}", family.family, family.failing_why.as_ref()?)))
        .collect();
    let why = failing.join("; ");
    let detail = if what == What::Failing { Some(why.as_str()) } else { ended };
    changes::dns_address(conn, before.id, what, detail).await?;
    Ok(1)
}
