//! What the dispatcher reads.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, Instant};

use scheduler::ticks::dispatch::Dispatcher;
use shared::{
    bell::Bell,
    job::Lane,
    store::{
        PgConnection, PgPool,
        gates::{self, Gate, Reason},
    },
};

/// The rows of `job_state` that were looked at in this transaction.
async fn looked_at(conn: &mut PgConnection) -> i64 {
    sqlx::query_scalar(
        "select idx_tup_fetch + seq_tup_read from pg_stat_xact_user_tables where relname = 'job_state'",
    )
    .fetch_one(conn)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_stands_behind_a_gate_is_stepped_over_once_a_round(db: PgPool) {
    sqlx::raw_sql(
        "insert into tenants (id, name) overriding system value values (1, 'acme');
         insert into workers (id, name, version, kinds, slots, started_at, beat_at)
         values (gen_random_uuid(), 'w', '', '{}', '{\"normal\": 10}', clock(), clock());
         with made as (
            insert into jobs (kind, key, tenant_id)
            select case when n = 1 then 'open' else 'closed' end, n::text, 1 from generate_series(1, 2001) n returning *
         )
         insert into job_state (job_id, run_at, tenant_id, lane, kind)
         select id, clock() - interval '1 hour' + id * interval '1 ms', 1, 'normal', kind from made;
         analyze job_state",
    )
    .execute(&db)
    .await
    .unwrap();
    let mut tx = db.begin().await.unwrap();
    gates::close(&mut tx, &Gate::Kind("closed".to_owned()), Reason::Share, None, "").await.unwrap();
    sqlx::raw_sql("set local enable_seqscan = off; set local enable_bitmapscan = off")
        .execute(&mut *tx)
        .await
        .unwrap();
    let (mut dispatcher, bell, began) = (Dispatcher::default(), Bell::in_memory(), Instant::now());
    let mut tick = async |millis| {
        let before = looked_at(&mut tx).await;
        dispatcher.tick(&mut tx, &bell, began + Duration::from_millis(millis)).await.unwrap();
        looked_at(&mut tx).await - before
    };
    assert_eq!(tick(0).await, 2_001);
    for millis in [200, 400, 600, 800] {
        assert_eq!(tick(millis).await, 0, "after {millis} ms");
    }
    // The next round looks at all of it again: a gate may have opened.
    assert_eq!(tick(1_000).await, 2_001);
    assert_eq!(bell.len(Lane::Normal).await.unwrap(), 1);
}
