use std::time::{Duration, Instant};

use serde_json::json;
use shared::{
    job::{Lane, Parked, Run},
    store::{
        PgPool,
        job_state::{self, Claimer, Completion, Finished},
    },
};
use uuid::Uuid;

use crate::program::{Program, ended};

/// A worker that takes one job of the kind noop as soon as it is due.
async fn claim(db: &PgPool, worker: Uuid) -> Run {
    let kinds = ["noop".to_owned()];
    let claimer = Claimer { worker, kinds: &kinds, suspects: true };
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        assert!(Instant::now() < deadline, "nothing became due");
        let due: Option<i64> =
            sqlx::query_scalar("select job_id from due_jobs limit 1").fetch_optional(db).await.unwrap();
        if let Some(job) = due {
            let mut conn = db.acquire().await.unwrap();
            let runs = job_state::claim(&mut conn, &claimer, &[job], &[Uuid::now_v7()]).await.unwrap();
            return runs.into_iter().next().unwrap();
        }
    }
}

fn finished(run: &Run, worker: Uuid) -> Finished {
    Finished {
        run: run.id,
        job: run.job,
        worker,
        lane: run.lane,
        attempt: 1,
        started_at: run.started_at,
        changed: 0,
    }
}

async fn complete(db: &PgPool) {
    let worker = Uuid::now_v7();
    let run = claim(db, worker).await;
    let completion = Completion {
        finished: finished(&run, worker),
        next: None,
        floor: Duration::ZERO,
        lane: Lane::Normal,
    };
    let mut conn = db.acquire().await.unwrap();
    assert_eq!(job_state::complete(&mut conn, &[completion]).await.unwrap().len(), 1);
}

async fn park(db: &PgPool) {
    let worker = Uuid::now_v7();
    let run = claim(db, worker).await;
    let mut conn = db.acquire().await.unwrap();
    job_state::park(&mut conn, &finished(&run, worker), Parked::Failed, "it broke").await.unwrap();
}

fn acme(db: &PgPool) -> Program {
    let program = Program::with(db);
    program.ok(&["tenant", "add", "acme"]);
    program
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_job_is_wanted_explained_paused_and_retried(db: PgPool) {
    let program = acme(&db);
    let made = program.json(&["enqueue", "noop", "--key", "a", "--tenant", "acme"]);
    assert_eq!((&made["made"], &made["jobs"], &made["outcome"]), (&json!(true), &json!(1), &json!(null)));
    let id = made["job"].to_string();
    assert!(!program.json(&["enqueue", "noop", "--key", "a"])["made"].as_bool().unwrap());

    let jobs = program.json(&["job", "ls", "--state", "due"]);
    assert_eq!(
        (&jobs[0]["key"], &jobs[0]["wanted"], &jobs[0]["lane"]),
        (&json!("a"), &json!(2), &json!("interactive"))
    );
    let explained = program.ok(&["job", "explain", &id]);
    assert!(explained.lines().next().unwrap().contains("no worker is alive"), "{explained}");
    assert!(explained.lines().any(|line| line.starts_with("wanted") && line.ends_with('2')), "{explained}");
    assert_eq!(program.json(&["job", "explain", "noop/a"])["answer"]["is"], "no_worker");

    assert_eq!(program.ok(&["job", "pause", "noop/a"]), "noop/a is paused\n");
    assert_eq!(program.json(&["job", "explain", "noop/a"])["answer"]["is"], "paused");
    assert!(program.ok(&["job", "retry", &id]).contains("is paused: `syncfleet job resume"));
    assert_eq!(program.json(&["job", "resume", "noop/a"])[0]["state"], "due");

    park(&db).await;
    assert!(program.ok(&["job", "explain", &id]).contains("parked: a permanent error (it broke)"));
    assert!(program.ok(&["job", "ls", "--state", "parked"]).contains("parked (failed)"));
    assert_eq!(program.ok(&["job", "retry", &id]), "noop/a is due\n");
    complete(&db).await;

    let shown = program.json(&["job", "show", &id]);
    assert_eq!(shown["runs"][0]["outcome"], "complete");
    assert_eq!(shown["runs"][1]["outcome"], "park");
    let run = shown["runs"][0]["id"].as_str().unwrap();
    assert_eq!(program.json(&["run", "show", run])["key"], "a");
    assert!(program.ok(&["run", "show", run]).contains("noop/a"));
    let parked = program.json(&["run", "ls", "--job", "noop/a", "--outcome", "park", "--since", "1h"]);
    assert_eq!(parked.as_array().unwrap().len(), 1);
    assert!(program.ok(&["job", "show", "noop/a"]).contains("complete"));
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn all_jobs_of_a_kind_are_wanted_and_paged(db: PgPool) {
    let program = acme(&db);
    program.refused(&["enqueue", "noop", "--all"], 3, &["there is no job of the kind noop"]);
    for key in ["a", "b", "c"] {
        program.ok(&["enqueue", "noop", "--key", key, "--tenant", "acme", "--at", "1h"]);
    }
    let all = program.run(&["enqueue", "noop", "--all"]);
    assert_eq!((all.code, all.stdout.as_str()), (0, "3 jobs wanted\n"));
    assert!(all.stderr.contains("wanting 3 jobs of the kind noop"), "{}", all.stderr);
    assert_eq!(program.json(&["enqueue", "noop", "--tenant", "acme"])["jobs"], 3);

    let page = program.run(&["job", "ls", "--limit", "2"]);
    let last = page.stderr.trim().strip_prefix("there may be more: --after ").unwrap();
    let rest = program.json(&["job", "ls", "--after", last]);
    assert_eq!((rest.as_array().unwrap().len(), &rest[0]["key"]), (1, &json!("c")));
    assert_eq!(rest[0]["state"], "due", "the later want pulled it near");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn waiting_ends_when_the_work_is_done(db: PgPool) {
    let program = acme(&db);
    let args = ["enqueue", "noop", "--key", "a", "--tenant", "acme", "--wait", "--timeout", "20s"];
    let child = program.start(&args);
    complete(&db).await;
    let done = ended(child.wait_with_output().unwrap());
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.ends_with("1 done, 0 parked, 0 left\n"), "{done:?}");
    assert!(!done.stderr.contains('\u{1b}'), "no bar without a terminal: {done:?}");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn waiting_ends_when_the_work_cannot_go_on(db: PgPool) {
    let program = acme(&db);
    let child = program.start(&["enqueue", "noop", "--key", "a", "--tenant", "acme", "--wait", "-o", "json"]);
    park(&db).await;
    let parked = ended(child.wait_with_output().unwrap());
    assert_eq!(parked.code, 3, "{parked:?}");
    let outcome: serde_json::Value = serde_json::from_str(&parked.stdout).unwrap();
    assert_eq!(outcome["outcome"]["parked"], json!([outcome["job"]]));
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn waiting_has_an_end(db: PgPool) {
    let program = acme(&db);
    let args = ["enqueue", "noop", "--key", "a", "--tenant", "acme", "--wait", "--timeout", "50ms"];
    let late = program.run(&args);
    assert_eq!(late.code, 4, "{late:?}");
    assert!(late.stdout.ends_with("0 done, 0 parked, 1 left\n"), "{late:?}");
    assert!(late.stderr.contains("not done in time"), "{late:?}");
}
