/// What Google allows of an API, in its units (a call of Calendar is one):
/// <https://developers.google.com/workspace/calendar/api/guides/quota>,
/// <https://developers.google.com/workspace/drive/api/guides/limits>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For the project, in any minute.
    pub per_minute: u32,
    /// For one user of the project, in any minute.
    pub user_per_minute: u32,
    /// For the project, on a day.
    pub per_day: u32,
    /// Percent of each of them that only push-driven work may use.
    pub kept: u32,
}

impl Limits {
    /// What Google gives a new project.
    pub const CALENDAR: Self =
        Self { per_minute: 10_000, user_per_minute: 600, per_day: 1_000_000, kept: 20 };

    /// The same of Drive.
    pub const DRIVE: Self =
        Self { per_minute: 1_000_000, user_per_minute: 325_000, per_day: 400_000_000, kept: 20 };
}

/// A clap parser for a limit of Drive. No call may cost more than the twentieth part of a limit, which is the burst that the
/// budget allows: a download costs 200 units.
pub(super) fn drive_limit(text: &str) -> Result<u32, String> {
    text.trim()
        .parse()
        .ok()
        .filter(|limit| (4_000..=2_000_000_000).contains(limit))
        .ok_or_else(|| "not a number of units from 4000 to 2000000000".to_owned())
}

/// A clap parser for a limit.
pub(super) fn limit(text: &str) -> Result<u32, String> {
    text.trim()
        .parse()
        .ok()
        .filter(|limit| (10..=100_000_000).contains(limit))
        .ok_or_else(|| "not a number of calls from 10 to 100000000".to_owned())
}

/// A clap parser for the share that is kept. Not all of it: polls find what pushes lose.
pub(super) fn kept(text: &str) -> Result<u32, String> {
    text.trim()
        .parse()
        .ok()
        .filter(|percent| (0..=90).contains(percent))
        .ok_or_else(|| "not a whole number of percent from 0 to 90".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_numbers_that_make_sense() {
        assert_eq!(limit(" 600\n"), Ok(600));
        for bad in ["", "9", "-1", "0", "600.5", "600/min", "100000001", "99999999999"] {
            assert!(limit(bad).unwrap_err().contains("from 10 to 100000000"), "{bad:?}");
        }
        assert_eq!(drive_limit("325000"), Ok(325_000));
        for bad in ["", "3999", "2000000001"] {
            assert!(drive_limit(bad).unwrap_err().contains("from 4000 to 2000000000"), "{bad:?}");
        }
        assert_eq!((kept("0"), kept(" 90\n")), (Ok(0), Ok(90)));
        for bad in ["", "-1", "91", "20%", "0.2"] {
            assert!(kept(bad).unwrap_err().contains("from 0 to 90"), "{bad:?}");
        }
    }
}
