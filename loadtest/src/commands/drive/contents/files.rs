//! The files that are fetched: drawn from a seed, and held by nobody.

use anyhow::Context;
use loadtest::fake_google::{Consent, Content, FileDraft, Operation};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::Deserialize;
use serde_json::Value;

use crate::stage::google::{self, Google};

/// The middle of the mixed files' sizes, and how far they spread: sizes of files are log-normal, with a long tail.
const MIDDLE: f64 = 131_072.0;
const SPREAD: f64 = 2.0;

const LEAST: f64 = 1024.0;
const MOST: f64 = 67_108_864.0;

/// Files in a folder of the fake's.
pub struct Files {
    pub folder: String,
    pub ids: Vec<String>,
    pub sizes: Vec<u64>,
}

impl Files {
    /// Bytes of all of them.
    pub fn bytes(&self) -> u64 {
        self.sizes.iter().sum()
    }
}

#[derive(Deserialize)]
struct Put {
    id: String,
}

/// So many files of mixed sizes.
pub async fn mixed(google: &Google, owner: &str, files: u32, seed: u64) -> anyhow::Result<Files> {
    let mut rng = StdRng::seed_from_u64(seed);
    let sizes = (0..files).map(|_| size(&mut rng)).collect();
    put(google, owner, "mixed", sizes).await
}

/// One large file.
pub async fn large(google: &Google, owner: &str, size: u64) -> anyhow::Result<Files> {
    put(google, owner, "large", vec![size]).await
}

/// A size by the normal distribution of its logarithm: <https://doi.org/10.1214/aoms/1177706645>.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two bounds")]
fn size(rng: &mut StdRng) -> u64 {
    let (radius, angle): (f64, f64) = (rng.random_range(f64::EPSILON..1.0), rng.random_range(0.0..1.0));
    let normal = (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos();
    (MIDDLE * (SPREAD * normal).exp()).clamp(LEAST, MOST) as u64
}

async fn put(google: &Google, owner: &str, name: &str, sizes: Vec<u64>) -> anyhow::Result<Files> {
    let consent = Consent::to(&["https://www.googleapis.com/auth/drive.readonly"]);
    google.apply::<Value>(&Operation::SetConsent { email: owner.to_owned(), consent }).await?;
    let file = async |file: FileDraft| {
        let put: Put = google.apply(&Operation::PutFile { owner: owner.to_owned(), file }).await?;
        anyhow::Ok(put.id)
    };
    let folder = file(FileDraft::folder(name)).await?;
    let mut ids = Vec::with_capacity(sizes.len());
    for (number, size) in sizes.iter().enumerate() {
        // No two are equal: equal content would be stored once.
        let content = Some(Content::Drawn { seed: size.wrapping_add(number as u64) << 20, length: *size });
        let draft = FileDraft {
            name: format!("{name} {number}"),
            mime_type: Some("application/octet-stream".to_owned()),
            parent: Some(folder.clone()),
            content,
            ..FileDraft::default()
        };
        ids.push(file(draft).await?);
    }
    Ok(Files { folder, ids, sizes })
}

/// Lists all files once: the fake makes their checksums when they are first listed.
pub async fn list(google: &Google, token: &str) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Page {
        next_page_token: Option<String>,
    }
    let client = google::client()?;
    let mut page_token: Option<String> = None;
    loop {
        let mut url = reqwest::Url::parse(&format!("{}/drive/v3/files", google.url))?;
        url.query_pairs_mut()
            .append_pair("pageSize", "100")
            .append_pair("corpora", "user")
            .append_pair("fields", "nextPageToken,files(md5Checksum)");
        if let Some(token) = &page_token {
            url.query_pairs_mut().append_pair("pageToken", token);
        }
        let answer = client.get(url).bearer_auth(token).send().await?.error_for_status()?;
        let page: Page = serde_json::from_slice(&answer.bytes().await?).context("a page is no list")?;
        page_token = page.next_page_token;
        if page_token.is_none() {
            return Ok(());
        }
    }
}
