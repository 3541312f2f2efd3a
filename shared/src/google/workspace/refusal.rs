use super::Key;

/// Why a service account may not act for a user, in the endpoint's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The workspace's administrator has not let it, or not for these scopes.
    NotDelegated(String),
    /// The workspace has no such user, or has suspended it.
    NoSuchUser(String),
    /// The key is not the service account's, or not any more.
    Key(String),
}

impl Refusal {
    /// The word in metrics.
    pub(in crate::google) const fn reason(&self) -> &'static str {
        match self {
            Self::NotDelegated(_) => "not_delegated",
            Self::NoSuchUser(_) => "invalid_grant",
            Self::Key(_) => "key_refused",
        }
    }

    /// What is to be done, and by whom.
    #[must_use]
    pub fn advice(&self, key: &Key, user: &str, scopes: &[String]) -> String {
        let service_account = key.email();
        match self {
            Self::NotDelegated(why) => format!(
                "Google does not let {service_account} act for {user} ({why}): an administrator of the workspace must \
                 authorise the client id {} for {} (Admin console, Security, API controls, Domain-wide delegation)",
                key.client_id(),
                scopes.join(",")
            ),
            Self::NoSuchUser(why) => {
                format!("Google knows no user {user} for whom {service_account} could act ({why})")
            }
            Self::Key(why) => format!(
                "Google refuses the key {} of {service_account} ({why}): make a new one and give it by `syncfleet tenant \
                 connect-workspace`",
                key.id()
            ),
        }
    }
}
