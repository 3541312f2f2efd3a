//! Drive's rules.

use loadtest::fake_google::{Consent, Content, FileDraft, Options, PermissionRole, QuotaLimits, World};
use serde_json::{Value, json};

use crate::client::{ME, Setup, reason, refresh, setup};

const BOB: &str = "bob@example.com";
const SCOPE: &str = "https://www.googleapis.com/auth/drive.readonly";
const ALL: &str = "supportsAllDrives=true&includeItemsFromAllDrives=true";

async fn drive(page_size_cap: usize) -> Setup {
    let setup = setup(Options { page_size_cap, ..Options::default() }).await;
    setup.google.world().set_consent(ME, Consent::to(&[SCOPE])).unwrap();
    setup
}

/// Another account's token.
async fn bob(setup: &Setup) -> String {
    {
        let mut world = setup.google.world();
        world.add_account(BOB, "refresh-bob", None).unwrap();
        world.set_consent(BOB, Consent::to(&[SCOPE])).unwrap();
    }
    let (status, answer) = refresh(&setup.google, &setup.http, &[("refresh_token", "refresh-bob")]).await;
    assert_eq!(status, 200, "{answer}");
    answer["access_token"].as_str().unwrap().to_owned()
}

async fn get_as(setup: &Setup, token: &str, path: &str) -> (u16, Value) {
    let url = format!("{}{path}", setup.google.drive_url());
    let response = setup.http.get(url).bearer_auth(token).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn get(setup: &Setup, path: &str) -> (u16, Value) {
    get_as(setup, &setup.token, path).await
}

async fn ok(setup: &Setup, token: &str, path: &str) -> Value {
    let (status, answer) = get_as(setup, token, path).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

async fn start(setup: &Setup, token: &str, drive: Option<&str>) -> String {
    let of = drive.map_or_else(String::new, |drive| format!("driveId={drive}&"));
    let answer = ok(setup, token, &format!("changes/startPageToken?{of}supportsAllDrives=true")).await;
    answer["startPageToken"].as_str().unwrap().to_owned()
}

/// All entries of a log since a token.
async fn changes(setup: &Setup, token: &str, drive: Option<&str>, since: &str) -> Vec<Value> {
    let of = drive.map_or_else(String::new, |drive| format!("driveId={drive}&"));
    let (mut entries, mut place) = (Vec::new(), since.to_owned());
    loop {
        let path = format!("changes?{of}{ALL}&includeCorpusRemovals=true&fields=*&pageToken={place}");
        let page = ok(setup, token, &path).await;
        entries.extend(page["changes"].as_array().unwrap().clone());
        let next = page["nextPageToken"].as_str();
        assert_ne!(next.is_some(), page["newStartPageToken"].is_string(), "exactly one of the two: {page}");
        let Some(next) = next else { return entries };
        next.clone_into(&mut place);
    }
}

fn put(world: &mut World, draft: FileDraft) -> String {
    world.put_file(ME, draft).unwrap()
}

#[tokio::test]
async fn little_is_served_to_who_asks_for_no_fields() {
    let setup = drive(1000).await;
    let id = put(&mut setup.google.world(), FileDraft::text("notes", "hello"));
    let page = ok(&setup, &setup.token, "files").await;
    let few = json!({"kind": "drive#file", "id": id, "name": "notes", "mimeType": "text/plain"});
    assert_eq!(page["files"], json!([few]));
    let page =
        ok(&setup, &setup.token, "files?fields=files(size,md5Checksum,parents,capabilities/canDownload)")
            .await;
    let root = setup.google.world().root_folder(ME).unwrap();
    assert_eq!(
        page["files"][0],
        json!({
            "size": "5", "md5Checksum": "5d41402abc4b2a76b9719d911017c592", "parents": [root],
            "capabilities": {"canDownload": true},
        })
    );
    let (status, answer) = get(&setup, "files?fields=files(md5)").await;
    assert_eq!((status, reason(&answer)), (400, "invalidParameter"));
}

#[tokio::test]
async fn pages_go_by_tokens_that_fit_their_list() {
    let setup = drive(2).await;
    for n in 0..5 {
        put(&mut setup.google.world(), FileDraft::document(&format!("file {n}")));
    }
    let (mut path, mut seen) = ("files?pageSize=1000".to_owned(), 0);
    loop {
        let page = ok(&setup, &setup.token, &path).await;
        seen += page["files"].as_array().unwrap().len();
        let Some(token) = page["nextPageToken"].as_str() else { break };
        path = format!("files?pageSize=1000&pageToken={token}");
    }
    assert_eq!(seen, 5);
    let other = path.replace("files?", "files?corpora=user&");
    for (path, what) in [
        (other.as_str(), "invalid"),
        ("files?pageToken=1234", "invalid"),
        ("files?pageSize=1001", "invalid"),
        ("files?q=trashed=false", "invalid"),
        ("files?corpora=drive", "invalid"),
        ("files?corpora=allDrives", "invalid"),
        ("files?includeItemsFromAllDrives=true", "badRequest"),
        ("changes?pageToken=1234", "invalid"),
        ("changes", "required"),
        ("drives?useDomainAdminAccess=true", "badRequest"),
    ] {
        let (status, answer) = get(&setup, path).await;
        assert_eq!((status, reason(&answer)), (400, what), "{path}");
    }
}

#[tokio::test]
async fn case_36_a_token_from_before_a_walk_tells_what_changed_during_it() {
    let setup = drive(1000).await;
    let kept = put(&mut setup.google.world(), FileDraft::text("a", "1"));
    let token = start(&setup, &setup.token, None).await;
    assert_eq!(changes(&setup, &setup.token, None, &token).await, [Value::Null; 0]);
    setup.google.world().edit_file(&kept, None, Some(Content::Text("2".to_owned()))).unwrap();
    let new = put(&mut setup.google.world(), FileDraft::text("b", "1"));
    let told = changes(&setup, &setup.token, None, &token).await;
    let ids: Vec<_> = told.iter().map(|change| change["fileId"].as_str().unwrap()).collect();
    assert_eq!(ids, [kept.as_str(), new.as_str()]);
    assert_eq!(told[0]["file"]["md5Checksum"], "c81e728d9d4c2f636f067f89cc14862c");
}

#[tokio::test]
async fn case_37_the_same_file_may_come_twice_with_the_state_of_now() {
    let setup = drive(1000).await;
    let token = start(&setup, &setup.token, None).await;
    let id = put(&mut setup.google.world(), FileDraft::text("a", "1"));
    for n in 0..6 {
        setup.google.world().edit_file(&id, Some(&format!("name {n}")), None).unwrap();
    }
    let told = changes(&setup, &setup.token, None, &token).await;
    assert!(told.len() > 1 && told.len() < 7, "{told:?}");
    assert!(told.iter().all(|change| change["fileId"] == *id && change["file"]["name"] == "name 5"));
}

#[tokio::test]
async fn case_38_the_trash_does_not_touch_the_time_and_a_folder_takes_its_files_along() {
    let setup = drive(1000).await;
    let folder = put(&mut setup.google.world(), FileDraft::folder("folder"));
    let file = put(&mut setup.google.world(), FileDraft::text("file", "1").within(&folder));
    let token = start(&setup, &setup.token, None).await;
    let look = format!("files/{file}?fields=trashed,explicitlyTrashed,modifiedTime,version");
    let before = ok(&setup, &setup.token, &look).await;
    setup.google.world().trash_file(&folder).unwrap();
    let after = ok(&setup, &setup.token, &look).await;
    assert_eq!((&after["trashed"], &after["explicitlyTrashed"]), (&json!(true), &json!(false)));
    assert_eq!((&after["modifiedTime"], &after["version"]), (&before["modifiedTime"], &before["version"]));
    let told = changes(&setup, &setup.token, None, &token).await;
    assert_eq!(told.len(), 1, "nothing is told of the file in it: {told:?}");
    assert_eq!((&told[0]["fileId"], &told[0]["removed"]), (&json!(folder), &json!(false)));
    setup.google.world().untrash_file(&folder).unwrap();
    assert_eq!(ok(&setup, &setup.token, &look).await, before);
    setup.google.world().delete_file(&folder).unwrap();
    let told = changes(&setup, &setup.token, None, &token).await;
    assert_eq!((told.len(), &told[0]["removed"]), (1, &json!(true)));
    assert!(told[0].get("file").is_none());
    assert_eq!(get(&setup, &look).await.0, 404);
}

#[tokio::test]
async fn case_39_access_that_is_lost_looks_like_a_deletion() {
    let setup = drive(1000).await;
    let bob = bob(&setup).await;
    let folder = put(&mut setup.google.world(), FileDraft::folder("folder"));
    let file = put(&mut setup.google.world(), FileDraft::text("file", "1").within(&folder));
    let token = start(&setup, &bob, None).await;
    setup.google.world().share_file(&folder, BOB, PermissionRole::Reader).unwrap();
    let told = changes(&setup, &bob, None, &token).await;
    assert_eq!((told.len(), &told[0]["file"]["name"]), (1, &json!("folder")));
    let seen = ok(&setup, &bob, "files?fields=files(id,parents,ownedByMe,permissions)").await;
    let seen = seen["files"].as_array().unwrap();
    assert_eq!(seen.len(), 2, "what is in the folder is seen, too");
    let of = |id: &str| seen.iter().find(|item| item["id"] == *id).unwrap();
    assert_eq!(
        of(&folder),
        &json!({"id": folder, "ownedByMe": false}),
        "a folder that is not his is not told"
    );
    assert_eq!(of(&file)["parents"], json!([folder]));
    setup.google.world().unshare_file(&folder, BOB).unwrap();
    let told = changes(&setup, &bob, None, &token).await;
    assert!(told.iter().all(|change| change["removed"] == true && change.get("file").is_none()), "{told:?}");
    assert_eq!(ok(&setup, &bob, "files").await["files"], json!([]));
}

#[tokio::test]
async fn case_40_a_move_to_a_shared_drive_is_a_removal_here_and_an_entry_there() {
    let setup = drive(1000).await;
    let shared = setup.google.world().add_drive(ME, None, "Team").unwrap();
    let file = put(&mut setup.google.world(), FileDraft::text("file", "1"));
    let (mine, theirs) =
        (start(&setup, &setup.token, None).await, start(&setup, &setup.token, Some(&shared)).await);
    setup.google.world().move_file(ME, &file, Some(&shared)).unwrap();
    let told = changes(&setup, &setup.token, None, &mine).await;
    assert_eq!((told.len(), &told[0]["removed"]), (1, &json!(true)));
    assert_eq!(told[0]["file"]["driveId"], json!(shared), "the file is still seen, elsewhere");
    let told = changes(&setup, &setup.token, Some(&shared), &theirs).await;
    assert_eq!((told.len(), &told[0]["removed"]), (1, &json!(false)));
    assert!(told[0]["file"].get("owners").is_none(), "{}", told[0]);
    let (status, answer) = get(&setup, &format!("changes?{ALL}&driveId={shared}&pageToken={mine}")).await;
    assert_eq!((status, reason(&answer)), (400, "invalid"), "a token of the user's log");
}

#[tokio::test]
async fn case_41_a_new_member_is_told_of_the_drive_and_not_of_its_files() {
    let setup = drive(1000).await;
    let bob = bob(&setup).await;
    let shared = setup.google.world().add_drive(ME, None, "Team").unwrap();
    put(&mut setup.google.world(), FileDraft::text("file", "1").within(&shared));
    let token = start(&setup, &bob, None).await;
    assert_eq!(ok(&setup, &bob, "drives").await["drives"], json!([]));
    let list = format!("files?{ALL}&corpora=drive&driveId={shared}");
    assert_eq!(get_as(&setup, &bob, &list).await.0, 404);
    setup.google.world().add_member(&shared, BOB, PermissionRole::Reader).unwrap();
    let told = changes(&setup, &bob, None, &token).await;
    assert_eq!((told.len(), &told[0]["changeType"]), (1, &json!("drive")));
    assert_eq!(told[0]["drive"]["name"], "Team");
    assert_eq!(ok(&setup, &bob, "drives").await["drives"][0]["id"], json!(shared));
    assert_eq!(ok(&setup, &bob, &list).await["files"].as_array().unwrap().len(), 1);
    assert_eq!(ok(&setup, &bob, &format!("files?{ALL}")).await["files"], json!([]), "not of the own corpus");
    setup.google.world().remove_member(&shared, BOB).unwrap();
    let told = changes(&setup, &bob, None, &token).await;
    assert!(told.iter().all(|change| change["removed"] == true && change.get("drive").is_none()), "{told:?}");
    assert_eq!(get_as(&setup, &bob, &list).await.0, 404);
}

#[tokio::test]
async fn case_47_a_file_of_a_shared_drive_is_not_there_for_who_does_not_know_of_them() {
    let setup = drive(1000).await;
    let shared = setup.google.world().add_drive(ME, None, "Team").unwrap();
    let file = put(&mut setup.google.world(), FileDraft::text("file", "1").within(&shared));
    let (status, answer) = get(&setup, &format!("files/{file}")).await;
    assert_eq!((status, reason(&answer)), (404, "notFound"));
    assert_eq!(get(&setup, &format!("files/{file}?supportsAllDrives=true")).await.0, 200);
    let (status, answer) = get(&setup, &format!("files?corpora=drive&driveId={shared}")).await;
    assert_eq!((status, reason(&answer)), (400, "badRequest"));
}

#[tokio::test]
async fn calls_of_drive_cost_units_of_their_own() {
    let setup = drive(1000).await;
    setup.google.limit_drive(QuotaLimits { per_project: None, per_user: Some(205) });
    assert_eq!(get(&setup, "files/root").await.0, 200);
    assert_eq!(get(&setup, "files").await.0, 200);
    assert_eq!(get(&setup, "files").await.0, 200);
    let (status, answer) = get(&setup, "files/root").await;
    assert_eq!((status, reason(&answer)), (403, "rateLimitExceeded"));
    assert_eq!(setup.google.drive_quota().most, 210);
    assert_eq!(setup.google.quota().most, 0);
}

#[tokio::test]
async fn drive_needs_a_scope_of_its_own() {
    let setup = setup(Options::default()).await;
    let (status, answer) = get(&setup, "files").await;
    assert_eq!((status, reason(&answer)), (403, "insufficientPermissions"));
}

#[tokio::test]
async fn what_is_in_folders_is_found_by_their_ids() {
    let setup = drive(2).await;
    let bob = bob(&setup).await;
    let shared = setup.google.world().add_drive(ME, Some("team"), "Team").unwrap();
    {
        let mut world = setup.google.world();
        for (id, parent) in [("a", None), ("b", Some("a")), ("c", None), ("t", Some("team"))] {
            put(
                &mut world,
                FileDraft { parent: parent.map(str::to_owned), ..FileDraft::folder(id).with_id(id) },
            );
        }
        for (id, parent) in [("in-a", "a"), ("in-b", "b"), ("in-c", "c"), ("in-t", "t")] {
            put(&mut world, FileDraft::text(id, "1").with_id(id).within(parent));
        }
        world.trash_file("in-a").unwrap();
    }
    let found = async |path: &str| {
        let (mut ids, mut page) = (Vec::new(), String::new());
        loop {
            let answer = ok(&setup, &setup.token, &format!("{path}{page}")).await;
            let files = answer["files"].as_array().unwrap();
            ids.extend(files.iter().map(|file| file["id"].as_str().unwrap().to_owned()));
            let Some(next) = answer["nextPageToken"].as_str() else { return ids };
            page = format!("&pageToken={next}");
        }
    };
    assert_eq!(found("files?q='a' in parents").await, ["b", "in-a"], "directly, in the trash or not");
    let several = "files?q='a' in parents or 'b' in parents or 'c' in parents";
    assert_eq!(found(several).await, ["b", "in-a", "in-b", "in-c"]);
    let team = format!("files?{ALL}&corpora=drive&driveId={shared}&q=");
    assert_eq!(found(&format!("{team}'t' in parents")).await, ["in-t"]);
    assert_eq!(found(&format!("{team}'team' in parents")).await, ["t"]);
    assert_eq!(found(&format!("{team}'a' in parents")).await, [""; 0], "not of that drive");
    assert_eq!(setup.google.stats().files.folders, 5);

    let first = ok(&setup, &setup.token, several).await;
    let place = format!("files?q='a' in parents&pageToken={}", first["nextPageToken"].as_str().unwrap());
    for (path, what) in [(place.as_str(), "invalid"), ("files?q='a' in parents and trashed=false", "invalid")]
    {
        let (status, answer) = get(&setup, path).await;
        assert_eq!((status, reason(&answer)), (400, what), "{path}");
    }
    for (token, query) in [(&setup.token, "'gone' in parents"), (&bob, "'a' in parents or 'b' in parents")] {
        let (status, answer) = get_as(&setup, token, &format!("files?q={query}")).await;
        assert_eq!((status, reason(&answer)), (404, "notFound"), "{query}");
    }
}

#[tokio::test]
async fn what_others_put_into_an_own_folder_is_listed_at_any_depth() {
    let setup = drive(1000).await;
    let bob = bob(&setup).await;
    {
        let mut world = setup.google.world();
        put(&mut world, FileDraft::folder("mine").with_id("mine"));
        world.share_file("mine", BOB, PermissionRole::Writer).unwrap();
        world.put_file(BOB, FileDraft::folder("his").with_id("his").within("mine")).unwrap();
        world.put_file(BOB, FileDraft::text("deep", "1").with_id("deep").within("his")).unwrap();
    }
    for token in [&setup.token, &bob] {
        let page = ok(&setup, token, "files").await;
        let ids: Vec<_> = page["files"].as_array().unwrap().iter().map(|file| &file["id"]).collect();
        assert_eq!(ids, ["deep", "his", "mine"]);
    }
}
