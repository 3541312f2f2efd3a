//! Google's own documents, and what Google does not give.

use loadtest::fake_google::{
    Api, Consent, FOLDER, FaultBody, FaultKind, FaultRule, FileDraft, PermissionRole,
};
use serde_json::json;
use shared::{
    job::{Parked, Verdict},
    store::{PgPool, drive_mirrors},
};

use crate::{
    mirror::{Contents, whole},
    rig::ANNA,
};

fn native(kind: &str) -> FileDraft {
    let mime_type = Some(format!("application/vnd.google-apps.{kind}"));
    FileDraft { name: kind.to_owned(), mime_type, ..FileDraft::default() }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_50_documents_are_exported_as_chosen(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::new(db).await?;
    let document = contents.put(native("document"))?;
    let drawing = contents.put(native("drawing"))?;
    let exports = json!({"application/vnd.google-apps.drawing": "application/pdf"});
    let chosen = drive_mirrors::NewMirror { exports, ..whole() };
    drive_mirrors::put(&mut *contents.rig.db.acquire().await?, contents.account, &chosen).await?;
    contents.pass().await?;
    let row = contents.row(&document).await?;
    assert!(
        row.state == "stored"
            && row.format.is_some_and(|format| format.ends_with("wordprocessingml.document"))
    );
    assert_eq!(contents.row(&drawing).await?.format.as_deref(), Some("application/pdf"));
    let first = contents.bytes(&document).await?;
    assert!(String::from_utf8(first.clone().unwrap())?.starts_with("document as application/vnd.openxml"));
    contents.rig.fake.world().edit_file(&document, Some("renamed"), None)?;
    contents.pass().await?;
    assert_ne!(contents.bytes(&document).await?, first, "it is exported again when it changes");
    // Another format, another export.
    drive_mirrors::put(&mut *contents.rig.db.acquire().await?, contents.account, &whole()).await?;
    contents.pass().await?;
    assert_eq!(contents.row(&drawing).await?.format.as_deref(), Some("image/png"));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_50_a_document_that_is_too_large_waits_for_its_next_change(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::new(db).await?;
    let document = contents.put(FileDraft { export_length: Some(11 << 20), ..native("document") })?;
    contents.pass().await?;
    let refused = || ("refused".to_owned(), Some("exportSizeLimitExceeded".to_owned()));
    assert_eq!(contents.state(&document).await?, refused());
    let calls = || contents.rig.fake.stats().requests[&Api::Export].values().sum::<u64>();
    let before = calls();
    contents.pass().await?;
    assert_eq!(calls(), before, "it is not asked for again");
    contents.put(FileDraft { export_length: Some(9 << 20), ..native("document").with_id(&document) })?;
    contents.pass().await?;
    assert_eq!(contents.row(&document).await?.size, Some(9 << 20));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_50_what_has_no_content_is_said_and_not_asked_for(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::new(db).await?;
    let none = ("none".to_owned(), Some("no content".to_owned()));
    let mut files = Vec::new();
    for kind in ["form", "map", "site"] {
        files.push(contents.put(native(kind))?);
    }
    files.push(contents.put(FileDraft::shortcut("shortcut", "nothing"))?);
    let folder = contents.put(FileDraft::folder("folder"))?;
    assert_eq!(FOLDER, "application/vnd.google-apps.folder");
    contents.pass().await?;
    for file in &files {
        assert_eq!(contents.state(file).await?, none);
    }
    assert!(contents.row(&folder).await.is_err(), "a folder is no file");
    let stats = contents.rig.fake.stats();
    assert!(!stats.requests.contains_key(&Api::Media) && !stats.requests.contains_key(&Api::Export));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_51_what_google_does_not_give_is_a_state_of_the_content(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::new(db).await?;
    let good = contents.put(FileDraft::text("good", "good"))?;
    for reason in [
        "cannotDownloadAbusiveFile",
        "downloadQuotaExceeded",
        "fileNotDownloadable",
        "insufficientFilePermissions",
    ] {
        let file = contents.put(FileDraft::text(reason, reason))?;
        let fault = FaultKind::Status {
            status: 403,
            reason: Some(reason.to_owned()),
            retry_after_s: None,
            body: FaultBody::Json,
        };
        let rule =
            FaultRule { path_prefix: Some(format!("/drive/v3/files/{file}")), ..FaultRule::new(fault) };
        contents.rig.fake.add_fault(rule.on(Api::Media))?;
        contents.pass().await?;
        assert_eq!(contents.state(&file).await?, ("refused".to_owned(), Some(reason.to_owned())));
        let comes_again: bool =
            sqlx::query_scalar("select retry_at < 'infinity' from file_contents where file_id = $1")
                .bind(&file)
                .fetch_one(&contents.rig.db)
                .await?;
        let passing = ["downloadQuotaExceeded", "insufficientFilePermissions"].contains(&reason);
        assert_eq!(comes_again, passing, "{reason}");
        let mirrored: bool = sqlx::query_scalar("select exists (select from files where file_id = $1)")
            .bind(&file)
            .fetch_one(&contents.rig.db)
            .await?;
        assert!(mirrored, "the file itself stays mirrored");
    }
    contents.assert_stored(&good).await?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_51_without_the_right_to_download_nothing_is_asked_for(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::new(db).await?;
    let (closed, keyed) = {
        let mut world = contents.rig.fake.world();
        world.add_account("ben@example.com", "refresh-ben", None)?;
        let closed = FileDraft { no_download: true, ..FileDraft::text("closed", "closed") };
        let closed = world.put_file("ben@example.com", closed)?;
        let keyed =
            FileDraft { resource_key: Some("0-key".to_owned()), ..FileDraft::text("keyed", "by its link") };
        let keyed = world.put_file("ben@example.com", keyed)?;
        for file in [&closed, &keyed] {
            world.share_file(file, ANNA, PermissionRole::Reader)?;
        }
        (closed, keyed)
    };
    contents.pass().await?;
    assert_eq!(
        contents.state(&closed).await?,
        ("refused".to_owned(), Some("canDownload is false".to_owned()))
    );
    assert!(!contents.rig.fake.stats().media.contains_key(&closed));
    contents.assert_stored(&keyed).await?;
    contents.rig.fake.world().share_file(&closed, ANNA, PermissionRole::Writer)?;
    contents.pass().await?;
    contents.assert_stored(&closed).await?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_03_contents_without_their_scope_say_which_it_is(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::new(db).await?;
    contents.put(FileDraft::text("a", "a"))?;
    let metadata = "https://www.googleapis.com/auth/drive.metadata.readonly";
    contents.rig.fake.world().set_consent(ANNA, Consent::to(&[metadata]))?;
    let step = contents.mirror_and_step().await?;
    let Verdict::Park { parked: Parked::Scope, why } = &step.verdict else {
        panic!("{step:?}");
    };
    assert!(why.contains("drive.readonly, without which the contents of files cannot be read"), "{why}");
    Ok(())
}
