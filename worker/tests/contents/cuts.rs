//! Ranges, cut connections, revisions that change, checksums that do not fit.

use loadtest::fake_google::{Api, Content, FaultBody, FaultKind, FaultRule, FileDraft};
use shared::{job::Verdict, objects::PART, store::PgPool};

use crate::mirror::Contents;

/// Longer than a part.
const LONG: u64 = PART as u64 * 3 / 2;

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_49_contents_are_stored_whole_and_equal_ones_once(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::new(db).await?;
    let long = contents.put_drawn("long", 1, LONG)?;
    let same = contents.put_drawn("the same", 1, LONG)?;
    let empty = contents.put_drawn("empty", 1, 0)?;
    let mut small = Vec::new();
    for n in 0..50 {
        small.push(contents.put(FileDraft::text(&format!("small {n}"), &format!("text {}", n / 2)))?);
    }
    let steps = contents.pass().await?;
    assert!(steps < 10, "small files do not cost a step each: {steps}");
    for file in small.iter().chain([&long, &same, &empty]) {
        contents.assert_stored(file).await?;
    }
    assert_eq!((contents.object_rows().await?, contents.files_in("staging")?), (27, 0));
    let calls = contents.rig.fake.stats().requests[&Api::Media]["200"];
    assert_eq!(contents.pass().await?, 1, "a quiet pass is one step");
    assert_eq!(contents.rig.fake.stats().requests[&Api::Media]["200"], calls, "and asks for nothing");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_49_a_connection_that_is_cut_goes_on_where_it_was(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::new(db).await?;
    let file = contents.put_drawn("long", 2, LONG)?;
    contents.rig.fake.add_fault(FaultRule::new(FaultKind::Truncated).on(Api::Media).times(1))?;
    contents.mirror_and_step().await?;
    let row = contents.row(&file).await?;
    assert!(row.state == "pending" && row.received > 0, "{row:?}");
    assert_eq!(contents.bytes(&file).await?, None, "half a file is not served");
    contents.insist(&file).await?;
    contents.assert_stored(&file).await?;
    let from = contents.rig.fake.stats().media[&file].from.clone();
    assert_eq!(from, [0, u64::try_from(row.received)?]);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_49_odd_answers_to_a_range(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::new(db).await?;
    for (seed, odd) in [
        (3, FaultKind::IgnoredRange),
        (4, FaultKind::NotSatisfiable),
        (5, FaultKind::WrongRange),
        (6, FaultKind::Reset),
    ] {
        let file = contents.put_drawn("long", seed, LONG)?;
        contents.rig.fake.add_fault(FaultRule::new(FaultKind::Truncated).on(Api::Media).times(1))?;
        contents.mirror_and_step().await?;
        assert!(contents.row(&file).await?.received > 0, "{odd:?}");
        contents.rig.fake.add_fault(FaultRule::new(odd.clone()).on(Api::Media).times(1))?;
        contents.insist(&file).await?;
        contents.assert_stored(&file).await?;
    }
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_49_another_revision_between_two_parts(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::new(db).await?;
    let file = contents.put_drawn("long", 7, LONG)?;
    contents.rig.fake.add_fault(FaultRule::new(FaultKind::Truncated).on(Api::Media).times(1))?;
    contents.mirror_and_step().await?;
    contents.rig.fake.world().edit_file(&file, None, Some(Content::Drawn { seed: 8, length: LONG }))?;
    contents.hurry().await?;
    let step = contents.rig.step(contents.job).await?;
    let log = contents.rig.job_of("drive_changes").await?;
    assert_eq!(step.wanted, [log], "the log is looked at");
    let row = contents.row(&file).await?;
    assert_eq!((row.received, row.why.as_deref()), (0, Some("the file has another revision by now")));
    contents.mirror().await?;
    contents.insist(&file).await?;
    contents.assert_stored(&file).await?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_49_a_wrong_checksum_is_never_served(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::new(db).await?;
    let file = contents.put(FileDraft::text("a", "first"))?;
    contents.pass().await?;
    contents.rig.fake.world().edit_file(&file, None, Some(Content::Text("second".to_owned())))?;
    contents.rig.fake.add_fault(FaultRule::new(FaultKind::Corrupt).on(Api::Media).times(2))?;
    contents.mirror_and_step().await?;
    assert_eq!(
        contents.bytes(&file).await?.as_deref(),
        Some(&b"first"[..]),
        "the old one is served until the switch"
    );
    assert_eq!(
        contents.state(&file).await?.1.as_deref(),
        Some("its checksum is not the one that Google tells")
    );
    contents.insist(&file).await?;
    contents.assert_stored(&file).await?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_49_a_size_beyond_5_gib_is_a_number(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::new(db).await?;
    let six = serde_json::json!({"size": "6442450944"});
    let extra = six.as_object().cloned().map(Box::new);
    let file = contents.put(FileDraft { extra, ..FileDraft::text("large", "less than it says") })?;
    contents.mirror_and_step().await?;
    let wanted: i64 =
        sqlx::query_scalar("select wanted_size from file_contents").fetch_one(&contents.rig.db).await?;
    assert_eq!(wanted, 6 << 30);
    let (state, why) = contents.state(&file).await?;
    assert_eq!((state.as_str(), why.as_deref()), ("pending", Some("it ended after 17 of 6442450944 bytes")));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_52_what_explains_an_error_is_never_content(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::new(db).await?;
    let file = contents.put(FileDraft::text("a", "content"))?;
    let status = |status, body| FaultKind::Status { status, reason: None, retry_after_s: None, body };
    for fault in [
        status(500, FaultBody::Json),
        status(503, FaultBody::Html),
        status(403, FaultBody::Html),
        status(200, FaultBody::Html),
        status(200, FaultBody::Empty),
        FaultKind::Cut,
        FaultKind::Reset,
    ] {
        contents.rig.fake.add_fault(FaultRule::new(fault.clone()).on(Api::Media).times(1))?;
        contents.hurry().await?;
        contents.mirror_and_step().await?;
        assert_eq!(contents.bytes(&file).await?, None, "{fault:?}");
        assert_eq!((contents.object_rows().await?, contents.files_in("objects")?), (0, 0), "{fault:?}");
    }
    contents.insist(&file).await?;
    contents.assert_stored(&file).await?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_google_in_trouble_costs_a_few_calls_and_not_one_for_each_file(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::new(db).await?;
    for n in 0..40 {
        contents.put(FileDraft::text(&format!("{n}"), &format!("text {n}")))?;
    }
    let down = FaultKind::Status { status: 503, reason: None, retry_after_s: None, body: FaultBody::Html };
    contents.rig.fake.add_fault(FaultRule::new(down).on(Api::Media))?;
    let step = contents.mirror_and_step().await?;
    assert!(matches!(step.verdict, Verdict::Retry { .. }), "{step:?}");
    assert!(contents.rig.fake.stats().requests[&Api::Media]["503"] < 12);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_token_that_ends_and_a_limit_that_is_hit(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::new(db).await?;
    let file = contents.put(FileDraft::text("a", "content"))?;
    contents.mirror().await?;
    contents.rig.fake.add_fault(FaultRule::new(FaultKind::InvalidGrant).on(Api::Media).times(1))?;
    let slow = FaultKind::Status {
        status: 403,
        reason: Some("userRateLimitExceeded".to_owned()),
        retry_after_s: None,
        body: FaultBody::Json,
    };
    contents.rig.fake.add_fault(FaultRule::new(slow).on(Api::Media).times(1))?;
    contents.rig.want(contents.job).await?;
    let step = contents.rig.step(contents.job).await?;
    assert!(matches!(step.verdict, Verdict::Throttled { .. }), "{step:?}");
    assert_eq!(contents.state(&file).await?, ("pending".to_owned(), None), "the file is not to blame");
    contents.rig.complete(contents.job).await?;
    contents.assert_stored(&file).await?;
    Ok(())
}
