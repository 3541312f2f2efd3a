//! deSEC: dyndns2 with a parameter for each family (<https://desec.readthedocs.io/en/latest/dyndns/update-api.html>).
//!
//! A family that is not named is removed or guessed; `preserve` keeps it. Updates that change nothing violate the terms of use. A record
//! may be written 300 times a day; 429 says when to come back.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

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

fn url() -> Endpoint {
    fixed("https://update.dedyn.io/")
}

impl Desec {
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
