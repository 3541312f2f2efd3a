//! What may come in between: each line of the module's list of races.

use futures_util::future::join_all;
use shared::store::PgPool;

use crate::{
    person::Person,
    setup::{ADA, ALL, BOB, setup},
};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn of_two_callbacks_with_one_state_one_counts(db: PgPool) {
    let setup = setup(&db).await;
    let person = Person::new();
    let back = person.allow(&person.press(&setup.link(&[]).await).await, ADA, ALL).await;
    let mut answers: Vec<u16> =
        join_all((0..8).map(|_| person.open(&back))).await.into_iter().map(|(status, _)| status).collect();
    answers.sort_unstable();
    assert_eq!(answers, [200, 400, 400, 400, 400, 400, 400, 400]);
    assert_eq!(setup.stored().await[0], 1);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_callback_counts_for_the_browser_that_began(db: PgPool) {
    let setup = setup(&db).await;
    let (person, other) = (Person::new(), Person::new());
    let back = person.allow(&person.press(&setup.link(&[]).await).await, ADA, ALL).await;
    // With a cookie of its own, and with none.
    other.press(&setup.link(&[]).await).await;
    for stranger in [other, Person::new()] {
        let (status, page) = stranger.open(&back).await;
        assert_eq!(status, 400, "{page}");
        assert!(page.contains("Another browser began this"), "{page}");
    }
    assert_eq!(setup.stored().await, [0; 4]);
    assert_eq!(person.open(&back).await.0, 200);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn one_browser_may_have_two_sign_ins_under_way_and_one_link_one_success(db: PgPool) {
    let setup = setup(&db).await;
    let (person, link) = (Person::new(), setup.link(&[]).await);
    let ada = person.allow(&person.press(&link).await, ADA, ALL).await;
    let again = person.allow(&person.press(&link).await, ADA, ALL).await;
    let bob = person.allow(&person.press(&setup.link(&[]).await).await, BOB, ALL).await;
    for back in [ada, bob] {
        assert_eq!(person.open(&back).await.0, 200);
    }
    let (status, page) = person.open(&again).await;
    assert_eq!(status, 410, "{page}");
    assert_eq!(setup.stored().await[0], 2);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn two_sign_ins_of_one_account_at_once_leave_one_whole_grant(db: PgPool) {
    let setup = setup(&db).await;
    // New, and again.
    for _ in 0..2 {
        let mut ways = Vec::new();
        for _ in 0..8 {
            let person = Person::new();
            let back = person.allow(&person.press(&setup.link(&[]).await).await, ADA, ALL).await;
            ways.push((person, back));
        }
        let answers = join_all(ways.iter().map(|(person, back)| person.open(back))).await;
        assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    }
    let stored = setup.stored().await;
    assert_eq!((stored[0], stored[1], stored[3]), (1, 2, 16));
    let [refresh, access] = setup.tokens(1).await;
    assert!(refresh.is_some() && access.is_some());
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_is_removed_meanwhile_takes_no_sign_in(db: PgPool) {
    let setup = setup(&db).await;
    setup.ada().await;
    let person = Person::new();
    let back = person.allow(&person.press(&setup.link(&["--account", ADA]).await).await, ADA, ALL).await;
    setup.program.ok(&["account", "rm", ADA, "--yes"]).await;
    let (status, page) = person.open(&back).await;
    assert_eq!(status, 400, "{page}");
    assert!(page.contains("This sign-in is over"), "{page}");
    assert_eq!(setup.stored().await[..3], [0; 3]);

    let link = setup.link(&[]).await;
    let back = person.allow(&person.press(&link).await, ADA, ALL).await;
    setup.program.ok(&["tenant", "rm", "acme", "--yes"]).await;
    assert_eq!(person.open(&back).await.0, 400);
    assert_eq!(person.open(&link).await.0, 404);
    assert_eq!(setup.stored().await, [0; 4]);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_removal_at_the_same_time_comes_before_or_after(db: PgPool) {
    let setup = setup(&db).await;
    for _ in 0..5 {
        setup.ada().await;
        let person = Person::new();
        let back = person.allow(&person.press(&setup.link(&["--account", ADA]).await).await, ADA, ALL).await;
        let words = ["account", "rm", ADA, "--yes"];
        let ((status, page), removed) = tokio::join!(person.open(&back), setup.program.run(&words));
        assert_eq!(removed.code, 0, "{}", removed.log);
        assert!([200, 400, 404].contains(&status), "{status}: {page}");
        assert_eq!(setup.stored().await[..3], [0; 3], "nothing is left of it: {status}");
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_code_that_was_exchanged_in_vain_leaves_the_link_good(db: PgPool) {
    let setup = setup(&db).await;
    let (person, link) = (Person::new(), setup.link(&[]).await);
    let back = person.allow(&person.press(&link).await, ADA, ALL).await;
    setup
        .run_sql(
            "create function away() returns trigger language plpgsql as
                $$ begin raise exception 'away' using errcode = '57P01'; end $$;
            create trigger away before insert on secrets execute function away()",
        )
        .await;
    let (status, page) = person.open(&back).await;
    assert_eq!(status, 503, "{page}");
    assert!(page.contains("It could not be stored") && page.contains("open your link again"), "{page}");
    assert_eq!(setup.stored().await, [0; 4]);
    assert!(setup.ingress.said("a sign-in failed") > 0, "{}", setup.ingress.log());
    setup.run_sql("drop trigger away on secrets").await;
    let back = person.allow(&person.press(&link).await, ADA, ALL).await;
    assert_eq!(person.open(&back).await.0, 200);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_sign_in_that_took_too_long_is_over(db: PgPool) {
    let setup = setup(&db).await;
    let (person, link) = (Person::new(), setup.link(&[]).await);
    let back = person.allow(&person.press(&link).await, ADA, ALL).await;
    setup.run_sql("update sign_ins set expires_at = clock() - interval '1 s'").await;
    let (status, page) = person.open(&back).await;
    assert_eq!(status, 400, "{page}");
    assert!(page.contains("That took too long"), "{page}");
    assert_eq!(setup.stored().await, [0; 4]);
}
