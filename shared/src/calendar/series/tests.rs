use proptest::prelude::*;

use super::*;

const PARTS: [&str; 18] = [
    "INTERVAL=2",
    "INTERVAL=65535",
    "COUNT=7",
    "UNTIL=20260401",
    "UNTIL=20260401T070000Z",
    "WKST=SU",
    "BYDAY=MO,-1FR",
    "BYDAY=53SU,TU",
    "BYMONTHDAY=31,-31",
    "BYMONTH=2,12",
    "BYSETPOS=-1,1",
    "BYSETPOS=366",
    "BYYEARDAY=-366,366",
    "BYWEEKNO=53,-53",
    "BYHOUR=0,2,23",
    "BYMINUTE=0,59",
    "BYSECOND=0,59",
    "BYDAY=MO",
];

fn rule() -> impl Strategy<Value = String> {
    let frequency = prop::sample::select(vec!["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY"]);
    let parts = prop::sample::subsequence(PARTS.to_vec(), 0..4);
    (frequency, parts).prop_map(|(frequency, parts)| {
        let mut seen = BTreeSet::new();
        let parts = parts.into_iter().filter(|part| seen.insert(part.split('=').next()));
        parts.fold(format!("RRULE:FREQ={frequency}"), |rule, part| format!("{rule};{part}"))
    })
}

/// Characters of rules in any order.
fn nonsense() -> impl Strategy<Value = String> {
    "(RRULE|EXRULE|RDATE|EXDATE|rrule)[:;](FREQ=(DAILY|WEEKLY|YEARLY);?)?([A-Z]{2,10}=)?[-+0-9A-Z=;:,/é]{0,40}"
}

fn series<'a>(zone: &str, start: &str, minutes: i64, all_day: bool, lines: &'a [String]) -> Series<'a> {
    let zone = Zone::find(&[Some(zone)], None);
    let start = zone.moment(start.parse().unwrap());
    if all_day {
        let day = start.date_naive();
        let end = day + Days::new(1 + u64::try_from(minutes / 1440).unwrap());
        return Series { start: Time::Day(day), end: Time::Day(end), zone, lines };
    }
    Series { start: Time::Moment(start), end: Time::Moment(start + TimeDelta::minutes(minutes)), zone, lines }
}

fn window(from: i64, hours: i64) -> Window {
    let from = DateTime::from_timestamp(1_770_000_000 + from * 3600, 0).unwrap();
    Window { from, to: from + TimeDelta::hours(hours) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn two_windows_side_by_side_find_what_one_over_both_finds(
        rule in rule(), all_day in any::<bool>(), minutes in 0i64..5000, from in 0i64..3000, one in 1i64..2000,
        two in 1i64..2000, zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "UTC"]),
        start in prop::sample::select(vec!["2025-10-26T02:30:00", "2026-03-29T02:15:00", "2026-02-28T23:45:00", "2024-02-29T00:00:00"]),
    ) {
        let lines = [rule];
        let series = series(zone, start, minutes, all_day, &lines);
        let (both, first, second) = (window(from, one + two), window(from, one), window(from + one, two));
        let whole = series.within(both, &[]).occurrences;
        let mut halves = series.within(first, &[]).occurrences;
        halves.extend(series.within(second, &[]).occurrences);
        halves.sort();
        halves.dedup();
        prop_assert_eq!(&whole, &halves);
        prop_assert!(whole.windows(2).all(|pair| pair[0].0 < pair[1].0), "in order, each once");
        if let Some(end) = series.ends_by() {
            prop_assert!(whole.iter().all(|(_, last)| last.moment(series.zone) <= end), "ended by {}", end);
        }
    }
}

proptest! {
    #[test]
    fn no_line_makes_it_fail(lines in prop::collection::vec(nonsense(), 0..4), all_day in any::<bool>()) {
        let series = series("Europe/Berlin", "2026-03-29T02:15:00", 60, all_day, &lines);
        let found = series.within(window(0, 5000), &[]);
        prop_assert!(found.occurrences.len() < 6000);
        let ends = series.ends_by();
        prop_assert!(ends.is_none_or(|end| end > series.start.moment(series.zone)));
    }
}
