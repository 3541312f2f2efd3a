use std::{fmt, str::FromStr};

/// A place in the feed: between what was read and what was not. In the feed's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The place where the database lived.
    pub epoch: i32,
    /// The transaction.
    pub xid: i64,
    /// The row.
    pub id: i64,
}

impl Position {
    /// Before everything.
    pub const START: Self = Self { epoch: 0, xid: 0, id: 0 };
}

/// As in `29921168-7421-88`. For readers it has no meaning but its place.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.epoch, self.xid, self.id)
    }
}

impl serde::Serialize for Position {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no position in the feed: give the id of a change, as 29921168-7421-88, or `oldest` or `now`"
)]
pub struct NotAPosition(String);

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let bad = || NotAPosition(text.chars().take(100).collect());
        let mut numbers = text.trim().split('-');
        let mut number = || {
            let part = numbers.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?;
            part.parse::<i64>().ok()
        };
        let (epoch, xid, id) = (number(), number(), number());
        match (epoch.map(i32::try_from), xid, id, numbers.next()) {
            (Some(Ok(epoch)), Some(xid), Some(id), None) => Ok(Self { epoch, xid, id }),
            _ => Err(bad()),
        }
    }
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// With what is still kept.
    Oldest,
    /// With what comes from now on.
    Now,
    /// Where it left off.
    Position(Position),
}

impl FromStr for After {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        match text.trim() {
            "oldest" => Ok(Self::Oldest),
            "now" => Ok(Self::Now),
            position => position.parse().map(Self::Position),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_read_back_what_they_print_and_keep_their_order() {
        let mut last = Position::START;
        for text in ["1-1-0", "1-1-1", "1-1-10", "1-2-0", "1-10-0", "2-0-0", "29921168-9223372036854775807-1"]
        {
            let position: Position = text.parse().unwrap();
            assert_eq!(position.to_string(), text);
            assert!(last < position, "{text}");
            last = position;
        }
        assert_eq!(" oldest\n".parse(), Ok(After::Oldest));
        assert_eq!("now".parse(), Ok(After::Now));
        assert_eq!("1-2-3".parse(), Ok(After::Position(Position { epoch: 1, xid: 2, id: 3 })));
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in [
            "",
            "1",
            "1-2",
            "1-2-",
            "1--2",
            "-1-2-3",
            "1-2-3-4",
            "a-b-c",
            "1-+2-3",
            "2147483648-1-1",
            "latest",
        ] {
            let error = text.parse::<After>().unwrap_err().to_string();
            assert!(error.contains("no position in the feed"), "{text}: {error}");
        }
    }
}
