//! What the change feed tells of passes over the mirror.

use shared::store::PgPool;

use crate::rig::{ANNA, Rig, draft, series};

type Told = (String, String, String);

/// All changes so far, in the feed's order: resource, what, key.
async fn told(rig: &Rig) -> anyhow::Result<Vec<Told>> {
    Ok(sqlx::query_as("select resource::text, what::text, key from changes order by epoch, xid, id")
        .fetch_all(&rig.db)
        .await?)
}

/// What was told since.
async fn since(rig: &Rig, before: usize) -> anyhow::Result<Vec<Told>> {
    Ok(told(rig).await?.split_off(before))
}

fn event(what: &str, id: &str) -> Told {
    ("event".to_owned(), what.to_owned(), id.to_owned())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn only_what_changed_is_told(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 2).await?;
    let calendar: i64 = sqlx::query_scalar("select id from calendars").fetch_one(&rig.db).await?;
    let first = ("calendar".to_owned(), "created".to_owned(), calendar.to_string());
    assert_eq!(told(&rig).await?, [first]);

    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        ids.push(rig.fake.world().put_event(ANNA, draft(name)?)?);
    }
    rig.complete(job).await?;
    let mut created = since(&rig, 1).await?;
    created.sort();
    let mut expected: Vec<_> = ids.iter().map(|id| event("created", id)).collect();
    expected.sort();
    assert_eq!(created, expected);

    // A quiet pass, and a full pass that brings everything again.
    rig.again(job).await?;
    sqlx::query("update calendars set sync_token = null").execute(&rig.db).await?;
    rig.again(job).await?;
    assert!(since(&rig, 6).await?.is_empty());

    let mut changed = draft("a, changed")?;
    changed.id = Some(ids[0].clone());
    rig.fake.world().put_event(ANNA, changed)?;
    rig.fake.world().delete_event(ANNA, &ids[1])?;
    rig.again(job).await?;
    let mut news = since(&rig, 6).await?;
    news.sort();
    assert_eq!(news, [event("deleted", &ids[1]), event("updated", &ids[0])]);

    // Nobody has told of it but the next full pass.
    sqlx::query("update calendars set sync_token = null").execute(&rig.db).await?;
    rig.fake.world().delete_event(ANNA, &ids[2])?;
    rig.again(job).await?;
    assert_eq!(since(&rig, 8).await?, [event("deleted", &ids[2])]);
    rig.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_series_goes_with_its_exceptions_and_an_account_with_all_that_is_its(
    db: PgPool,
) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 100).await?;
    let master = rig.fake.world().put_event(ANNA, series("daily")?)?;
    let single = rig.fake.world().put_event(ANNA, draft("single")?)?;
    rig.complete(job).await?;
    let before = told(&rig).await?.len();
    rig.fake.world().delete_event(ANNA, &master)?;
    rig.again(job).await?;
    assert!(since(&rig, before).await?.contains(&event("deleted", &master)));

    let before = told(&rig).await?.len();
    let account: i64 = sqlx::query_scalar("select id from accounts").fetch_one(&rig.db).await?;
    let calendar: i64 = sqlx::query_scalar("select id from calendars").fetch_one(&rig.db).await?;
    shared::admin::account::rm(&rig.db, None, &shared::admin::Actor::new("test:ada"), account).await?;
    let gone = since(&rig, before).await?;
    assert!(gone.contains(&event("deleted", &single)), "{gone:?}");
    assert!(gone.contains(&("calendar".to_owned(), "deleted".to_owned(), calendar.to_string())), "{gone:?}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_step_that_loses_its_lease_tells_nothing(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 100).await?;
    rig.fake.world().put_event(ANNA, draft("a")?)?;
    let run = rig.claim(job).await?;
    let step = rig.uncommitted(&run).await?;
    drop(step);
    assert_eq!(told(&rig).await?.len(), 1, "only the calendar was told");
    rig.reap().await?;
    rig.complete(job).await?;
    assert_eq!(told(&rig).await?.len(), 2);
    Ok(())
}
