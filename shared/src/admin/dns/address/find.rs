use std::net::IpAddr;

use serde::Serialize;

use crate::{
    admin::dns::source,
    config::DnsAllow,
    dns::{
        Limits,
        address::{Family, Finder, Rules, Source},
    },
    guard::{self, Network},
};

/// What a source says now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// The family that was asked for.
    pub family: Family,
    /// The source, as it is typed.
    pub source: String,
    /// The address; none: there is none, or it must not be used.
    pub address: Option<IpAddr>,
    /// Why not.
    pub why: Option<String>,
}

/// Asks a source now, for these families; none: for all that it can be asked for. Nothing is stored. Whoever asks calls from their own
/// machine, so the source may be in a private network unless `allow` says otherwise.
pub async fn find(
    source: &Source,
    families: &[Family],
    allowed: &[Network],
    allow: &DnsAllow,
) -> anyhow::Result<Vec<Asked>> {
    let finder = Finder::with(Limits::default(), &allow.clone().at_home().networks(), &guard::system())?;
    let rules = Rules::new(allowed.to_vec());
    let mut asked = Vec::new();
    for family in Family::ALL {
        let fits = source.check(family);
        let meant = if families.is_empty() { fits.is_ok() } else { families.contains(&family) };
        if !meant {
            continue;
        }
        let found = match fits {
            Ok(()) => finder.find(source, family, &rules).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        asked.push(Asked {
            family,
            source: source::text(Some(source)),
            address: found.as_ref().ok().copied(),
            why: found.err(),
        });
    }
    Ok(asked)
}
