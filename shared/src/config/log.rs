/// How a process logs.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Log {
    /// How log lines are written: `text` for people, `json` for programs, `auto` is text on a terminal and JSON elsewhere
    #[arg(
        long = "log-format", env = "SYNCFLEET_LOG_FORMAT", value_name = "FORMAT", default_value = "auto", value_parser = format,
        help_heading = "Settings"
    )]
    pub log_format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// An empty variable is as good as none.
fn format(text: &str) -> Result<LogFormat, String> {
    match text.trim() {
        "" | "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("allowed are auto, text and json".to_owned()),
    }
}
