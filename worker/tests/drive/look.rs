//! Folders that come with what is in them, of which the log tells nothing.

use loadtest::fake_google::{Api, FaultBody, FaultKind, FaultRule, FileDraft, PermissionRole, World};
use shared::{
    job::{JobId, Verdict},
    store::PgPool,
};

use crate::{
    drives::{BEN, Drives},
    rig::ANNA,
};

/// My Drive and a shared drive, both with something in them.
fn fill(world: &mut World) -> anyhow::Result<()> {
    world.add_drive(ANNA, Some("team"), "Team")?;
    for n in 0..4 {
        world.put_file(ANNA, FileDraft::text("of the team", "1").with_id(&format!("m{n}")).within("team"))?;
    }
    world.put_file(ANNA, FileDraft::text("file", "1").with_id("file"))?;
    Ok(())
}

/// The shared drive is mirrored, and its sweep is long over. Answers its job, too.
async fn with_team(db: PgPool, page_size: usize) -> anyhow::Result<(Drives, JobId)> {
    let drives = Drives::mirrored(db, page_size, fill).await?;
    drives.swept_long_ago().await?;
    assert_eq!((drives.sweeps(), drives.looks()), (2, 0));
    let team = drives.job(Some("team")).await?;
    Ok((drives, team))
}

/// In My Drive: `box/in`, `box/inner/deep`, `box/inner/empty`, and `box/gone` in the trash.
fn make_box(world: &mut World) -> anyhow::Result<()> {
    world.put_file(ANNA, FileDraft::folder("box").with_id("box"))?;
    world.put_file(ANNA, FileDraft::text("in", "1").with_id("in").within("box"))?;
    world.put_file(ANNA, FileDraft::folder("inner").with_id("inner").within("box"))?;
    world.put_file(ANNA, FileDraft::text("deep", "1").with_id("deep").within("inner"))?;
    world.put_file(ANNA, FileDraft::folder("empty").with_id("empty").within("inner"))?;
    world.put_file(ANNA, FileDraft::text("gone", "1").with_id("gone").within("box"))?;
    world.trash_file("gone")
}

/// So many files in a folder of My Drive.
fn make_large(world: &mut World, files: usize) -> anyhow::Result<()> {
    world.put_file(ANNA, FileDraft::folder("large").with_id("large"))?;
    for n in 0..files {
        world.put_file(ANNA, FileDraft::document(&format!("file {n}")).within("large"))?;
    }
    Ok(())
}

/// A folder of My Drive with one file in it.
fn make_slim(world: &mut World, id: &str) -> anyhow::Result<()> {
    world.put_file(ANNA, FileDraft::folder("slim").with_id(id))?;
    world.put_file(ANNA, FileDraft::text("in it", "1").with_id(&format!("in {id}")).within(id)).map(drop)
}

fn refusal(status: u16) -> FaultRule {
    FaultRule::new(FaultKind::Status { status, reason: None, retry_after_s: None, body: FaultBody::Json })
        .on(Api::Files)
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_42_a_new_folder_that_was_filled_elsewhere_comes_whole(db: PgPool) -> anyhow::Result<()> {
    let (drives, team) = with_team(db, 1000).await?;
    make_box(&mut drives.rig.fake.world())?;
    drives.rig.fake.world().move_file(ANNA, "box", Some("team"))?;
    drives.rig.again(team).await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.path("deep").await?, ("/box/inner/deep".to_owned(), true));
    // Of `box`, of `inner`, and of `empty`.
    assert_eq!((drives.sweeps(), drives.looks()), (2, 3));
    drives.sync().await?;
    drives.assert_mirrors().await?;
    assert_eq!((drives.sweeps(), drives.looks()), (2, 3), "it is known now");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_42_an_old_folder_that_comes_is_looked_into(db: PgPool) -> anyhow::Result<()> {
    let (drives, team) = with_team(db, 2).await?;
    make_box(&mut drives.rig.fake.world())?;
    drives.sync().await?;
    // What the mirror has in My Drive, a new file that it has not, and one that is in the trash since.
    {
        let mut world = drives.rig.fake.world();
        world.put_file(ANNA, FileDraft::text("new", "1").with_id("new").within("inner"))?;
        world.trash_file("in")?;
        world.move_file(ANNA, "box", Some("team"))?;
    }
    drives.rig.again(team).await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.row("new").await?.shared_drive.as_deref(), Some("team"));
    drives.rig.fake.world().move_file(ANNA, "box", None)?;
    drives.sync().await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.sweeps(), 2);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_new_empty_folder_costs_one_call(db: PgPool) -> anyhow::Result<()> {
    let (drives, team) = with_team(db, 1000).await?;
    for n in 0..3 {
        let folder = FileDraft::folder("new").with_id(&format!("new{n}")).within("team");
        drives.rig.fake.world().put_file(ANNA, folder)?;
        drives.rig.again(team).await?;
        assert_eq!(drives.looks(), n + 1);
    }
    // Many at once, too.
    for n in 0..40 {
        let folder = FileDraft::folder("many").with_id(&format!("many{n}")).within("team");
        drives.rig.fake.world().put_file(ANNA, folder)?;
    }
    drives.rig.again(team).await?;
    drives.assert_mirrors().await?;
    assert_eq!((drives.sweeps(), drives.looks()), (2, 4));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_folder_that_is_too_large_to_look_into_has_the_drive_swept(db: PgPool) -> anyhow::Result<()> {
    let (drives, team) = with_team(db, 2).await?;
    make_large(&mut drives.rig.fake.world(), 21)?;
    drives.rig.fake.world().move_file(ANNA, "large", Some("team"))?;
    drives.rig.again(team).await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.sweeps(), 3);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_folder_that_just_fits_is_looked_into(db: PgPool) -> anyhow::Result<()> {
    let (drives, team) = with_team(db, 2).await?;
    make_large(&mut drives.rig.fake.world(), 20)?;
    drives.rig.fake.world().move_file(ANNA, "large", Some("team"))?;
    drives.rig.again(team).await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.sweeps(), 2);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_look_that_is_refused_has_the_drive_swept(db: PgPool) -> anyhow::Result<()> {
    let (drives, team) = with_team(db, 1000).await?;
    let spoilt = |fault, times| FaultRule::new(fault).on(Api::Files).times(times);
    let rules = [
        refusal(400).times(1),
        refusal(404).times(1),
        spoilt(FaultKind::IncompleteSearch, 1),
        // Its second page is the first one again.
        spoilt(FaultKind::EmptyPage, 2),
    ];
    for (sweeps, rule) in (3..).zip(rules) {
        make_slim(&mut drives.rig.fake.world(), &format!("slim{sweeps}"))?;
        drives.rig.fake.world().move_file(ANNA, &format!("slim{sweeps}"), Some("team"))?;
        drives.rig.fake.add_fault(rule.clone())?;
        drives.rig.again(team).await?;
        drives.assert_mirrors().await?;
        assert_eq!(drives.sweeps(), sweeps, "{rule:?}");
        assert!(drives.rig.fake.faults().is_empty(), "{rule:?}");
        drives.swept_long_ago().await?;
    }
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_look_that_fails_in_passing_is_taken_again(db: PgPool) -> anyhow::Result<()> {
    let (drives, team) = with_team(db, 1000).await?;
    make_box(&mut drives.rig.fake.world())?;
    drives.rig.fake.world().move_file(ANNA, "box", Some("team"))?;
    drives.rig.fake.add_fault(refusal(503).times(1))?;
    drives.rig.want(team).await?;
    let step = drives.rig.step(team).await?;
    assert!(matches!(step.verdict, Verdict::Retry { .. }), "{step:?}");
    assert!(drives.row("box").await.is_err(), "nothing of the page is written yet");
    drives.rig.complete(team).await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.sweeps(), 2);
    // Again and again: the log goes on, and the drive is swept.
    drives.rig.fake.world().put_file(ANNA, FileDraft::folder("more").with_id("more").within("team"))?;
    drives.rig.fake.add_fault(refusal(503).times(4))?;
    drives.rig.want(team).await?;
    for _ in 0..4 {
        let step = drives.rig.step(team).await?;
        assert!(matches!(step.verdict, Verdict::Retry { .. }), "{step:?}");
    }
    drives.rig.complete(team).await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.sweeps(), 3);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_look_that_is_slowed_down_on_its_way_has_the_drive_swept(db: PgPool) -> anyhow::Result<()> {
    let (drives, team) = with_team(db, 1000).await?;
    let moves_in = |id: &str| {
        let mut world = drives.rig.fake.world();
        make_slim(&mut world, id)?;
        world.move_file(ANNA, id, Some("team"))
    };
    moves_in("slim")?;
    drives.rig.fake.add_fault(refusal(429).times(1))?;
    drives.rig.want(team).await?;
    let step = drives.rig.step(team).await?;
    assert!(matches!(step.verdict, Verdict::Throttled { .. }), "its first call waits: {step:?}");
    sqlx::query("delete from gates").execute(&drives.rig.db).await?;
    drives.rig.complete(team).await?;
    assert_eq!(drives.sweeps(), 2);
    drives.assert_mirrors().await?;

    moves_in("second")?;
    drives.rig.fake.add_fault(FaultRule::new(FaultKind::EmptyPage).on(Api::Files).times(1))?;
    drives.rig.fake.add_fault(refusal(429).times(1))?;
    drives.rig.want(team).await?;
    let step = drives.rig.step(team).await?;
    assert!(matches!(step.verdict, Verdict::Continue { .. }), "{step:?}");
    drives.rig.complete(team).await?;
    assert_eq!(drives.sweeps(), 3);
    drives.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_folder_that_google_forgets_beside_others_is_asked_for_alone(db: PgPool) -> anyhow::Result<()> {
    let (drives, team) = with_team(db, 1000).await?;
    {
        let mut world = drives.rig.fake.world();
        make_box(&mut world)?;
        make_large(&mut world, 3)?;
    }
    drives.sync().await?;
    for folder in ["box", "large"] {
        drives.rig.fake.world().move_file(ANNA, folder, Some("team"))?;
    }
    drives.rig.fake.add_fault(FaultRule::new(FaultKind::ForgottenFolder).times(1))?;
    drives.rig.again(team).await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.sweeps(), 2);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_went_from_a_folder_on_its_way_to_another_drive_does_not_stay(db: PgPool) -> anyhow::Result<()> {
    let (drives, team) = with_team(db, 1000).await?;
    make_box(&mut drives.rig.fake.world())?;
    drives.sync().await?;
    {
        let mut world = drives.rig.fake.world();
        world.move_file(ANNA, "box", Some("team"))?;
        // Told in the log of the shared drive, where the mirror does not know of it yet.
        world.delete_file("deep")?;
    }
    drives.rig.again(team).await?;
    assert!(drives.row("deep").await.is_ok(), "it may be anywhere");
    drives.rig.settle().await?;
    drives.assert_mirrors().await?;
    let team = &drives.rig.fake.stats().by_drive["anna@example.com/team"];
    assert_eq!((drives.sweeps(), team.full), (3, 1), "My Drive was swept");
    Ok(())
}

/// The shared drive is being swept: `m0` and `m1` were listed.
async fn half_swept(db: PgPool) -> anyhow::Result<(Drives, JobId)> {
    let (drives, team) = with_team(db, 2).await?;
    sqlx::query("update drives set sweep_at = clock() where not is_mine").execute(&drives.rig.db).await?;
    drives.rig.want(team).await?;
    drives.rig.step(team).await?;
    assert_eq!(drives.sweeps(), 3);
    Ok((drives, team))
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_42_a_folder_that_a_sweep_lists_without_what_came_with_it_is_looked_into(
    db: PgPool,
) -> anyhow::Result<()> {
    let (drives, team) = half_swept(db).await?;
    {
        let mut world = drives.rig.fake.world();
        world.put_file(ANNA, FileDraft::folder("folder").with_id("z"))?;
        world.put_file(ANNA, FileDraft::text("passed over", "1").with_id("a").within("z"))?;
        world.move_file(ANNA, "z", Some("team"))?;
    }
    drives.rig.complete(team).await?;
    drives.assert_mirrors().await?;
    assert_eq!((drives.sweeps(), drives.looks()), (3, 1));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_a_look_finds_during_a_sweep_outlives_it(db: PgPool) -> anyhow::Result<()> {
    let (drives, team) = half_swept(db).await?;
    {
        let mut world = drives.rig.fake.world();
        world.put_file(ANNA, FileDraft::folder("folder").with_id("b"))?;
        world.put_file(ANNA, FileDraft::text("passed over, too", "1").with_id("a").within("b"))?;
        world.move_file(ANNA, "b", Some("team"))?;
    }
    let read_long_ago = "update drives set read_at = clock() - interval '11 seconds'";
    sqlx::query(read_long_ago).execute(&drives.rig.db).await?;
    drives.rig.step(team).await?;
    assert_eq!((drives.row("a").await?.shared_drive.as_deref(), drives.looks()), (Some("team"), 1));
    drives.rig.complete(team).await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.sweeps(), 3);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_folder_that_goes_on_to_another_drive_meanwhile_is_not_taken_back(
    db: PgPool,
) -> anyhow::Result<()> {
    let (drives, team) = with_team(db, 1000).await?;
    let rig = &drives.rig;
    make_slim(&mut rig.fake.world(), "slim")?;
    rig.fake.world().move_file(ANNA, "slim", Some("team"))?;
    let mine = drives.job(None).await?;
    rig.want(team).await?;
    let run = rig.claim(team).await?;
    // It is answered at once, and slowly.
    rig.fake.add_fault(FaultRule::new(FaultKind::Drip { ms: 1 }).on(Api::Files).times(1))?;
    let (slow, fast) = tokio::join!(rig.uncommitted(&run), async {
        rig.until(|stats| stats.files.folders == 1).await?;
        rig.fake.world().move_file(ANNA, "slim", None)?;
        rig.again(mine).await
    });
    fast?;
    let Err(failure) = slow else { anyhow::bail!("the slow one wrote") };
    assert!(failure.to_string().contains("meanwhile"), "{failure}");
    assert_eq!(drives.row("in slim").await?.shared_drive, None);
    rig.reap().await?;
    drives.sync().await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.sweeps(), 2);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_folder_of_others_is_not_looked_into(db: PgPool) -> anyhow::Result<()> {
    let (drives, _) = with_team(db, 1000).await?;
    {
        let mut world = drives.rig.fake.world();
        world.put_file(BEN, FileDraft::folder("his").with_id("his"))?;
        world.put_file(BEN, FileDraft::text("in it", "1").with_id("his file").within("his"))?;
        world.share_file("his", ANNA, PermissionRole::Reader)?;
    }
    drives.sync().await?;
    drives.assert_mirrors().await?;
    assert_eq!((drives.sweeps(), drives.looks()), (3, 0));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_others_put_into_an_own_folder_comes_with_it(db: PgPool) -> anyhow::Result<()> {
    let (drives, _) = with_team(db, 1000).await?;
    {
        let mut world = drives.rig.fake.world();
        make_box(&mut world)?;
        world.share_file("box", BEN, PermissionRole::Writer)?;
        world.put_file(BEN, FileDraft::folder("his").with_id("his").within("box"))?;
        world.put_file(BEN, FileDraft::text("in it", "1").with_id("his file").within("his"))?;
    }
    drives.sync().await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.path("his file").await?, ("/box/his/in it".to_owned(), true));
    assert_eq!(drives.sweeps(), 2);
    Ok(())
}
