//! `dns ls`, `dns show`, `dns history` and `dns providers`.

use chrono::{DateTime, Utc};
use shared::{
    admin::{
        self,
        dns::{
            history,
            providers::PROVIDERS,
            show::{self, Family, Filter, Record},
        },
        words,
    },
    store::dns_records::RecordId,
};

use super::Which;
use crate::{
    admin::{Access, limit, more},
    exit::Exit,
    output::{Output, json, line, or_dash, when, yes},
};

#[derive(Debug, clap::Args)]
pub struct Ls {
    /// Of this tenant only
    #[arg(long)]
    tenant: Option<String>,
    /// Following this address only
    #[arg(long, value_name = "NAME")]
    address: Option<String>,
    /// Only those that do not follow, or are parked
    #[arg(long)]
    failing: bool,
    /// Only those after this number
    #[arg(long, value_name = "ID", default_value_t = 0)]
    after: RecordId,
    /// At most so many
    #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
    limit: i64,
}

#[derive(Debug, clap::Args)]
pub struct History {
    #[command(flatten)]
    which: Which,
    /// At most so many
    #[arg(long, value_name = "N", default_value = "20", value_parser = limit)]
    limit: i64,
}

/// Lists records.
pub async fn ls(access: &Access, ls: &Ls, out: Output) -> anyhow::Result<Exit> {
    let db = access.open().await?;
    let filter = Filter {
        tenant: ls.tenant.clone(),
        address: ls.address.clone(),
        failing: ls.failing,
        after: ls.after,
        limit: ls.limit,
    };
    let records = show::ls(&mut *db.acquire().await?, &filter).await?;
    let columns = ["ID", "HOST", "TENANT", "PROVIDER", "ADDRESS", "SENT", "STATE", "WHY"];
    out.list(&records, "no records; `syncfleet dns add` adds one", &columns, |record| {
        let sent: Vec<_> = record
            .families
            .iter()
            .filter_map(|family| family.row.sent.map(|sent| sent.to_string()))
            .collect();
        vec![
            record.id.to_string(),
            record.host.clone(),
            record.tenant.clone(),
            record.provider.to_owned(),
            record.address.clone(),
            if sent.is_empty() { "-".to_owned() } else { sent.join(" ") },
            record.state.clone(),
            record.families.iter().find_map(why).cloned().unwrap_or_default(),
        ]
    })?;
    more(records.len(), ls.limit, records.last().map(|record| record.id))?;
    Ok(Exit::Done)
}

const fn why(family: &Family) -> Option<&String> {
    match &family.row.parked_why {
        Some(why) => Some(why),
        None => family.row.failing_why.as_ref(),
    }
}

/// Shows a record.
pub async fn show(access: &Access, which: &Which, out: Output) -> anyhow::Result<Exit> {
    let db = access.open().await?;
    let mut conn = db.acquire().await?;
    let record = show::show(&mut conn, &which.record, which.tenant.as_deref()).await?;
    if out.is_table() {
        let now = admin::now(&mut conn).await?;
        out.facts(&record, &facts(&record, now))?;
        line("")?;
        families(&record, now, out)?;
    } else {
        json(&record)?;
    }
    Ok(Exit::Done)
}

fn facts(record: &Record, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
    let span = |seconds: u64| words::span(i64::try_from(seconds).unwrap_or(i64::MAX));
    let settings: Vec<String> = record
        .settings
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{key}={text}")
        })
        .collect();
    let not_before = record.not_before.map(|at| {
        let why = record.not_before_why.as_deref().unwrap_or_default();
        format!("{} ({why})", words::when(at, now))
    });
    let verified = match (record.verify, record.verify_servers.is_empty()) {
        (false, _) => "no".to_owned(),
        (true, true) => "at the zone's servers".to_owned(),
        (true, false) => format!("at {}", record.verify_servers.join(", ")),
    };
    vec![
        ("host", record.host.clone()),
        ("id", record.id.to_string()),
        ("tenant", record.tenant.clone()),
        ("follows", record.address.clone()),
        ("provider", record.provider.to_owned()),
        ("settings", settings.join(" ")),
        ("ttl", record.ttl.map(|ttl| format!("{ttl} s")).unwrap_or_default()),
        ("at least between", span(record.min_interval_seconds)),
        ("again after", record.forced_interval_seconds.map(span).unwrap_or_default()),
        ("verified", verified),
        ("state", record.state.clone()),
        ("not before", not_before.unwrap_or_default()),
        ("job", or_dash(record.job.as_ref())),
        ("added", when(Some(record.created_at), now)),
    ]
}

fn families(record: &Record, now: DateTime<Utc>, out: Output) -> anyhow::Result<()> {
    let columns = ["FAMILY", "WANTED", "SENT", "AT", "SEEN", "TOOK", "STATE", "WHY"];
    out.list(&record.families, "kept in no family", &columns, |family| {
        let row = &family.row;
        let host_id = row.host_id.map(|id| format!(" ({id})")).unwrap_or_default();
        vec![
            row.family.to_string(),
            format!("{}{host_id}", or_dash(family.wanted.as_ref())),
            or_dash(row.sent.as_ref()),
            when(row.sent_at, now),
            when(row.verified_at, now),
            row.verify_ms.map_or_else(|| "-".to_owned(), took),
            family.state.clone(),
            why(family).cloned().unwrap_or_default(),
        ]
    })
}

/// A span of milliseconds.
fn took(ms: i64) -> String {
    if ms < 10_000 { format!("{ms} ms") } else { words::span(ms / 1_000) }
}

/// Lists what was done for a record.
pub async fn history(access: &Access, args: &History, out: Output) -> anyhow::Result<Exit> {
    let db = access.open().await?;
    let mut conn = db.acquire().await?;
    let which = (&args.which.record, args.which.tenant.as_deref());
    let entries = history::history(&mut conn, which.0, which.1, args.limit).await?;
    let now = admin::now(&mut conn).await?;
    let columns = ["WHEN", "FAMILY", "ADDRESS", "WHAT", "TOOK", "SAID"];
    out.list(&entries, "nothing was done yet", &columns, |entry| {
        vec![
            when(Some(entry.at), now),
            entry.family.to_string(),
            or_dash(entry.address.as_ref()),
            entry.what.clone(),
            entry.took_ms.map_or_else(|| "-".to_owned(), took),
            entry.said.clone(),
        ]
    })?;
    Ok(Exit::Done)
}

/// Lists providers.
pub fn providers(out: Output) -> anyhow::Result<Exit> {
    let columns = ["PROVIDER", "OF", "NEEDS", "TAKES", "SECRET", "AT LEAST", "TTL", "CHECKED"];
    out.list(&PROVIDERS, "no providers", &columns, |described| {
        vec![
            described.name.to_owned(),
            described.about.to_owned(),
            if described.needs.is_empty() { "-".to_owned() } else { described.needs.join(" ") },
            described.takes.join(" "),
            described.secret.to_owned(),
            words::span(i64::try_from(described.min_interval_seconds).unwrap_or(i64::MAX)),
            described.ttl.to_owned(),
            yes(described.can_be_read),
        ]
    })?;
    Ok(Exit::Done)
}
