use std::time::Duration;

/// How long history is kept.
#[derive(Debug, Clone, clap::Args)]
pub struct Retention {
    /// How long the history of runs is kept
    #[arg(
        long, env = "SYNCFLEET_RUNS_KEEP", value_name = "TIME", default_value = "14days",
        value_parser = keep, help_heading = "Settings"
    )]
    pub runs_keep: Duration,

    /// How long the change feed is kept: whoever stays away for longer has to read everything anew
    #[arg(
        long, env = "SYNCFLEET_CHANGES_KEEP", value_name = "TIME", default_value = "7days",
        value_parser = keep, help_heading = "Settings"
    )]
    pub changes_keep: Duration,
}

const DAY: Duration = Duration::from_hours(24);

fn keep(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text.trim()).map_err(|error| error.to_string())?;
    if (DAY..=3_650 * DAY).contains(&time) {
        Ok(time)
    } else {
        Err("history is kept by the day: give from 1day to 3650days".to_owned())
    }
}
