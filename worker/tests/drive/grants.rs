//! What an account has granted of Drive, and what it costs.

use loadtest::fake_google::{Consent, FileDraft, QuotaLimits};
use shared::{
    admin::{
        Actor,
        account::{self, New},
    },
    job::{Parked, Verdict},
    store::PgPool,
};
use worker::jobs::policies;

use crate::{
    drives::{BEN, Drives, SCOPE},
    rig::ANNA,
};

const CALENDAR: &str = "https://www.googleapis.com/auth/calendar.readonly";
const METADATA: &str = "https://www.googleapis.com/auth/drive.metadata.readonly";

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_03_an_account_without_drive_parks_that_job_and_the_rest_goes_on(
    db: PgPool,
) -> anyhow::Result<()> {
    let drives = Drives::new(db, 1000).await?;
    let rig = &drives.rig;
    rig.fake.world().set_consent(ANNA, Consent::to(&[CALENDAR]))?;
    rig.fake.world().add_calendar(ANNA, None, "Anna")?;
    let (verdict, _) = rig.pass(drives.list).await?;
    let Verdict::Park { parked, why } = verdict else { anyhow::bail!("{verdict:?}") };
    assert_eq!(parked, Parked::Scope);
    assert!(
        why.contains("drive.metadata.readonly, without which the files of Drive cannot be read"),
        "{why}"
    );
    let calendars = rig.list_job(drives.account).await?;
    rig.complete(calendars).await?;
    Ok(())
}

/// Signs Ben in, and tells which jobs he has.
async fn sign_in(drives: &Drives, scopes: &[&str]) -> anyhow::Result<(Vec<String>, Vec<&'static str>)> {
    let rig = &drives.rig;
    rig.fake.world().set_consent(BEN, Consent::to(scopes))?;
    let google = rig.context.google.as_ref().ok_or_else(|| anyhow::anyhow!("no client"))?;
    let token = "refresh-ben".into();
    let checked = google.check(&token).await?;
    let new = New {
        tenant: "acme",
        provider: "google",
        email: BEN,
        refresh_token: Some(&token),
        checked: Some(&checked),
    };
    let added = account::add(&rig.db, &Actor::new("test"), &rig.keys, &policies(), &new).await?;
    let kinds: Vec<String> = sqlx::query_scalar("select kind from jobs where account_id = $1 order by kind")
        .bind(added.account.id)
        .fetch_all(&rig.db)
        .await?;
    Ok((kinds, added.account.not_granted))
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_03_an_account_that_never_asked_for_drive_has_no_job_of_it(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::new(db, 1000).await?;
    drives.rig.fake.world().add_calendar(BEN, None, "Ben")?;
    let (kinds, not_granted) = sign_in(&drives, &[CALENDAR]).await?;
    assert_eq!(kinds, ["calendar_list", "google_channels"]);
    assert_eq!(not_granted, [""; 0], "and lacks nothing");
    let (kinds, not_granted) = sign_in(&drives, &[CALENDAR, METADATA]).await?;
    assert_eq!(kinds, ["calendar_list", "drive_list", "google_channels"], "it has signed in again");
    assert_eq!(not_granted, ["the list of shared drives", "the contents of files"]);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn without_the_list_of_shared_drives_my_drive_is_mirrored_all_the_same(
    db: PgPool,
) -> anyhow::Result<()> {
    let drives = Drives::new(db, 1000).await?;
    let rig = &drives.rig;
    {
        let mut world = rig.fake.world();
        world.set_consent(ANNA, Consent::to(&[METADATA]))?;
        world.put_file(ANNA, FileDraft::text("mine", "1"))?;
        world.add_drive(ANNA, Some("team"), "Team")?;
        world.put_file(ANNA, FileDraft::text("theirs", "1").within("team"))?;
    }
    rig.settle().await?;
    let rows = drives.rows().await?;
    assert_eq!((rows.len(), rows[0].name.as_str()), (1, "mine"));
    rig.fake.world().set_consent(ANNA, Consent::to(&[SCOPE]))?;
    rig.fake.world().expire_access_tokens(None)?;
    rig.again(drives.list).await?;
    rig.settle().await?;
    drives.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn calls_of_drive_are_paid_in_its_own_units(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::new(db, 1000).await?;
    let rig = &drives.rig;
    rig.fake.limit_drive(QuotaLimits::default());
    rig.settle().await?;
    // The top of My Drive and the log's place are read, drives, files and changes are listed.
    assert_eq!(rig.fake.drive_quota().most, 5 + 100 + 5 + 100 + 100);
    let (api, units): (String, i64) =
        sqlx::query_as("select api, today from quotas where account_id = 0 and api = 'drive'")
            .fetch_one(&rig.db)
            .await?;
    assert!(units >= 310, "{api}: {units}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn accounts_do_not_see_each_others_files(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 1000, |world| {
        world.put_file(ANNA, FileDraft::text("hers", "1").with_id("hers"))?;
        world.put_file(BEN, FileDraft::text("his", "1").with_id("his"))?;
        Ok(())
    })
    .await?;
    let rig = &drives.rig;
    let ben = rig.connect(BEN, "refresh-ben").await?;
    crate::drives::list_job(rig, ben).await?;
    rig.settle().await?;
    let seen: Vec<(String, String)> = sqlx::query_as(
        "select a.email, f.name from files f join accounts a on a.id = f.account_id order by 1",
    )
    .fetch_all(&rig.db)
    .await?;
    let pair = |email: &str, name: &str| (email.to_owned(), name.to_owned());
    assert_eq!(seen, [pair(ANNA, "hers"), pair(BEN, "his")]);
    Ok(())
}
