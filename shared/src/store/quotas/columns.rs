use chrono::NaiveDate;

use super::{Ask, PROJECT};

/// Asks, turned into arrays.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) account: Vec<i64>,
    pub(super) smallest: Vec<i64>,
    pub(super) need: Vec<i64>,
    pub(super) want: Vec<i64>,
    pub(super) urgent: Vec<i64>,
    pub(super) smallest_urgent: Vec<i64>,
    pub(super) unspent: Vec<i64>,
    pub(super) unspent_span: Vec<Option<i64>>,
    pub(super) unspent_day: Vec<Option<NaiveDate>>,
    pub(super) per_minute: Vec<i64>,
    pub(super) per_day: Vec<Option<i64>>,
    pub(super) most: Vec<f64>,
    pub(super) per_second: Vec<f64>,
    pub(super) kept: Vec<f64>,
}

impl Columns {
    pub(super) fn of(asks: &[Ask]) -> Self {
        let mut columns = Self::default();
        for ask in asks {
            columns.account.push(ask.account.unwrap_or(PROJECT));
            columns.smallest.push(ask.smallest.into());
            columns.need.push(ask.need.into());
            columns.want.push(ask.want.into());
            columns.urgent.push(ask.urgent.into());
            columns.smallest_urgent.push(ask.smallest_urgent.into());
            columns.unspent.push(ask.unspent.map_or(0, |unspent| unspent.units.into()));
            columns.unspent_span.push(ask.unspent.map(|unspent| unspent.drawn.span));
            columns.unspent_day.push(ask.unspent.map(|unspent| unspent.drawn.day));
            columns.per_minute.push(ask.bucket.per_minute.into());
            columns.per_day.push(ask.bucket.per_day.map(i64::from));
            columns.most.push(ask.bucket.most);
            columns.per_second.push(ask.bucket.per_second);
            columns.kept.push(ask.bucket.kept);
        }
        columns
    }
}
