//! The subcommands: roles, then admin nouns. Each one's flags and work stand in the file of its name.

use clap::{ArgMatches, Parser, Subcommand};
use shared::config;

use crate::{
    admin, exit,
    exit::Exit,
    ingress, migrate,
    output::{Format, Output},
    scheduler, up, worker,
};

/// Keeps things in step with the outside world, for many tenants, from one queue and a fleet of workers
#[derive(Debug, Parser)]
#[command(name = "syncfleet", version, after_help = exit::HELP, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// How results are printed
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    output: Format,

    #[command(flatten)]
    tls: config::Tls,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Args),
    Scheduler(scheduler::Args),
    Ingress(ingress::Args),
    Migrate(migrate::Args),

    Tenant(admin::tenant::Args),
    Kind(admin::kind::Args),
    Lane(admin::lane::Args),
    Enqueue(admin::enqueue::Args),
    Job(admin::job::Args),
    Run(admin::run::Args),
    Worker(worker::Args),
    Quota(admin::quota::Args),
    Account(admin::account::Args),
    Calendar(admin::calendar::Args),
    Channel(admin::channel::Args),
    Event(admin::event::Args),
    Drive(admin::drive::Args),
    File(admin::file::Args),
    Dns(admin::dns::Args),
    Feed(admin::feed::Args),
    Webhook(admin::webhook::Args),
    Keys(admin::keys::Args),
    Audit(admin::audit::Args),
    Config(admin::config::Args),
    Completions(admin::completions::Args),
}

/// Runs the command.
pub async fn run(cli: Cli, matches: &ArgMatches) -> anyhow::Result<Exit> {
    cli.tls.trust()?;
    let out = Output::new(cli.output);
    match cli.command {
        Command::Up(args) => up::run(args).await,
        Command::Scheduler(args) => scheduler::run(&args).await,
        Command::Ingress(args) => ingress::run(&args).await,
        Command::Migrate(args) => migrate::run(&args, out).await,
        Command::Tenant(args) => admin::tenant::run(&args, out).await,
        Command::Kind(args) => admin::kind::run(&args, out).await,
        Command::Lane(args) => admin::lane::run(&args, out).await,
        Command::Enqueue(args) => admin::enqueue::run(&args, out).await,
        Command::Job(args) => admin::job::run(&args, out).await,
        Command::Run(args) => admin::run::run(&args, out).await,
        Command::Worker(args) => worker::run(&args, out).await,
        Command::Quota(args) => admin::quota::run(&args, out).await,
        Command::Account(args) => admin::account::run(&args, out).await,
        Command::Calendar(args) => admin::calendar::run(&args, out).await,
        Command::Channel(args) => admin::channel::run(&args, out).await,
        Command::Event(args) => admin::event::run(&args, out).await,
        Command::Drive(args) => admin::drive::run(&args, out).await,
        Command::File(args) => admin::file::run(&args, out).await,
        Command::Dns(args) => admin::dns::run(&args, out).await,
        Command::Feed(args) => admin::feed::run(&args, out).await,
        Command::Webhook(args) => admin::webhook::run(&args, out).await,
        Command::Keys(args) => admin::keys::run(&args, out).await,
        Command::Audit(args) => admin::audit::run(&args, out).await,
        Command::Config(args) => admin::config::run(&args, matches, out).await,
        Command::Completions(args) => admin::completions::run(&args),
    }
}

#[cfg(test)]
mod tests;
