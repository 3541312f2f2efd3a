//! Two workers at one file.

use loadtest::fake_google::FileDraft;
use shared::{
    objects::Sums,
    store::{
        PgPool,
        contents::{self, Outcome},
    },
};

use crate::mirror::Contents;

/// Two exports of one document differ: the one that comes last must not lie under the checksum of the other.
#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_50_an_export_that_comes_late_is_no_content(db: PgPool) -> anyhow::Result<()> {
    let mirror = Contents::new(db.clone()).await?;
    let document = mirror.put(FileDraft::document("letter"))?;
    mirror.mirror().await?;
    let mut conn = db.acquire().await?;
    contents::compare(&mut conn, mirror.account).await?;
    let stored = |bytes: &[u8]| {
        let mut sums = Sums::default();
        sums.update(bytes);
        Outcome::Stored { sha256: sums.finish().0, size: bytes.len() as u64 }
    };
    let first = contents::next(&mut conn, mirror.account, 10).await?.remove(0);
    let same = contents::next(&mut conn, mirror.account, 10).await?.remove(0);
    let late = contents::begin(&mut conn, &first).await?.unwrap();
    assert!(contents::begin(&mut conn, &same).await?.is_none(), "one of two that saw the same begins");

    let second = contents::next(&mut conn, mirror.account, 10).await?.remove(0);
    let heir = contents::begin(&mut conn, &second).await?.unwrap();
    assert_ne!(heir.key, late.key, "each attempt has a key of its own");
    mirror.objects.put(heir.key, b"the heir's".to_vec()).await?;
    assert!(contents::end(&mut conn, &second, heir.key, &stored(b"the heir's")).await?);
    mirror.objects.put(late.key, b"too late".to_vec()).await?;
    assert!(!contents::end(&mut conn, &first, late.key, &stored(b"too late")).await?);
    assert_eq!(mirror.bytes(&document).await?.as_deref(), Some(&b"the heir's"[..]));
    assert_eq!(mirror.object_rows().await?, 1);
    let removal: i64 = sqlx::query_scalar("select count(*) from object_removals where key = $1")
        .bind(late.key)
        .fetch_one(&db)
        .await?;
    assert_eq!(removal, 1, "what came late is named for removal");
    Ok(())
}
