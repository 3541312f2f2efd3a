use std::time::Duration;

use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::{Done, Named, Told, fits, interval, keep_job, named, pointing, texts, told};
use crate::{
    admin::{
        Actor, AdminError,
        dns::{refused, word},
        remove::retried,
    },
    dns::address::Family,
    guard::Network,
    job::Policy,
    store::{
        audit, changes,
        dns_addresses::{self, Address},
    },
};

/// What is to change of an address; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Families that get a source, or another one; none: only routers tell it from now on.
    pub families: Vec<Told>,
    /// Families that it is to have no more.
    pub without: Vec<Family>,
    /// How often sources are asked.
    pub every: Option<Duration>,
    /// Networks that it may lie in although they are not of the public internet, in place of those before.
    pub allowed: Option<Vec<Network>>,
}

/// Changes an address, and has its sources asked at once. What is known of it stays until it is told anew. A source that failed and is
/// there no more fails no more; a family that fails by a router's word does so until one tells what can be used.
pub async fn set(
    db: &PgPool,
    actor: &Actor,
    policies: &[Policy],
    (name, of): (&str, Option<&str>),
    change: &Change,
) -> Result<Done, AdminError> {
    retried(async || {
        let mut tx = db.begin().await?;
        let Named { id, tenant_id, tenant } = named(&mut tx, name, of).await?;
        let before = dns_addresses::hold(&mut tx, id)
            .await?
            .ok_or_else(|| AdminError::not_found("address", name, ""))?;
        for family in &change.without {
            take_family(&mut tx, &before, *family).await?;
        }
        let after = families(&before, change)?;
        let allowed = change.allowed.as_ref().unwrap_or(&before.allowed);
        for (family, source) in &after {
            fits(*family, source.as_ref(), allowed)?;
        }
        for (family, source) in &change.families {
            dns_addresses::put_family(&mut tx, id, *family, source.as_ref()).await?;
        }
        let interval = interval(change.every.unwrap_or(before.interval))?;
        dns_addresses::set(&mut tx, id, interval, allowed).await?;
        if *allowed != before.allowed {
            dns_addresses::await_router(&mut tx, id).await?;
        }
        let has_source = after.iter().any(|(_, source)| source.is_some());
        let bell = keep_job(&mut tx, policies, id, tenant_id, has_source).await?;
        let without: Vec<_> = change.without.iter().map(|family| word(*family)).collect();
        let detail = json!({
            "tenant": tenant, "families": told(&change.families), "without": without,
            "every_seconds": change.every.map(|_| interval.as_secs()),
            "allowed": change.allowed.as_ref().map(|allowed| texts(allowed)),
        });
        audit::write(&mut tx, actor.as_str(), "dns.address.set", name, &detail).await?;
        let told = dns_addresses::tell_turn(&mut tx, &before, Some("what failed was taken away")).await?;
        tx.commit().await?;
        if told > 0 {
            changes::tell(db, tenant_id).await;
        }
        Ok(Done { id, tenant, name: name.to_owned(), bell })
    })
    .await
}

/// The families after the change, each with its source.
fn families(before: &Address, change: &Change) -> Result<Vec<Told>, AdminError> {
    let mut after = change.families.clone();
    for family in &before.families {
        if !after.iter().any(|(changed, _)| *changed == family.family)
            && !change.without.contains(&family.family)
        {
            after.push((family.family, family.source.clone()));
        }
    }
    if after.is_empty() {
        return Err(refused(format!(
            "{} would have no family left: `syncfleet dns address rm {}` removes it",
            before.name, before.name
        )));
    }
    Ok(after)
}

/// Takes a family away that no record is kept in.
async fn take_family(conn: &mut PgConnection, address: &Address, family: Family) -> Result<(), AdminError> {
    let hosts = pointing(conn, address.id, Some(family)).await?;
    if !hosts.is_empty() {
        return Err(refused(format!(
            "records are kept in {0}: {1}; `syncfleet dns set HOST --no-{0}` ends that",
            word(family),
            hosts.join(", "),
        )));
    }
    if dns_addresses::remove_family(conn, address.id, family).await? {
        return Ok(());
    }
    Err(refused(format!("{} has no {}", address.name, word(family))))
}
