//! Names that follow addresses: of a tenant, and of none of its accounts.

use serde_json::json;
use shared::store::{
    PgPool,
    changes::{self, Position, Resource, Subject, What},
};

use crate::fixture::{account, keys, read, until, write};

/// An address named `home`, and a name that is kept at it; their numbers.
async fn name(db: &PgPool, tenant: i64, host: &str) -> (i64, i64) {
    sqlx::query_as(
        "with home as (
            insert into dns_addresses (tenant_id, name, interval_seconds) values ($1, 'home', 300)
            on conflict (tenant_id, name) do update set name = excluded.name
            returning id, tenant_id
        )
        insert into dns_records (tenant_id, address_id, host, provider, min_interval_seconds)
        select tenant_id, id, $2, '{\"provider\": \"duckdns\"}', 300 from home
        returning address_id, id",
    )
    .bind(tenant)
    .bind(host)
    .fetch_one(db)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn they_are_told_without_an_account_beside_what_is_of_one(db: PgPool) {
    let (of, first) = account(&db, "acme").await;
    let (other, _) = account(&db, "other").await;
    let (address, record) = name(&db, of.tenant, "home.example.com").await;
    let mut conn = db.acquire().await.unwrap();
    write(&mut conn, first, &["event"]).await;
    changes::dns_record(&mut conn, record, What::Updated, Some(" 203.0.113.7\n")).await.unwrap();
    changes::dns_address(&mut conn, address, What::Failing, Some("no quorum")).await.unwrap();
    changes::dns_record(&mut conn, record, What::Deleted, None).await.unwrap();
    changes::dns_record(&mut conn, record + 1_000, What::Deleted, None).await.unwrap();
    drop(conn);

    let all = until(&db, &of, Position::START, 4).await;
    assert_eq!(keys(&all), ["event", "home.example.com", "home", "home.example.com"]);
    let told: Vec<_> = all
        .iter()
        .map(|entry| {
            let mut json = serde_json::to_value(entry).unwrap();
            json.as_object_mut().unwrap().retain(|name, _| name != "id" && name != "at");
            json
        })
        .collect();
    assert_eq!(
        told,
        [
            json!({"account": first, "resource": "event", "parent": 7, "key": "event", "what": "created"}),
            json!({"account": null, "resource": "dns_record", "parent": record, "key": "home.example.com",
                "what": "updated", "detail": "203.0.113.7"}),
            json!({"account": null, "resource": "dns_address", "parent": address, "key": "home",
                "what": "failing", "detail": "no quorum"}),
            json!({"account": null, "resource": "dns_record", "parent": record, "key": "home.example.com",
                "what": "deleted"}),
        ]
    );
    assert!(read(&db, &other, Position::START, 10).await.entries.is_empty());
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn filters_pass_over_them_and_find_them(db: PgPool) {
    let (of, first) = account(&db, "acme").await;
    let (address, record) = name(&db, of.tenant, "home.example.com").await;
    let mut conn = db.acquire().await.unwrap();
    write(&mut conn, first, &["event"]).await;
    for what in [What::Created, What::Failing, What::Updated, What::Recovered] {
        changes::dns_record(&mut conn, record, what, Some(what.as_str())).await.unwrap();
    }
    changes::dns_address(&mut conn, address, What::Failing, None).await.unwrap();
    drop(conn);
    let end = until(&db, &of, Position::START, 6).await[5].id;
    let only = |account, resources: &[Resource], whats: &[What]| Subject {
        account,
        resources: resources.to_vec(),
        whats: whats.to_vec(),
        ..of.clone()
    };
    let state = [What::Failing, What::Recovered];
    for (subject, found) in [
        (only(Some(first), &[], &[]), vec!["event created"]),
        (only(Some(first), &[Resource::DnsRecord], &[]), vec![]),
        (
            only(None, &[Resource::DnsRecord], &state),
            vec!["home.example.com failing", "home.example.com recovered"],
        ),
        (only(None, &[], &[What::Failing]), vec!["home.example.com failing", "home failing"]),
        (only(None, &[Resource::Event, Resource::DnsAddress], &[]), vec!["event created", "home failing"]),
        (only(None, &[], &[What::Created]), vec!["event created", "home.example.com created"]),
        (only(None, &[Resource::File], &state), vec![]),
    ] {
        let batch = read(&db, &subject, Position::START, 10).await;
        let told: Vec<_> =
            batch.entries.iter().map(|entry| format!("{} {}", entry.key, entry.what.as_str())).collect();
        assert_eq!(told, found, "{subject:?}");
        assert!(batch.upto >= end, "it has read to the end");
    }
}
