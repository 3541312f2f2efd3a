//! Where a process listens.

use std::net::SocketAddr;

use super::trimmed;

/// The variable of the admin listener's address.
pub const ADMIN_ADDR: &str = "SYNCFLEET_ADMIN_ADDR";

/// The variable of the public listener's address.
pub const PUBLIC_ADDR: &str = "SYNCFLEET_PUBLIC_ADDR";

/// Where the process listens. Loopback unless it is told otherwise.
#[derive(Debug, Clone, clap::Args)]
pub struct Listeners {
    /// Where metrics and health are served
    #[arg(
        long, env = ADMIN_ADDR, value_name = "ADDR:PORT", default_value = "127.0.0.1:9090",
        value_parser = trimmed::<SocketAddr>, help_heading = "Settings"
    )]
    pub admin_addr: SocketAddr,

    /// Where the outside calls: webhooks, sign-in, addresses of routers
    #[arg(
        long, env = PUBLIC_ADDR, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080",
        value_parser = trimmed::<SocketAddr>, help_heading = "Settings"
    )]
    pub public_addr: SocketAddr,
}
