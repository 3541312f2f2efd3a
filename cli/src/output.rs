//! Results go to stdout, as a table or as JSON; what is said beside them goes to stderr.

use std::io::{self, IsTerminal, Write};

use chrono::{DateTime, Utc};
use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};
use serde::Serialize;
use shared::{admin::words, config};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    // For people.
    Table,
    // For programs.
    Json,
}

/// A terminal that says it has fewer columns gets rows that are not wrapped: some say 0.
const NARROWEST: u16 = 40;

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
    colors: bool,
    terminal: bool,
}

impl Output {
    /// Stdout, in the format asked for.
    pub fn new(format: Format) -> Self {
        let terminal = io::stdout().is_terminal();
        Self { format, terminal, colors: terminal && !config::no_color() }
    }

    /// Whether people read it.
    pub fn is_table(self) -> bool {
        self.format == Format::Table
    }

    /// Prints a list: `columns`, and for each item its cells. An empty one is told on stderr, in the words of `none`.
    pub fn list<T: Serialize>(
        self,
        items: &[T],
        none: &str,
        columns: &[&str],
        cells: impl Fn(&T) -> Vec<String>,
    ) -> anyhow::Result<()> {
        if !self.is_table() {
            return json(items);
        }
        if items.is_empty() {
            return say(none);
        }
        let mut table = self.table();
        table.set_header(columns.iter().map(|column| self.head(column)));
        for item in items {
            table.add_row(cells(item).iter().map(|text| plain(text)));
        }
        lines(table)
    }

    /// Prints one thing: a line per fact.
    pub fn facts<T: Serialize>(self, thing: &T, facts: &[(&str, String)]) -> anyhow::Result<()> {
        if !self.is_table() {
            return json(thing);
        }
        let mut table = self.table();
        for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            table.add_row([self.head(name), Cell::new(plain(value))]);
        }
        lines(table)
    }

    /// Prints what an action came to: a sentence, or the thing itself.
    pub fn result<T: Serialize>(self, thing: &T, sentence: &str) -> anyhow::Result<()> {
        if self.is_table() { line(sentence) } else { json(thing) }
    }

    /// Prints what an action on several things came to: a sentence each, or a list.
    pub fn results<T: Serialize>(self, things: &[T], sentence: impl Fn(&T) -> String) -> anyhow::Result<()> {
        if !self.is_table() {
            return json(things);
        }
        things.iter().try_for_each(|thing| line(&sentence(thing)))
    }

    fn table(self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if !self.terminal {
            table.force_no_tty();
        } else if table.width().is_some_and(|width| width >= NARROWEST) {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        table
    }

    fn head(self, text: &str) -> Cell {
        let cell = Cell::new(text);
        if self.colors { cell.add_attribute(Attribute::Bold) } else { cell }
    }
}

/// Prints JSON.
pub fn json<T: Serialize + ?Sized>(thing: &T) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(thing)?)
}

fn lines(mut table: Table) -> anyhow::Result<()> {
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    for row in table.lines() {
        line(row.trim_end())?;
    }
    Ok(())
}

/// Prints a line of the result.
pub fn line(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout(), "{line}")?)
}

/// Says something beside the result.
pub fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stderr(), "{line}")?)
}

/// The text without control characters: notes repeat what providers say, and a terminal would obey them.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A moment that may be missing, as seen from `now`.
pub fn when(at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| words::when(at, now))
}

/// A text that may be missing.
pub fn or_dash<T: ToString>(text: Option<&T>) -> String {
    text.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// `yes` or nothing.
pub fn yes(is: bool) -> String {
    if is { "yes".to_owned() } else { String::new() }
}
