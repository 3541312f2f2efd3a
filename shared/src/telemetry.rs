//! Logs and metrics of a process.

use std::io::IsTerminal;

use anyhow::Context;
use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::Metadata;
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::config::{self, LogFormat};

/// What is logged when `RUST_LOG` does not say otherwise.
const DEFAULT_LEVELS: &str = "info,sqlx=warn,hyper=warn,reqwest=warn,apalis=warn,apalis_core=warn";

/// It logs the assertions that it signs and the tokens that come for them, at the level debug: never taken, whatever `RUST_LOG` says.
const TALKATIVE: &str = "yup_oauth2";

/// Buckets for delays, in seconds: from a push that is served at once to a job that waited for a day.
const DELAYS: [f64; 17] =
    [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0];

/// Begins to log, to standard error. Levels come from `RUST_LOG`.
pub fn log(log: config::Log) -> anyhow::Result<()> {
    let given =
        EnvFilter::builder().from_env().context("RUST_LOG is not valid; it looks like info,sqlx=warn")?;
    let levels =
        if EnvFilter::try_from_default_env().is_ok() { given } else { EnvFilter::new(DEFAULT_LEVELS) };
    let terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let text = match log.log_format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines = if text {
        lines.with_ansi(terminal && !config::no_color()).with_target(false).boxed()
    } else {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    };
    tracing_subscriber::registry()
        .with(levels)
        .with(filter_fn(is_discreet))
        .with(lines)
        .try_init()
        .context("cannot begin to log")
}

fn is_discreet(metadata: &Metadata<'_>) -> bool {
    !metadata.target().starts_with(TALKATIVE)
}

/// The process's metrics.
#[derive(Debug, Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// The metrics in Prometheus's text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}

/// Begins to measure. `role` is shown in `syncfleet_build_info`.
pub fn measure(role: &'static str) -> anyhow::Result<Metrics> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DELAYS)
        .context("cannot set the buckets")?
        .install_recorder()
        .context("cannot begin to measure")?;
    describe_gauge!("syncfleet_build_info", "1; the labels tell the program's version and the role");
    gauge!("syncfleet_build_info", "version" => env!("CARGO_PKG_VERSION"), "role" => role).set(1.0);
    Ok(Metrics(handle))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_tells_tokens_is_not_logged_at_any_level() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
        let levels = EnvFilter::new("trace");
        let all = tracing_subscriber::registry().with(levels).with(filter_fn(is_discreet)).with(layer);
        tracing::subscriber::with_default(all, || {
            tracing::debug!(target: "yup_oauth2::service_account", "assertion=secret");
            tracing::debug!(target: "hyper", "connected");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("connected") && !text.contains("secret"), "{text}");
    }
}
