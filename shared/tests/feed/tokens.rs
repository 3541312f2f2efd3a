use secrecy::{ExposeSecret, SecretString};
use shared::{
    admin::{Actor, feed},
    store::{PgPool, feed_tokens},
};

use crate::fixture::account;

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_token_opens_its_tenants_feed_until_it_is_removed(db: PgPool) {
    let ((acme, _), _) = (account(&db, "acme").await, account(&db, "other").await);
    let actor = Actor::new("test:ada");
    let made = feed::add_token(&db, &actor, "acme", "crm").await.unwrap();
    let mut conn = db.acquire().await.unwrap();
    let token = made.token.expose_secret().to_owned();
    assert_eq!(feed_tokens::check(&mut conn, &made.token).await.unwrap(), Some((acme.tenant, made.id)));
    let hash: Vec<u8> =
        sqlx::query_scalar("select hash from feed_tokens").fetch_one(&mut *conn).await.unwrap();
    assert!(!token.as_bytes().windows(8).any(|part| hash.windows(8).any(|stored| stored == part)));

    let other = feed::add_token(&db, &actor, "other", "crm").await.unwrap();
    let swapped = token.replace(&format!("sft_{}_", made.id), &format!("sft_{}_", other.id));
    let (mut cut, mut changed) = (token.clone(), token.clone());
    cut.pop();
    let last = if changed.pop() == Some('A') { 'B' } else { 'A' };
    changed.push(last);
    for bad in
        ["", "sft_1_", "sft_99_x", &cut, &changed, &swapped, &token.to_uppercase(), &format!("{token}=")]
    {
        let checked = feed_tokens::check(&mut conn, &SecretString::from(bad)).await.unwrap();
        assert_eq!(checked, None, "{bad}");
    }
    assert!(feed_tokens::stands(&mut conn, made.id).await.unwrap());
    let listed = feed::tokens(&mut conn, Some("acme")).await.unwrap();
    assert_eq!((listed.len(), listed[0].used_at.is_some()), (1, true));

    feed::remove_token(&db, &actor, made.id).await.unwrap();
    assert_eq!(feed_tokens::check(&mut conn, &made.token).await.unwrap(), None);
    assert!(!feed_tokens::stands(&mut conn, made.id).await.unwrap());
    assert!(feed::remove_token(&db, &actor, made.id).await.is_err());
    for bad in ["", " ", "a\nb", &"x".repeat(101)] {
        assert!(feed::add_token(&db, &actor, "acme", bad).await.is_err(), "{bad:?}");
    }
    assert!(feed::add_token(&db, &actor, "other", "crm").await.is_err(), "names are unique");
}
