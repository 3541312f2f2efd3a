//! The budget of calls to a provider: table `quotas`. Why it holds is told in [`crate::google::quota`].

mod columns;
mod slow;

use std::time::Duration;

use chrono::NaiveDate;
use sqlx::PgConnection;

use self::columns::Columns;
pub use self::slow::{Slowed, slow, slowed};
use crate::job::AccountId;

/// A bucket of units: it holds no more than `most`, and fills by `per_second`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// The provider's limit, to be shown.
    pub per_minute: u32,
    /// The most units of a day; none: as many as the minutes give.
    pub per_day: Option<u32>,
    /// Units of a full bucket.
    pub most: f64,
    /// Units that come in a second, while all of the limit is in use.
    pub per_second: f64,
    /// The share of a full bucket, and of a day, that only urgent calls may use: 0 to 1.
    pub kept: f64,
}

/// What a worker wants to draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ask {
    /// Whose bucket; none: the project's.
    pub account: Option<AccountId>,
    /// Less than this is of no use: the cheapest call that waits.
    pub smallest: u32,
    /// The cost of all calls that wait.
    pub need: u32,
    /// The cost of those that are urgent. They may have what is kept.
    pub urgent: u32,
    /// The cheapest of them; 0: there is none.
    pub smallest_urgent: u32,
    /// With what will be needed soon.
    pub want: u32,
    /// What was left of the block before; none: nothing.
    pub unspent: Option<Unspent>,
    /// The bucket's size.
    pub bucket: Bucket,
}

/// Units of a block that were not spent. They do not come back into the bucket, but are not counted as used any more where they
/// were counted: in the span and on the day of their draw, for as long as these are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unspent {
    /// How many.
    pub units: u32,
    /// When they were drawn.
    pub drawn: Moment,
}

/// When a block was drawn, as the server counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The number of the span of 3 s.
    pub span: i64,
    /// The provider's day.
    pub day: NaiveDate,
}

/// A block of units, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    /// Whose bucket; none: the project's.
    pub account: Option<AccountId>,
    /// The block's units.
    pub units: u32,
    /// When there is more.
    pub again: Again,
    /// The same for urgent calls.
    pub urgent_again: Again,
    /// When it was drawn.
    pub at: Moment,
}

/// When a bucket has more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Again {
    /// The time until there are units for the cheapest call.
    pub soon: Duration,
    /// The time until it is full.
    pub full: Duration,
}

/// Draws blocks from the buckets of a project and of its accounts. Not in a transaction that goes on: the rows stay locked
/// until it ends. Of what is left, those who do not wait yet get a quarter at the most, and nothing of what is kept. A bucket so
/// small that a call needs all of it keeps nothing.
pub async fn draw(
    conn: &mut PgConnection,
    api: &str,
    project: &str,
    asks: &[Ask],
) -> Result<Vec<Drawn>, sqlx::Error> {
    let mut drawn = draw_known(&mut *conn, api, project, asks).await?;
    if drawn.len() < asks.len() {
        let new: Vec<Ask> = asks
            .iter()
            .filter(|ask| drawn.iter().all(|drawn| drawn.account != ask.account))
            .copied()
            .collect();
        make(&mut *conn, api, project, &new).await?;
        drawn.extend(draw_known(conn, api, project, &new).await?);
    }
    Ok(drawn)
}

/// Draws from the buckets that have a row already.
///
/// A bucket's time is that of its last draw and never goes back: two draws may come in another order than they began. Only a
/// server whose clock was far ahead is not waited for longer than a minute.
#[expect(clippy::too_many_lines, reason = "one statement, and its 16 parameters")]
async fn draw_known(
    conn: &mut PgConnection,
    api: &str,
    project: &str,
    asks: &[Ask],
) -> Result<Vec<Drawn>, sqlx::Error> {
    let columns = Columns::of(asks);
    let rows = sqlx::query_as!(
        Row,
        r#"-- quotas::draw
        with asked as (
            select a.*
            from unnest(
                $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
                $10::float8[], $11::float8[], $12::bigint[], $13::date[], $14::bigint[], $15::bigint[], $16::float8[]
            ) as a (
                account_id, smallest, need, want, unspent, per_minute, per_day, most, per_second, unspent_span, unspent_day,
                urgent, smallest_urgent, kept
            )
        ), locked as (
            select a.*, q.units, q.drawn_at, q.span, q.drawn, q.day, q.today, rate_in_use(q.rate, q.slowed_at) as rate
            from asked a
            join quotas q on q.api = $1 and q.project = $2 and q.account_id = a.account_id
            order by a.account_id
            for update of q
        ), filled as (
            select
                account_id, smallest, need, want, urgent, smallest_urgent, unspent, unspent_span, per_minute, per_day, most,
                rate * per_second as per_second, kept,
                greatest(0, least(kept * most, most - smallest)) as kept_units, floor(kept * per_day)::bigint as kept_of_day,
                least(most, units + rate * per_second * greatest(0, extract(epoch from clock() - drawn_at)::float8)) as units,
                greatest(clock(), least(drawn_at, clock() + interval '1 min')) as drawn_at,
                now.span,
                (array_fill(0, array[least(21, greatest(0, now.span - l.span))::int]) || drawn)[1:21] as drawn,
                now.day,
                greatest(
                    0,
                    case when l.day = now.day then today else 0 end
                        - case when unspent_day = now.day then unspent else 0 end
                ) as today,
                extract(epoch from (now.day + 1)::timestamp at time zone 'America/Los_Angeles' - clock())::float8
                    as midnight
            from locked l
            cross join (
                select
                    floor(extract(epoch from clock()) / 3)::bigint as span,
                    (clock() at time zone 'America/Los_Angeles')::date as day
            ) now
        ), free as (
            -- `least` passes over the limit of the day where there is none.
            select *,
                greatest(0, least(floor(units)::bigint, per_day - today)) as free,
                greatest(0, least(floor(units - kept_units)::bigint, per_day - kept_of_day - today)) as open
            from filled
        ), block as (
            select *,
                case
                    -- Nobody overtakes an urgent call that needs more than there is.
                    when free < smallest_urgent then 0
                    when open < smallest then least(urgent, free)
                    else greatest(least(urgent, free), least(want, open, greatest(need, open / 4)))
                end as block
            from free
        )
        update quotas q set
            per_minute = b.per_minute,
            per_day = b.per_day,
            kept = b.kept,
            units = b.units - b.block,
            drawn_at = b.drawn_at,
            span = b.span,
            drawn = (
                select array_agg(
                    greatest(0, units - case when b.span - n + 1 = b.unspent_span then b.unspent else 0 end)::integer
                        + case when n = 1 then b.block else 0 end::integer
                    order by n
                )
                from unnest(b.drawn) with ordinality as spans (units, n)
            ),
            day = b.day,
            today = b.today + b.block
        from block b
        where q.api = $1 and q.project = $2 and q.account_id = b.account_id
        returning
            q.account_id as account, b.block as "units!",
            case when b.per_day - b.kept_of_day - q.today < b.smallest then b.midnight
                else (b.kept_units + b.smallest - q.units) / b.per_second end as "soon!",
            case when b.per_day - b.kept_of_day - q.today < b.smallest then b.midnight
                else (b.most - q.units) / b.per_second end as "full!",
            case when b.per_day - q.today < b.smallest_urgent then b.midnight
                else (b.smallest_urgent - q.units) / b.per_second end as "urgent_soon!",
            case when b.per_day - q.today < b.smallest_urgent then b.midnight
                else (b.most - q.units) / b.per_second end as "urgent_full!",
            q.span as "span!", q.day as "day!""#,
        api,
        project,
        &columns.account,
        &columns.smallest,
        &columns.need,
        &columns.want,
        &columns.unspent,
        &columns.per_minute,
        &columns.per_day as &[Option<i64>],
        &columns.most,
        &columns.per_second,
        &columns.unspent_span as &[Option<i64>],
        &columns.unspent_day as &[Option<NaiveDate>],
        &columns.urgent,
        &columns.smallest_urgent,
        &columns.kept,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Drawn::from).collect())
}

/// What a draw returns.
struct Row {
    account: i64,
    units: i64,
    soon: f64,
    full: f64,
    urgent_soon: f64,
    urgent_full: f64,
    span: i64,
    day: NaiveDate,
}

impl From<Row> for Drawn {
    fn from(row: Row) -> Self {
        Self {
            account: (row.account != PROJECT).then_some(row.account),
            units: u32::try_from(row.units).unwrap_or(0),
            again: again(row.soon, row.full),
            urgent_again: again(row.urgent_soon, row.urgent_full),
            at: Moment { span: row.span, day: row.day },
        }
    }
}

fn again(soon: f64, full: f64) -> Again {
    let time = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO);
    // Whoever comes at that very moment finds nothing missing through rounding.
    Again { soon: time(soon) + Duration::from_millis(1), full: time(full) }
}

/// Makes rows of full buckets. One that was forgotten had been full for a long time.
async fn make(conn: &mut PgConnection, api: &str, project: &str, asks: &[Ask]) -> Result<(), sqlx::Error> {
    let columns = Columns::of(asks);
    sqlx::query!(
        r#"-- quotas::make
        insert into quotas (
            api, project, account_id, per_minute, per_day, units, drawn_at, span, drawn, day, today
        )
        select $1, $2, account_id, per_minute, per_day, most, clock(), 0, array_fill(0, array[21]), '-infinity', 0
        from unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::float8[])
            as a (account_id, per_minute, per_day, most)
        order by account_id
        on conflict do nothing"#,
        api,
        project,
        &columns.account,
        &columns.per_minute,
        &columns.per_day as &[Option<i64>],
        &columns.most,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Takes away the rows of those that have not been in use for a day. Says how many.
pub async fn forget_idle(conn: &mut PgConnection) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"-- quotas::forget_idle
        delete from quotas where drawn_at < clock() - interval '1 day'"#
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

/// The id in a project's own row: it comes first.
const PROJECT: i64 = 0;
