use std::time::Duration;

use serde_json::json;
use shared::{
    google::quota::bucket,
    store::{
        gates::{self, Gate, Reason},
        quotas::{self, Ask},
    },
};
use sqlx::PgPool;

use crate::program::Program;

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn the_budget_is_shown(db: PgPool) {
    let program = Program::with(&db);
    let none = program.run(&["quota", "show"]);
    assert_eq!((none.code, none.stdout.as_str()), (0, ""));
    assert!(none.stderr.contains("no worker has called Google"), "{}", none.stderr);
    assert_eq!(program.json(&["quota", "show"]), json!([]));

    let ask = |account, need| Ask {
        account,
        smallest: 1,
        need,
        want: need,
        urgent: 0,
        smallest_urgent: 0,
        unspent: None,
        bucket: bucket(600, Some(900), 20),
    };
    let mut conn = db.acquire().await.unwrap();
    quotas::draw(&mut conn, "calendar", "4711", &[ask(None, 9), ask(Some(5), 7)]).await.unwrap();
    for (gate, reason) in
        [(Gate::Account(5), Reason::Budget), (Gate::Kind("calendar_list".to_owned()), Reason::Throttled)]
    {
        gates::close(&mut conn, &gate, reason, Some(Duration::from_mins(9)), "").await.unwrap();
    }
    quotas::slow(&mut conn, "calendar", "4711", Some(5), 0.1, Duration::ZERO).await.unwrap();
    let shown = program.json(&["quota", "show"]);
    let row = |n: usize, name: &str| shown[n][name].clone();
    assert_eq!(
        [row(0, "project"), row(0, "account"), row(1, "account")],
        [json!("4711"), json!(null), json!(5)]
    );
    assert_eq!([row(0, "last_minute"), row(1, "last_minute")], [9, 7]);
    assert_eq!([row(0, "throttled_by"), row(1, "throttled_by")], ["throttled", "budget"]);
    assert_eq!([row(0, "rate_percent"), row(1, "rate_percent")], [100, 50]);
    assert_eq!([row(0, "kept_percent"), row(1, "kept_percent")], [20, 20]);
    let table = program.ok(&["quota", "show"]);
    assert!(
        table.starts_with("API")
            && table.contains("9/600")
            && table.contains("50 %")
            && table.contains("in 8 m 5"),
        "{table}"
    );
    assert_eq!(program.json(&["quota", "show", "--limit", "1"]).as_array().unwrap().len(), 1);
    program.refused(&["quota", "show", "--limit", "0"], 2, &["from 1 to 10000"]);
}
