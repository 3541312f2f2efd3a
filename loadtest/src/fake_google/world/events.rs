//! Operations on events.

use std::sync::Arc;

use anyhow::{Context, ensure};

use super::World;
use crate::fake_google::event::{EventDraft, Occurrence, When};

impl World {
    /// Adds an event, or replaces the one whose id the draft names (also a deleted one). Answers its id.
    pub fn put_event(&mut self, calendar: &str, mut draft: EventDraft) -> anyhow::Result<String> {
        let index = self.calendar_index(calendar)?;
        check(&draft)?;
        let id = draft.id.take().unwrap_or_else(|| self.draw_id());
        let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'v').contains(&byte);
        ensure!(
            (5..=1024).contains(&id.len()) && id.bytes().all(plain),
            "event id {id:?}: 5 to 1024 characters of a-v and 0-9 are allowed"
        );
        let stamp = self.stamp();
        self.calendars[index].put(&Arc::from(id.as_str()), draft, None, stamp);
        Ok(id)
    }

    /// Adds or replaces the exception of a series that stands for the occurrence at `original`. The series may be
    /// missing in this calendar: one can be invited to a single occurrence. Answers the exception's id.
    pub fn put_exception(
        &mut self,
        calendar: &str,
        series: &str,
        original: &When,
        draft: EventDraft,
    ) -> anyhow::Result<String> {
        let index = self.calendar_index(calendar)?;
        check(&draft)?;
        ensure!(
            draft.id.is_none() && draft.recurrence.is_empty(),
            "an exception has neither own id nor recurrence"
        );
        let (id, occurrence) = self.occurrence(index, series, original)?;
        let stamp = self.stamp();
        self.calendars[index].put(&id, draft, Some(occurrence), stamp);
        Ok(id.to_string())
    }

    /// Cancels the occurrence of a series at `original`. Answers the id of the cancelled exception.
    pub fn cancel_occurrence(
        &mut self,
        calendar: &str,
        series: &str,
        original: &When,
    ) -> anyhow::Result<String> {
        let index = self.calendar_index(calendar)?;
        let (id, occurrence) = self.occurrence(index, series, original)?;
        let stamp = self.stamp();
        self.calendars[index].cancel_occurrence(&id, occurrence, stamp);
        Ok(id.to_string())
    }

    fn occurrence(
        &self,
        calendar: usize,
        series: &str,
        start: &When,
    ) -> anyhow::Result<(Arc<str>, Occurrence)> {
        ensure!(start.is_whole(), "original start: exactly one of date and dateTime is needed");
        if let Some(master) = self.calendars[calendar].events.get(series) {
            ensure!(
                !master.cancelled && !master.body.recurrence.is_empty(),
                "event {series} is no live series"
            );
        }
        let id = format!("{series}_{}", start.stamp());
        Ok((Arc::from(id), Occurrence { master: Arc::from(series), start: start.clone() }))
    }

    /// Deletes a live event: a single one, a whole series, or an exception (whose occurrence is then cancelled).
    pub fn delete_event(&mut self, calendar: &str, id: &str) -> anyhow::Result<()> {
        let index = self.calendar_index(calendar)?;
        let live = self.calendars[index].events.get(id).is_some_and(|row| self.calendars[index].is_live(row));
        ensure!(live, "calendar {calendar} has no live event {id}");
        let stamp = self.stamp();
        self.calendars[index].cancel(&Arc::from(id), stamp);
        Ok(())
    }

    /// Brings a deleted event back, a series with its exceptions.
    pub fn restore_event(&mut self, calendar: &str, id: &str) -> anyhow::Result<()> {
        let index = self.calendar_index(calendar)?;
        let row = self.calendars[index].events.get(id).filter(|row| row.cancelled);
        let row = row.with_context(|| format!("calendar {calendar} has no deleted event {id}"))?;
        let (body, occurrence) = (row.body.clone(), row.occurrence.clone());
        let stamp = self.stamp();
        self.calendars[index].put(&Arc::from(id), body, occurrence, stamp);
        Ok(())
    }

    /// Moves an event to another calendar: deleted here, the same id there. Exceptions do not go along.
    pub fn move_event(&mut self, from: &str, to: &str, id: &str) -> anyhow::Result<()> {
        ensure!(from != to, "event {id} is in calendar {to} already");
        self.calendar_index(to)?;
        let draft =
            self.event(from, id).with_context(|| format!("calendar {from} has no live event {id}"))?;
        ensure!(draft.id.is_some(), "event {id} is an exception: only whole events can be moved");
        self.delete_event(from, id)?;
        self.put_event(to, draft)?;
        Ok(())
    }

    /// A live event as a draft to change and put back. The draft of an exception carries no id.
    #[must_use]
    pub fn event(&self, calendar: &str, id: &str) -> Option<EventDraft> {
        let calendar = &self.calendars[*self.by_calendar.get(calendar)?];
        let row = calendar.events.get(id).filter(|row| calendar.is_live(row))?;
        let id = row.occurrence.is_none().then(|| id.to_owned());
        Some(EventDraft { id, ..row.body.clone() })
    }
}

fn check(draft: &EventDraft) -> anyhow::Result<()> {
    ensure!(draft.start.is_whole(), "start: exactly one of date and dateTime is needed");
    ensure!(draft.end.as_ref().is_none_or(When::is_whole), "end: exactly one of date and dateTime is needed");
    let known = matches!(draft.status.as_deref(), None | Some("confirmed" | "tentative"));
    ensure!(known, "status: confirmed and tentative are allowed; delete the event to cancel it");
    Ok(())
}
