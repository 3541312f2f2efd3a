//! Calendars, and events as Google gives them.

use serde_json::Value;
use shared::{
    calendar::{
        Window,
        occurrences::{Filter, Found, Occurrence, between},
    },
    google::calendar::EventItem,
    store::{PgPool, events, tenants},
};

/// A calendar of a new account, in a zone.
pub async fn calendar(db: &PgPool, zone: &str) -> events::Mirror {
    let mut conn = db.acquire().await.unwrap();
    let tenant = tenants::ensure(&mut conn, "acme").await.unwrap();
    let account: i64 = sqlx::query_scalar(
        "insert into accounts (tenant_id, provider, email)
         values ($1, 'google', 'a' || (select count(*) from accounts) || '@example.com') returning id",
    )
    .bind(tenant)
    .fetch_one(&mut *conn)
    .await
    .unwrap();
    second(db, account, zone).await
}

/// One more calendar of an account.
pub async fn second(db: &PgPool, account: i64, zone: &str) -> events::Mirror {
    let calendar: i64 = sqlx::query_scalar(
        "insert into calendars (account_id, google_id, summary, access_role, time_zone, raw, list_generation)
         values ($1, 'c' || (select count(*) from calendars), 'Work', 'owner', $2, '{}', 1) returning id",
    )
    .bind(account)
    .bind(zone)
    .fetch_one(db)
    .await
    .unwrap();
    events::Mirror { account, calendar }
}

/// Mirrors events.
pub async fn apply(db: &PgPool, mirror: events::Mirror, items: &[Value]) {
    let items: Vec<_> = items.iter().map(|item| EventItem::read(&item.to_string()).unwrap()).collect();
    events::apply(&mut db.acquire().await.unwrap(), mirror, 1, &items).await.unwrap();
}

/// What happens in a calendar between two moments.
pub async fn found(db: &PgPool, mirror: events::Mirror, from: &str, to: &str, limit: usize) -> Found {
    let window = Window { from: from.parse().unwrap(), to: to.parse().unwrap() };
    let filter = Filter { account: None, calendar: Some(mirror.calendar), window, limit };
    between(&mut db.acquire().await.unwrap(), &filter).await.unwrap()
}

/// `start end event`.
pub fn line(occurrence: &Occurrence) -> String {
    let json = serde_json::to_value(occurrence).unwrap();
    let text = |field: &str| json[field].as_str().unwrap().to_owned();
    format!("{} {} {}", text("start"), text("end"), text("event"))
}
