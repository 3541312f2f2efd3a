//! Contents in a bucket, which takes no short parts.

use anyhow::Context as _;
use loadtest::fake_google::{Api, FaultKind, FaultRule};
use shared::{config, store::PgPool};

use crate::mirror::Contents;

#[expect(clippy::disallowed_methods, reason = "the test's own settings come from its script")]
fn bucket() -> anyhow::Result<config::Objects> {
    let endpoint =
        std::env::var("SYNCFLEET_TEST_S3").context("SYNCFLEET_TEST_S3 is not set: use scripts/with-s3.sh")?;
    Ok(config::Objects {
        store: Some("s3://syncfleet-test/contents".to_owned()),
        endpoint: Some(endpoint),
        region: "us-east-1".to_owned(),
        access_key_id: Some("test".to_owned()),
        secret_access_key: Some("test".into()),
    })
}

/// Each call brings half of what is missing, the first ones less than a part.
#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
#[ignore = "scripts/with-s3.sh starts the service that it needs"]
async fn a_line_that_is_often_cut_gets_on(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::with(db, bucket()?.required()?).await?;
    let file = contents.put_drawn("long", 1, 8 << 20)?;
    contents.rig.fake.add_fault(FaultRule::new(FaultKind::Truncated).on(Api::Media).times(4))?;
    contents.mirror().await?;
    contents.rig.want(contents.job).await?;
    contents.insist(&file).await?;
    contents.assert_stored(&file).await?;
    let from = contents.rig.fake.stats().media[&file].from.clone();
    assert!(from.is_sorted() && from.last() > Some(&0), "what came does not come again: {from:?}");
    Ok(())
}
