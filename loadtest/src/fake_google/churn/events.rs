//! Changes of events, such as people make.

use std::ops::Bound;

use rand::{Rng, RngExt};

use crate::fake_google::{
    calendar::Calendar,
    event::{EventDraft, Row},
    seed::{draft, occurrence, title},
    world::World,
};

impl World {
    /// Makes one change to one calendar, such as people make. Does nothing in a world without calendars.
    pub fn churn(&mut self, rng: &mut impl Rng) -> anyhow::Result<()> {
        if self.calendars.is_empty() {
            return Ok(());
        }
        let calendar = self.calendars[rng.random_range(0..self.calendars.len())].id.clone();
        let now = self.now().fixed_offset();
        let some = self.some_event(&calendar, rng);
        let choice = rng.random_range(0..100);
        match (choice, some) {
            (0..17, _) | (_, None) => {
                let draft = draft(rng, now, false);
                self.put_event(&calendar, draft)?;
            }
            (17..22, _) => {
                let draft = draft(rng, now, true);
                self.put_event(&calendar, draft)?;
            }
            (22..40, Some((id, _))) => self.delete_event(&calendar, &id)?,
            (40..45, Some((id, event))) => {
                let target = self.calendars[rng.random_range(0..self.calendars.len())].id.clone();
                if target != calendar && event.id.is_some() && event.recurrence.is_empty() {
                    self.move_event(&calendar, &target, &id)?;
                }
            }
            (45..48, _) => self.restore_some(&calendar, rng)?,
            (48..70, Some((_, event))) if !event.recurrence.is_empty() => {
                self.change_occurrence(&calendar, &event, rng)?;
            }
            (_, Some((_, event))) if event.id.is_some() => {
                let mut event = EventDraft { summary: Some(title(rng)), ..event };
                if rng.random_bool(0.2) {
                    event.start = occurrence(&event.start, 1);
                    event.end = None;
                }
                self.put_event(&calendar, event)?;
            }
            (_, Some((id, event))) => self.rename_exception(&calendar, &id, event, rng)?,
        }
        Ok(())
    }

    /// The live event that follows a drawn id: not quite fair, but found at once.
    fn some_event(&self, calendar: &str, rng: &mut impl Rng) -> Option<(String, EventDraft)> {
        let id = self.after_drawn_id(calendar, rng, Calendar::is_live)?;
        let event = self.event(calendar, &id)?;
        Some((id, event))
    }

    fn after_drawn_id(
        &self,
        calendar: &str,
        rng: &mut impl Rng,
        fits: impl Fn(&Calendar, &Row) -> bool,
    ) -> Option<String> {
        const FIRST: &[u8] = b"0123456789abcdefghijklmnopqrstuv";
        let calendar = &self.calendars[*self.by_calendar.get(calendar)?];
        let from: String = (0..3).map(|_| char::from(FIRST[rng.random_range(0..FIRST.len())])).collect();
        let from = (Bound::Included(from.as_str()), Bound::Unbounded);
        let mut found = calendar.events.range::<str, _>(from).chain(calendar.events.iter());
        found.find(|(_, row)| fits(calendar, row)).map(|(id, _)| id.to_string())
    }

    fn restore_some(&mut self, calendar: &str, rng: &mut impl Rng) -> anyhow::Result<()> {
        let deleted = self.after_drawn_id(calendar, rng, |_, row| row.cancelled && row.occurrence.is_none());
        deleted.map_or(Ok(()), |id| self.restore_event(calendar, &id))
    }

    fn change_occurrence(
        &mut self,
        calendar: &str,
        series: &EventDraft,
        rng: &mut impl Rng,
    ) -> anyhow::Result<()> {
        let Some(id) = &series.id else { return Ok(()) };
        let original = occurrence(&series.start, rng.random_range(0..20));
        if rng.random_bool(0.4) {
            self.cancel_occurrence(calendar, id, &original)?;
        } else {
            let changed = EventDraft::new(&title(rng), original.clone());
            self.put_exception(calendar, id, &original, changed)?;
        }
        Ok(())
    }

    fn rename_exception(
        &mut self,
        calendar: &str,
        id: &str,
        event: EventDraft,
        rng: &mut impl Rng,
    ) -> anyhow::Result<()> {
        let occurrence = self
            .by_calendar
            .get(calendar)
            .and_then(|index| self.calendars[*index].events.get(id).and_then(|row| row.occurrence.clone()));
        if let Some(of) = occurrence {
            let renamed = EventDraft { summary: Some(title(rng)), ..event };
            self.put_exception(calendar, &of.master, &of.start, renamed)?;
        }
        Ok(())
    }
}
