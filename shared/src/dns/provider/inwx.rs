//! INWX: dyndns2 with a parameter for each family (<https://www.inwx.com/en/offer/dyndns>), here one request each.

use std::net::IpAddr;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{Step, dyndns2, fixed};
use crate::dns::{
    Answers, Endpoint, Http, Wanted,
    http::{Auth, Request},
};

/// A DynDNS account of INWX; its secret is that account's password, which is not the customer's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inwx {
    /// The user of the basic authentication.
    pub user: String,
    /// Where it is called.
    #[serde(default = "url")]
    pub url: Endpoint,
}

fn url() -> Endpoint {
    fixed("https://dyndns.inwx.com/nic/update")
}

impl Inwx {
    fn request(&self, wanted: &Wanted, address: IpAddr) -> Request {
        let name = if address.is_ipv4() { "myip" } else { "myipv6" };
        let url = self.url.query(&[("hostname", wanted.host.as_str()), (name, &address.to_string())]);
        Request::get(url, Auth::Basic(self.user.clone()))
    }

    pub(super) fn plan(&self, wanted: &Wanted) -> Vec<Step> {
        wanted.addresses().into_iter().map(|address| Step::new(self.request(wanted, address))).collect()
    }

    pub(super) async fn update(&self, http: &Http, secret: &SecretString, wanted: &Wanted) -> Answers {
        let mut answers = Answers::default();
        for address in wanted.addresses() {
            dyndns2::send(http, secret, self.request(wanted, address), &[address], &mut answers).await;
        }
        answers
    }
}
