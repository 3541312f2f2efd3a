use std::time::Duration;

use shared::{
    admin::{lane, tenant},
    job::Lane,
    store::{
        PgPool,
        job_state::{park_gated, unpark_opened},
    },
};

use crate::fixture::{actor, due};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_job_behind_two_gates_comes_back_when_the_last_one_opens(db: PgPool) {
    due(&db).await;
    tenant::pause(&db, &actor(), "acme", "").await.unwrap();
    lane::pause(&db, &actor(), Lane::Normal, "").await.unwrap();
    let mut conn = db.acquire().await.unwrap();
    let gates =
        async || sqlx::query_scalar::<_, i64>("select count(*) from gates").fetch_one(&db).await.unwrap();
    assert_eq!(park_gated(&mut conn, 10).await.unwrap(), 1);

    lane::resume(&db, &actor(), Lane::Normal).await.unwrap();
    assert_eq!(unpark_opened(&mut conn, Duration::ZERO, 10).await.unwrap(), 0, "its tenant's is closed");
    assert_eq!(gates().await, 1, "the gate that opened holds nobody");

    tenant::resume(&db, &actor(), "acme").await.unwrap();
    assert_eq!(unpark_opened(&mut conn, Duration::ZERO, 10).await.unwrap(), 1);
    assert_eq!(unpark_opened(&mut conn, Duration::ZERO, 10).await.unwrap(), 0);
    assert_eq!(gates().await, 0);
}
