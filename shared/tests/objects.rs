//! The object store in a folder, and in a bucket where a service is named.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use anyhow::{Context, ensure};
use shared::{
    config,
    objects::{ObjectError, Objects, Upload},
};
use uuid::Uuid;

fn upload() -> Upload {
    Upload { key: Uuid::now_v7(), id: None, parts: Vec::new(), received: 0 }
}

/// Uploads a part, and notes it.
async fn part(objects: &Objects, upload: &mut Upload, bytes: Vec<u8>) -> anyhow::Result<()> {
    let length = bytes.len() as u64;
    upload.parts.push(objects.part(upload, bytes).await?);
    upload.received += length;
    Ok(())
}

fn files_in(folder: &Path) -> anyhow::Result<usize> {
    let mut files = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        files += if path.is_dir() { files_in(&path)? } else { 1 };
    }
    Ok(files)
}

/// What holds for any store.
async fn is_a_store(objects: &Objects) -> anyhow::Result<()> {
    objects.check().await?;
    let small = Uuid::now_v7();
    for bytes in [b"hello".to_vec(), Vec::new()] {
        objects.put(small, bytes.clone()).await?;
        ensure!(objects.read_all(small).await? == bytes);
    }
    objects.remove(small, None).await?;
    objects.remove(small, None).await.context("what is gone can be removed again")?;
    ensure!(objects.read_all(small).await.is_err());

    let mut large = upload();
    large.id = objects.begin(large.key).await?;
    let parts: Vec<Vec<u8>> = (0..3_u8).map(|n| vec![n; 5 << 20]).chain([b"end".to_vec()]).collect();
    for (place, bytes) in parts.iter().enumerate() {
        if place == 2 {
            // Somebody wrote this part, and died before it was noted.
            objects.part(&large, bytes.clone()).await?;
        }
        ensure!(objects.read_all(large.key).await.is_err(), "an object is there whole or not at all");
        part(objects, &mut large, bytes.clone()).await?;
    }
    objects.finish(&large).await?;
    ensure!(objects.read_all(large.key).await? == parts.concat());
    objects.finish(&large).await.context("finished twice")?;
    objects.remove(large.key, large.id.as_deref()).await?;
    Ok(())
}

/// An upload that was given up is lost. moto has an inner error for it, where S3 says `NoSuchUpload`.
async fn loses_what_was_given_up(objects: &Objects) -> anyhow::Result<()> {
    let mut given_up = upload();
    given_up.id = objects.begin(given_up.key).await?;
    part(objects, &mut given_up, vec![1; 5 << 20]).await?;
    objects.remove(given_up.key, given_up.id.as_deref()).await?;
    ensure!(
        objects.part(&given_up, b"more".to_vec()).await.is_err(),
        "an upload that was given up takes nothing"
    );
    let lost = objects.finish(&given_up).await;
    ensure!(matches!(lost, Err(ObjectError::Lost { .. })), "{lost:?}");
    Ok(())
}

#[tokio::test]
async fn a_folder_is_a_store_and_keeps_nothing_that_was_removed() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let objects = Objects::in_folder(folder.path())?;
    is_a_store(&objects).await?;
    loses_what_was_given_up(&objects).await?;
    ensure!(files_in(folder.path())? == 0);
    Ok(())
}

/// The umask is the process's: it is not changed here, but the usual one would leave more.
#[tokio::test]
async fn a_folder_is_its_owners_alone() -> anyhow::Result<()> {
    fn modes(folder: &Path, found: &mut Vec<(bool, u32)>) -> anyhow::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            found.push((path.is_dir(), fs::metadata(&path)?.permissions().mode() & 0o777));
            if path.is_dir() {
                modes(&path, found)?;
            }
        }
        Ok(())
    }
    let place = tempfile::tempdir()?;
    let objects = Objects::in_folder(&place.path().join("some/where"))?;
    objects.put(Uuid::now_v7(), b"hello".to_vec()).await?;
    let mut whole = upload();
    part(&objects, &mut whole, b"abc".to_vec()).await?;
    objects.finish(&whole).await?;
    part(&objects, &mut upload(), b"abc".to_vec()).await?;
    let mut found = Vec::new();
    modes(place.path(), &mut found)?;
    ensure!(found.iter().filter(|(is_folder, _)| !is_folder).count() == 3, "{found:?}");
    ensure!(
        found.iter().all(|(is_folder, mode)| *mode == if *is_folder { 0o700 } else { 0o600 }),
        "{found:?}"
    );
    Ok(())
}

#[tokio::test]
async fn what_nobody_answered_for_is_cut_off() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let objects = Objects::in_folder(folder.path())?;
    let mut upload = upload();
    part(&objects, &mut upload, b"abc".to_vec()).await?;
    objects.part(&upload, b"a part that was never noted".to_vec()).await?;
    objects.finish(&upload).await?;
    ensure!(objects.read_all(upload.key).await? == b"abc");
    Ok(())
}

#[tokio::test]
#[ignore = "scripts/with-s3.sh starts the service that it needs"]
async fn a_bucket_is_a_store() -> anyhow::Result<()> {
    is_a_store(&bucket()?.required()?).await
}

#[expect(clippy::disallowed_methods, reason = "the test's own settings come from its script")]
fn bucket() -> anyhow::Result<config::Objects> {
    let endpoint =
        std::env::var("SYNCFLEET_TEST_S3").context("SYNCFLEET_TEST_S3 is not set: use scripts/with-s3.sh")?;
    Ok(config::Objects {
        store: Some("s3://syncfleet-test/some/prefix".to_owned()),
        endpoint: Some(endpoint),
        region: "us-east-1".to_owned(),
        access_key_id: Some("test".to_owned()),
        secret_access_key: Some("test".into()),
    })
}
