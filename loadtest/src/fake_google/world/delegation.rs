//! Service accounts, and whom they may act for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use anyhow::Context;
use rsa::{
    RsaPrivateKey,
    pkcs8::{EncodePrivateKey, LineEnding},
    rand_core::OsRng,
};
use serde_json::{Value, json};

use super::World;

/// The key pairs of all fakes of a process: they take a moment to draw. A service account begins with the first one. None: the
/// system gives no random numbers.
static KEYS: [LazyLock<Option<RsaPrivateKey>>; 2] =
    [const { LazyLock::new(draw) }, const { LazyLock::new(draw) }];

fn draw() -> Option<RsaPrivateKey> {
    RsaPrivateKey::new(&mut OsRng, 2048).ok()
}

/// A service account.
#[derive(Debug)]
pub(in crate::fake_google) struct ServiceAccount {
    /// What an administrator authorises.
    pub(in crate::fake_google) client_id: String,
    /// Which of [`KEYS`] is good.
    key: usize,
    /// By domain, the scopes that its administrator has authorised.
    delegated: BTreeMap<String, BTreeSet<String>>,
}

impl ServiceAccount {
    /// The key pair whose signatures count.
    pub(in crate::fake_google) fn key(&self) -> anyhow::Result<&'static RsaPrivateKey> {
        KEYS[self.key].as_ref().context("no key could be drawn")
    }

    /// Whether it may act for a user with all of these scopes.
    pub(in crate::fake_google) fn may_act_for<'a>(
        &self,
        email: &str,
        mut scopes: impl Iterator<Item = &'a str>,
    ) -> bool {
        let domain = email.rsplit('@').next().unwrap_or_default();
        let authorised = self.delegated.get(domain);
        authorised.is_some_and(|authorised| scopes.all(|scope| authorised.contains(scope)))
    }
}

impl World {
    /// Adds a service account that may act for nobody yet.
    pub fn add_service_account(&mut self, email: &str) -> anyhow::Result<()> {
        anyhow::ensure!(email.contains('@'), "{email:?} is not an e-mail address");
        let client_id = format!("{:021}", 100 + self.service_accounts.len());
        let new = ServiceAccount { client_id, key: 0, delegated: BTreeMap::new() };
        let before = self.service_accounts.insert(email.to_owned(), new);
        anyhow::ensure!(before.is_none(), "the service account {email} exists already");
        Ok(())
    }

    /// Makes another key of a service account, and deletes the one before.
    pub fn replace_key(&mut self, email: &str) -> anyhow::Result<()> {
        let account = self.service_account(email)?;
        account.key = (account.key + 1) % KEYS.len();
        Ok(())
    }

    /// The administrator of a domain lets a service account act for its users with these scopes, and no others; without any,
    /// not at all.
    pub fn delegate(&mut self, email: &str, domain: &str, scopes: &[String]) -> anyhow::Result<()> {
        let account = self.service_account(email)?;
        account.delegated.insert(domain.to_owned(), scopes.iter().cloned().collect());
        if scopes.is_empty() {
            account.delegated.remove(domain);
        }
        Ok(())
    }

    fn service_account(&mut self, email: &str) -> anyhow::Result<&mut ServiceAccount> {
        let found = self.service_accounts.get_mut(email);
        found.with_context(|| format!("no service account {email}: add it first"))
    }

    /// A service account's key file, as the console gives it.
    pub(in crate::fake_google) fn key_file(&self, email: &str, token_uri: &str) -> anyhow::Result<Value> {
        let account = self.service_accounts.get(email);
        let account = account.with_context(|| format!("no service account {email}: add it first"))?;
        let key = account.key()?.to_pkcs8_pem(LineEnding::LF).context("a key cannot be written")?;
        Ok(json!({
            "type": "service_account",
            "project_id": "fake-project",
            "private_key_id": format!("fake-key-{}", account.key + 1),
            "private_key": key.as_str(),
            "client_email": email,
            "client_id": account.client_id,
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": token_uri,
        }))
    }
}
