//! deSEC: dyndns2 with a parameter for each family (<https://desec.readthedocs.io/en/latest/dyndns/update-api.html>).
//!
//! A family that is not named is removed or guessed; `preserve` keeps it. Updates that change nothing violate the terms of use. A record
//! may be written 300 times a day; 429 says when to come back.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Step, dyndns2, fixed};
use crate::dns::{
    Answers, Endpoint, Http, Wanted,
    http::{Auth, Request},
};

/// An account of deSEC; its secret is a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Desec {
    /// The user of the basic authentication: the registered domain.
    pub user: String,
    /// Where it is called.
    #[serde(default = "url")]
    pub url: Endpoint,
}

/// Its servers; the second one has IPv6 alone.
const SERVERS: [&str; 2] = ["update.dedyn.io", "update6.dedyn.io"];

fn url() -> Endpoint {
    fixed("https://update.dedyn.io/")
}

impl Desec {
    /// Whether a URL leads to its servers. They understand other forms of dyndns2 too, and remove a family that such a call leaves out.
    pub(in crate::dns) fn is_at(url: &Url) -> bool {
        url.host_str().is_some_and(|host| SERVERS.contains(&host.trim_end_matches('.')))
    }

    fn request(&self, wanted: &Wanted) -> Request {
        let v4 = wanted.v4.map_or_else(|| "preserve".to_owned(), |address| address.to_string());
        let v6 = wanted.v6.map_or_else(|| "preserve".to_owned(), |address| address.to_string());
        let url = self.url.query(&[("hostname", wanted.host.as_str()), ("myipv4", &v4), ("myipv6", &v6)]);
        Request::get(url, Auth::Basic(self.user.clone()))
    }

    pub(super) fn plan(&self, wanted: &Wanted) -> Vec<Step> {
        vec![Step::new(self.request(wanted))]
    }

    pub(super) async fn update(&self, http: &Http, secret: &SecretString, wanted: &Wanted) -> Answers {
        let mut answers = Answers::default();
        dyndns2::send(http, secret, self.request(wanted), &wanted.addresses(), &mut answers).await;
        answers
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::dns::{
        Provider,
        host::tests::wanted,
        import::{Import, command, ddclient, inadyn},
    };

    /// Name, provider and user of what was taken over.
    fn taken(import: &Import) -> Vec<(&str, &'static str, String)> {
        let records = import.records.iter();
        records
            .map(|record| {
                let user = match &record.provider {
                    Provider::Desec(desec) => desec.user.clone(),
                    _ => String::new(),
                };
                (record.host.as_str(), record.provider.name(), user)
            })
            .collect()
    }

    #[test]
    fn other_clients_ways_to_it_become_this_provider() {
        for import in [
            ddclient::read(
                "protocol=dyndns2, server=update.dedyn.io, login=ada, password=hunter2\nhome.dedyn.io\n",
            ),
            ddclient::read(
                "protocol=dyndns2, server=update6.dedyn.io, login=ada, password=hunter2 home.dedyn.io\n",
            ),
            inadyn::read("provider desec.io { username=ada password=hunter2 hostname=home.dedyn.io }\n"),
            command::read(
                "curl --user ada:hunter2 'https://update.dedyn.io/?hostname=home.dedyn.io&myipv4=auto'\n",
            ),
            command::read(
                "wget -qO- 'https://ada:hunter2@update6.dedyn.io/?hostname=home.dedyn.io&myipv6=preserve'\n",
            ),
            command::read(
                "curl -u ada:hunter2 'https://update.dedyn.io/nic/update?hostname=home.dedyn.io&myip='\n",
            ),
            command::read(
                "curl 'https://update.dedyn.io/?hostname=home.dedyn.io&username=ada&password=hunter2'\n",
            ),
        ] {
            assert_eq!(taken(&import), [("home.dedyn.io", "desec", "ada".to_owned())], "{:?}", import.faults);
            let unknown = |what: &str| what.contains("unknown") || what.contains("template");
            assert!(!import.faults.iter().any(|fault| unknown(&fault.what)), "{:?}", import.faults);
        }
        // Another one's server is another one's, whatever its path.
        let other = ddclient::read(
            "protocol=dyndns2, server=dyn.example.net, login=ada, password=hunter2 a.example.org\n",
        );
        assert_eq!(taken(&other), [("a.example.org", "dyndns2", String::new())]);
    }

    #[test]
    fn dyndns2_is_refused_there() {
        for (url, is_refused) in [
            ("https://update.dedyn.io/nic/update", true),
            ("https://UPDATE6.dedyn.io./", true),
            ("https://dedyn.io/nic/update", false),
            ("https://dyn.example.net/update.dedyn.io", false),
        ] {
            let provider =
                Provider::parse(json!({"provider": "dyndns2", "url": url, "user": "ada"})).unwrap();
            let checked = provider.check(&wanted(), &"hunter2".into());
            assert_eq!(checked.is_err(), is_refused, "{url}: {checked:?}");
            if let Err(error) = checked {
                assert!(error.field == "url" && error.why.contains("provider desec"), "{url}: {error}");
            }
        }
    }
}
