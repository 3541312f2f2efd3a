use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A lane has its own bell and slots, so that long work of one cannot delay another. In order of urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "lane", rename_all = "lowercase")]
pub enum Lane {
    /// Somebody waits for it: a push, an operator.
    Interactive,
    /// A timer made it due.
    Normal,
    /// A long pass, in bounded steps.
    Bulk,
}

impl Lane {
    /// All lanes, most urgent first. `lane as usize` is a lane's place in it.
    pub const ALL: [Self; 3] = [Self::Interactive, Self::Normal, Self::Bulk];

    /// The lane's name, as in SQL, metrics and the CLI.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Lane {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|lane| lane.as_str() == name)
            .ok_or_else(|| format!("unknown lane {name:?}: the lanes are interactive, normal and bulk"))
    }
}

/// How many runs a worker holds at once in each lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lanes {
    /// Slots of the interactive lane.
    pub interactive: u32,
    /// Slots of the normal lane.
    pub normal: u32,
    /// Slots of the bulk lane.
    pub bulk: u32,
}

impl Lanes {
    /// The most slots that one lane may have.
    pub const MOST: u32 = 10_000;

    /// The slots of one lane.
    #[must_use]
    pub const fn of(&self, lane: Lane) -> u32 {
        match lane {
            Lane::Interactive => self.interactive,
            Lane::Normal => self.normal,
            Lane::Bulk => self.bulk,
        }
    }

    const fn of_mut(&mut self, lane: Lane) -> &mut u32 {
        match lane {
            Lane::Interactive => &mut self.interactive,
            Lane::Normal => &mut self.normal,
            Lane::Bulk => &mut self.bulk,
        }
    }
}

impl Default for Lanes {
    fn default() -> Self {
        Self { interactive: 8, normal: 32, bulk: 4 }
    }
}

impl fmt::Display for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interactive={},normal={},bulk={}", self.interactive, self.normal, self.bulk)
    }
}

/// Reads `interactive=8,normal=32,bulk=4`. A lane that is not named gets no slots.
impl FromStr for Lanes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut lanes = Self { interactive: 0, normal: 0, bulk: 0 };
        let mut named = [false; Lane::ALL.len()];
        for part in text.split(',') {
            let (name, slots) = part
                .split_once('=')
                .ok_or_else(|| format!("{part:?} is not LANE=SLOTS, as in interactive=8,normal=32,bulk=4"))?;
            let lane: Lane = name.trim().parse()?;
            let slots: u32 = slots
                .trim()
                .parse()
                .ok()
                .filter(|slots| *slots <= Self::MOST)
                .ok_or_else(|| format!("{lane}: {slots:?} is not a number from 0 to {}", Self::MOST))?;
            if std::mem::replace(&mut named[lane as usize], true) {
                return Err(format!("lane {lane} is named twice"));
            }
            *lanes.of_mut(lane) = slots;
        }
        if Lane::ALL.into_iter().all(|lane| lanes.of(lane) == 0) {
            return Err("no lane has a slot: give at least one, as in normal=32".to_owned());
        }
        Ok(lanes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_read_back_what_they_print() {
        let lanes: Lanes = "interactive=8, normal=32,bulk=4".parse().unwrap();
        assert_eq!(lanes, Lanes::default());
        assert_eq!(lanes.to_string().parse(), Ok(lanes));
        assert_eq!("bulk=1".parse(), Ok(Lanes { interactive: 0, normal: 0, bulk: 1 }));
    }

    #[test]
    fn wrong_lanes_are_refused_with_the_reason() {
        for (text, reason) in [
            ("", "LANE=SLOTS"),
            ("normal", "LANE=SLOTS"),
            ("fast=1", "unknown lane \"fast\""),
            ("normal=-1", "not a number"),
            ("normal=10001", "from 0 to 10000"),
            ("normal=1,normal=2", "named twice"),
            ("normal=0", "no lane has a slot"),
        ] {
            let error = text.parse::<Lanes>().unwrap_err();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
