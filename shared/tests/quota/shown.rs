//! What is counted as used.

use std::time::Duration;

use shared::{
    admin::quota::show,
    store::{
        PgPool,
        quotas::{self, Ask, Unspent},
    },
};

use crate::{
    API, PROJECT,
    fleet::{ask, draw_at},
};

/// The spans of the project's row, newest first.
async fn spans(db: &PgPool) -> Vec<i32> {
    sqlx::query_scalar("select drawn from quotas where account_id = 0").fetch_one(db).await.unwrap()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn unspent_units_are_taken_off_where_they_were_counted(db: PgPool) {
    let project = ask(None, 8, 1_000, None);
    let first = draw_at(&db, Duration::ZERO, &[project]).await[0];
    let unspent = Some(Unspent { units: 3, drawn: first.at });
    // Two spans later.
    draw_at(&db, Duration::from_secs(6), &[Ask { unspent, ..project }]).await;
    assert_eq!(spans(&db).await[..4], [8, 0, 5, 0]);
    // A minute later, the span is forgotten, and the report with it.
    draw_at(&db, Duration::from_secs(72), &[Ask { unspent, ..project }]).await;
    assert_eq!(spans(&db).await[..4], [8, 0, 0, 0]);
    // In the same span, beside the new block.
    let last = draw_at(&db, Duration::from_secs(72), &[project]).await[0];
    let unspent = Some(Unspent { units: 2, drawn: last.at });
    draw_at(&db, Duration::from_secs(72), &[Ask { unspent, ..project }]).await;
    assert_eq!(spans(&db).await[..2], [22, 0]);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_is_drawn_is_shown(db: PgPool) {
    let mut conn = db.acquire().await.unwrap();
    let asks = [ask(None, 12, 1_000, Some(500)), ask(Some(3), 2, 600, None), ask(Some(4), 5, 600, None)];
    quotas::draw(&mut conn, API, PROJECT, &asks).await.unwrap();
    let shown = show(&mut conn, &[], 2).await.unwrap();
    let rows: Vec<_> = shown.iter().map(|quota| (quota.account, quota.last_minute, quota.today)).collect();
    assert_eq!(rows, [(None, 12, 12), (Some(4), 5, 5)], "the project, then the busiest account");
    assert_eq!((shown[0].per_minute, shown[0].per_day, shown[0].out), (1_000, Some(500), 12));
    // Half a minute later the blocks are spent or lost; after a minute nobody is in use; after a day nobody is known.
    for (seconds, out, last_minute, rows) in [("30", 0, 12, 3), ("64", 0, 0, 1), ("90000", 0, 0, 1)] {
        sqlx::query("select set_config('syncfleet.clock_shift', $1, false)")
            .bind(format!("{seconds} s"))
            .execute(&mut *conn)
            .await
            .unwrap();
        let shown = show(&mut conn, &[], 10).await.unwrap();
        assert_eq!(
            (shown[0].out, shown[0].last_minute, shown.len()),
            (out, last_minute, rows),
            "{seconds} s"
        );
    }
    assert_eq!(quotas::forget_idle(&mut conn).await.unwrap(), 3);
}
