//! Consent given on a page: from the request to the code, from the code to the grant.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::World;

/// How long a code is good.
const CODE: Duration = Duration::from_mins(10);

/// What a client asks of a user: RFC 6749, section 4.1.1, and what Google adds.
#[derive(Debug, Clone)]
pub(in crate::fake_google) struct Request {
    pub(in crate::fake_google) client: String,
    pub(in crate::fake_google) redirect_uri: String,
    pub(in crate::fake_google) scopes: Vec<String>,
    /// S256 of PKCE's verifier.
    pub(in crate::fake_google) challenge: Option<String>,
    pub(in crate::fake_google) nonce: Option<String>,
    pub(in crate::fake_google) offline: bool,
    /// `prompt=consent`.
    pub(in crate::fake_google) asks_anew: bool,
    /// `include_granted_scopes=true`.
    pub(in crate::fake_google) keeps_granted: bool,
}

/// A code that was handed out.
#[derive(Debug, Clone)]
pub(in crate::fake_google) struct Code {
    pub(in crate::fake_google) account: usize,
    pub(in crate::fake_google) request: Request,
    pub(in crate::fake_google) granted: Vec<String>,
    pub(in crate::fake_google) expires: Instant,
    pub(in crate::fake_google) used: bool,
}

impl World {
    /// Adds somebody who has granted nobody anything yet.
    pub fn add_person(&mut self, email: &str) -> anyhow::Result<()> {
        ensure!(email.contains('@'), "{email:?} is not an e-mail address");
        ensure!(!self.by_email.contains_key(email), "account {email} exists already");
        let client = self.default_client.clone();
        self.put_account(email, client);
        Ok(())
    }

    /// The only addresses that a client may have codes sent to. A client without any may have them sent to any.
    pub fn set_redirect_uris(&mut self, client: &str, uris: &[String]) -> anyhow::Result<()> {
        ensure!(self.clients.contains_key(client), "no client {client}: add it first");
        self.redirect_uris.insert(client.to_owned(), uris.to_vec());
        Ok(())
    }

    /// Makes all codes that are out too old.
    pub fn expire_codes(&mut self) {
        for code in self.codes.values_mut() {
            code.expires = self.born;
        }
    }

    /// The code for what a user allowed.
    pub(in crate::fake_google) fn allow(
        &mut self,
        email: &str,
        request: Request,
        granted: Vec<String>,
    ) -> anyhow::Result<String> {
        let account = self.by_email.get(email).copied().with_context(|| format!("no account {email}"))?;
        let code = format!("4/fake-{}", self.draw_id());
        let expires = Instant::now() + CODE;
        self.codes.insert(code.clone(), Code { account, request, granted, expires, used: false });
        Ok(code)
    }

    /// Makes of a code the account's grant to the client. Says the new refresh token, if there is one.
    pub(in crate::fake_google) fn settle(&mut self, code: &Code) -> anyhow::Result<Option<String>> {
        let account = &mut self.accounts[code.account];
        let first =
            account.refresh_tokens.is_empty() || account.revoked || account.client != code.request.client;
        let mut scopes = code.granted.clone();
        if first {
            for old in std::mem::take(&mut account.refresh_tokens) {
                self.by_refresh_token.remove(&old);
            }
        } else if code.request.keeps_granted {
            scopes.extend(account.consent.scopes.iter().filter(|had| !code.granted.contains(had)).cloned());
        }
        account.client.clone_from(&code.request.client);
        account.revoked = false;
        account.consent.scopes = scopes;
        let email = account.email.clone();
        if !code.request.offline || !(first || code.request.asks_anew) {
            return Ok(None);
        }
        let token = format!("1//fake-{}", self.draw_id());
        self.grant(&email, &token)?;
        Ok(Some(token))
    }
}
