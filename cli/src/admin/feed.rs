//! `feed`: what changes, as it happens, and who may read it.

mod tail;
mod token;

use clap::Subcommand;

use super::Access;
use crate::{exit::Exit, output::Output};

/// What changes, as it happens, and who may read it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet feed tail --tenant acme
  syncfleet feed tail --account 42 --resource event --after oldest --no-follow
  syncfleet feed tail --tenant home --resource dns_record --what failing,recovered
  syncfleet feed token add --tenant acme --name crm
  syncfleet feed token rm 3

With a token: curl -N -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8080/feed")]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print changes as they happen, a line of JSON each
    Tail(tail::Tail),
    /// Tokens for readers of /feed
    #[command(subcommand)]
    Token(token::Verb),
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    match &args.verb {
        Verb::Tail(tail) => tail::tail(&args.access, tail).await,
        Verb::Token(verb) => token::run(&args.access, verb, out).await,
    }
}
