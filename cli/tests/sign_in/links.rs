//! Who may begin: links, as the command line makes them and the ingress takes them.

use serde_json::json;
use shared::store::PgPool;

use crate::{
    person::{Person, http, parameter},
    process::Program,
    setup::{ADA, ALL, setup},
};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_link_is_good_for_one_sign_in_and_for_its_time(db: PgPool) {
    let setup = setup(&db).await;
    let link = setup.link(&["--valid", "2days"]).await;
    assert!(link.starts_with(&format!("{}/oauth2/start?link=", setup.public_url)), "{link}");
    let secret = parameter(&link, "link");
    let kept: String = sqlx::query_scalar("select to_jsonb(l)::text from sign_in_links l")
        .fetch_one(&setup.db)
        .await
        .unwrap();
    assert!(!kept.contains(&secret), "the secret is kept nowhere: {kept}");

    let person = Person::new();
    // To look at it uses nothing up, whoever looks.
    for _ in 0..3 {
        assert_eq!(Person::new().open(&link).await.0, 200);
    }
    let rows: i64 = sqlx::query_scalar("select count(*) from sign_ins").fetch_one(&setup.db).await.unwrap();
    assert_eq!(rows, 0);
    let back = person.allow(&person.press(&link).await, ADA, ALL).await;
    assert_eq!(person.open(&back).await.0, 200);
    let (status, page) = Person::new().open(&link).await;
    assert_eq!(status, 410, "{page}");
    assert!(page.contains("This link was used already"), "{page}");
    assert_eq!(Person::new().begin_unseen(&link).await.status().as_u16(), 410);

    let link = setup.link(&["--valid", "1m"]).await;
    let late = person.allow(&person.press(&link).await, ADA, ALL).await;
    setup
        .run_sql("update sign_in_links set expires_at = clock() - interval '1 s' where used_at is null")
        .await;
    let (status, page) = person.open(&link).await;
    assert_eq!(status, 410, "{page}");
    assert!(page.contains("This link has expired"), "{page}");
    assert_eq!(person.open(&late).await.0, 200, "who began in time may end");

    for bad in ["", "x", &secret[1..], &"A".repeat(43), "%00", "<script>"] {
        let (status, page) = person.open(&format!("{}/oauth2/start?link={bad}", setup.public_url)).await;
        assert_eq!(status, 404, "{bad}: {page}");
        assert!(page.contains("This link is not known") && !page.contains("<script"), "{bad}: {page}");
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_form_of_another_site_begins_nothing_and_a_link_has_its_limit(db: PgPool) {
    let setup = setup(&db).await;
    let link = setup.link(&[]).await;
    let start = format!("{}/oauth2/start", setup.public_url);
    let form = [("link", parameter(&link, "link"))];
    let foreign =
        http().post(&start).form(&form).header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!(foreign.status().as_u16(), 403);
    assert!(foreign.headers().get("set-cookie").is_none());
    for _ in 0..10 {
        assert_eq!(Person::new().begin(&link).await.status().as_u16(), 303);
    }
    assert_eq!(Person::new().begin(&link).await.status().as_u16(), 429);
    setup.run_sql("update sign_ins set expires_at = clock() - interval '1 s'").await;
    assert_eq!(Person::new().begin(&link).await.status().as_u16(), 303);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_cannot_be_made_a_link_of_is_refused(db: PgPool) {
    let setup = setup(&db).await;
    let program = &setup.program;
    setup.ada().await;
    program.ok(&["tenant", "add", "other"]).await;
    let connect = ["account", "connect", "--tenant", "acme"];
    let with = |more: &[&'static str]| [&connect[..], more].concat();
    program.refused(&["account", "connect", "--tenant", "nobody"], 3, &["there is no tenant nobody"]).await;
    program.refused(&with(&["--account", "nobody@example.com"]), 3, &["no account nobody@example.com"]).await;
    let other = ["account", "connect", "--tenant", "other", "--account", ADA];
    program.refused(&other, 3, &["tenant other has none"]).await;
    for bad in ["59s", "31days", "soon"] {
        program.refused(&with(&["--valid", bad]), 2, &["--valid"]).await;
    }
    let bare = Program::with(&setup.db);
    bare.refused(&connect, 2, &["SYNCFLEET_GOOGLE_CLIENT_ID: not set"]).await;
    let bare = bare.env("SYNCFLEET_GOOGLE_CLIENT_ID", "x").env("SYNCFLEET_GOOGLE_CLIENT_SECRET", "y");
    bare.refused(&connect, 2, &["SYNCFLEET_PUBLIC_URL: not set"]).await;
    let told = program.ok(&with(&["--account", ADA, "--open"])).await;
    assert!(told.contains("ada@example.com only; good for one sign-in"), "{told}");
    assert!(told.contains("open the link yourself"), "{told}");
    let links: i64 =
        sqlx::query_scalar("select count(*) from sign_in_links").fetch_one(&setup.db).await.unwrap();
    assert_eq!(links, 2);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_ingress_that_is_not_set_up_says_so(db: PgPool) {
    let mut ingress = Program::with(&db).start(&["ingress"]).await;
    ingress.ready().await;
    let base = format!("http://{}", ingress.public);
    for path in ["oauth2/start?link=x", "oauth2/callback?state=x"] {
        let (status, page) = Person::new().open(&format!("{base}/{path}")).await;
        assert_eq!(status, 503, "{page}");
        assert!(page.contains("not set up for signing in"), "{page}");
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn old_links_and_sign_ins_are_forgotten(db: PgPool) {
    let setup = setup(&db).await;
    let link = setup.link(&[]).await;
    Person::new().press(&link).await;
    setup.link(&[]).await;
    setup.run_sql("update sign_ins set expires_at = clock() - interval '2 h'").await;
    setup.run_sql("update sign_in_links set expires_at = clock() - interval '2 days' where id = 1").await;
    let mut scheduler = setup.program.start(&["scheduler"]).await;
    scheduler.ready().await;
    crate::process::until("they are forgotten", crate::process::LIMIT, async || {
        let left: (i64, i64) =
            sqlx::query_as("select (select count(*) from sign_ins), (select count(*) from sign_in_links)")
                .fetch_one(&setup.db)
                .await
                .unwrap();
        left == (0, 1)
    })
    .await;
    assert_eq!(setup.json(&["account", "ls"]).await, json!([]));
}
