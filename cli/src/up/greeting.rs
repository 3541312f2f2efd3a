//! What `up` says when everything runs: where to look, and how to begin.

use std::{
    fmt::Write as _,
    io::{IsTerminal, Write as _},
    net::SocketAddr,
    path::Path,
};

use anyhow::Context;
use url::Url;

/// What it speaks of.
#[derive(Debug, Clone, Copy)]
pub struct Greeting<'a> {
    /// The file that other commands' settings stand in.
    pub environment: &'a Path,
    /// Where the public listener listens.
    pub public: SocketAddr,
    /// Where the outside reaches it; none: nobody has said so.
    pub public_url: Option<&'a Url>,
    /// Where the admin listener listens.
    pub admin: SocketAddr,
    /// Whether there is an OAuth client of Google.
    pub google: bool,
    /// Whether there is demo work.
    pub demo: bool,
}

const DEMO: &str = "
  The demo:
    syncfleet calendar ls
    syncfleet event ls --account 1 --from now
    syncfleet file ls --account 1 --name '*lunch*'
    syncfleet channel ls
    syncfleet run ls
    syncfleet feed tail --account 1
    syncfleet account connect --tenant demo-one
";

const NAMES: &str = "
  A name that follows your address (docs/dns.md):
    syncfleet tenant add me
    syncfleet dns address find echo
    syncfleet dns address add home --tenant me --ipv4 echo
    syncfleet dns providers
";

const GOOGLE: &str = "
  Google calendars and drives:
    syncfleet tenant add me
    syncfleet account connect --tenant me
";

const NO_GOOGLE: &str = "
  Google calendars and drives wait until SYNCFLEET_GOOGLE_CLIENT_ID and SYNCFLEET_GOOGLE_CLIENT_SECRET are set.
";

impl Greeting<'_> {
    /// Prints it.
    pub fn print(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout();
        let text = self.text(out.is_terminal());
        writeln!(out, "{text}").context("cannot say where to look")
    }

    fn text(&self, terminal: bool) -> String {
        let Self { environment, public, admin, .. } = self;
        let stop = if terminal { " Stop it with Ctrl-C." } else { "" };
        let mut text = format!(
            "syncfleet is up.{stop}\n\n  In another terminal:\n    source {}\n    syncfleet job ls\n",
            environment.display()
        );
        let google = match (self.demo, self.google) {
            (true, _) => "",
            (false, true) => GOOGLE,
            (false, false) => NO_GOOGLE,
        };
        for part in [if self.demo { DEMO } else { "" }, NAMES, google] {
            text.push_str(part);
        }
        let reach = match self.public_url.filter(|url| url.scheme() == "https") {
            Some(url) => format!("{url}nic/update, which leads to {public}"),
            None if public.ip().is_loopback() => format!(
                "http://{public}/nic/update, from this machine alone: SYNCFLEET_PUBLIC_ADDR=0.0.0.0:{} opens it",
                public.port()
            ),
            None => format!("/nic/update at {public}"),
        };
        // Writing to a text does not fail.
        let _ = write!(
            text,
            "\n  Routers call {reach}\n  \
             Metrics: http://{admin}/metrics   health: http://{admin}/readyz\n"
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(public: &str) -> Greeting<'_> {
        Greeting {
            environment: Path::new("/data/env"),
            public: public.parse().unwrap(),
            public_url: None,
            admin: "127.0.0.1:9090".parse().unwrap(),
            google: false,
            demo: false,
        }
    }

    #[test]
    fn it_says_where_routers_call_and_how_that_is_opened() {
        let closed = greeting("127.0.0.1:8081").text(true);
        assert!(
            closed.contains("call http://127.0.0.1:8081/nic/update, from this machine alone"),
            "{closed}"
        );
        assert!(closed.contains("SYNCFLEET_PUBLIC_ADDR=0.0.0.0:8081 opens it"), "{closed}");
        assert!(closed.contains("Ctrl-C") && closed.contains("source /data/env"), "{closed}");
        let url = "https://sync.example.org/".parse().unwrap();
        let behind = Greeting { public_url: Some(&url), ..greeting("127.0.0.1:8080") }.text(true);
        assert!(behind.contains("call https://sync.example.org/nic/update, which leads to"), "{behind}");
        assert!(!behind.contains("SYNCFLEET_PUBLIC_ADDR"), "{behind}");
        let open = greeting("0.0.0.0:8080").text(false);
        assert!(open.contains("/nic/update at 0.0.0.0:8080\n"), "{open}");
        assert!(!open.contains("SYNCFLEET_PUBLIC_ADDR") && !open.contains("Ctrl-C"), "{open}");
    }

    #[test]
    fn the_demo_comes_first_and_google_only_where_it_can_work() {
        let demo = Greeting { demo: true, google: true, ..greeting("127.0.0.1:1") }.text(true);
        assert!(demo.find("calendar ls") < demo.find("dns address find echo"), "{demo}");
        let without = greeting("127.0.0.1:1").text(true);
        assert!(!without.contains("account connect") && without.contains("dns providers"), "{without}");
        assert!(without.contains("wait until SYNCFLEET_GOOGLE_CLIENT_ID"), "{without}");
        let with = Greeting { google: true, ..greeting("127.0.0.1:1") }.text(true);
        assert!(with.contains("account connect --tenant me") && !with.contains("wait until"), "{with}");
    }
}
