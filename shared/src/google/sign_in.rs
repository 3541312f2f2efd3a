//! Signing in on a page: `OpenID` Connect's authorization code flow with PKCE, as Google has it.
//! <https://developers.google.com/identity/protocols/oauth2/web-server>,
//! <https://developers.google.com/identity/openid-connect/openid-connect>, RFC 7636, RFC 9700.
//!
//! Who may begin a sign-in, what is kept of one under way, and its races are told in `admin::account::sign_in`.

mod attempt;
mod error;
mod provider;
mod revoke;

use openidconnect::{
    AuthenticationFlow, ClientId, CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    core::{CoreClient, CoreIdToken, CoreJwsSigningAlgorithm, CoreResponseType},
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

pub use self::{
    attempt::{Attempt, Secret},
    error::SignInError,
    revoke::Revoked,
};
use super::{
    Google,
    auth::{Checked, exchange::Exchanged},
    scopes::{self, Need},
};

/// The one algorithm that Google signs ID tokens with.
const ALGORITHM: CoreJwsSigningAlgorithm = CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256;

/// Somebody who has signed in.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Google's lasting id of the account.
    pub subject: String,
    /// Its address, which Google has verified.
    pub email: String,
    /// The grant, with subject, address and scopes.
    pub checked: Checked,
}

impl Google {
    /// Where a browser is sent to sign in, from where it comes back to `redirect_uri` with a code. `hint`: the address that is
    /// expected.
    pub async fn sign_in_url(
        &self,
        attempt: &Attempt,
        redirect_uri: &Url,
        hint: Option<&str>,
    ) -> Result<Url, SignInError> {
        let provider = self.provider().await?;
        let redirect_uri = RedirectUrl::from_url(redirect_uri.clone());
        let client = CoreClient::new(self.client_id(), provider.issuer, provider.keys)
            .set_auth_uri(provider.authorization);
        let verifier = PkceCodeVerifier::new(attempt.verifier().expose_secret().to_owned());
        let state = attempt.state().expose_secret().to_owned();
        let nonce = attempt.nonce().expose_secret().to_owned();
        let mut request = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                move || CsrfToken::new(state),
                move || Nonce::new(nonce),
            )
            .set_redirect_uri(std::borrow::Cow::Owned(redirect_uri))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            // `openid` is there already.
            .add_scope(Scope::new("email".to_owned()))
            .add_scopes(self.requested().into_iter().map(|scope| Scope::new(scope.to_owned())))
            // Without these two there is no refresh token, or only at the first consent.
            .add_extra_param("access_type", "offline")
            .add_extra_param("prompt", "consent")
            .add_extra_param("include_granted_scopes", "true");
        if let Some(hint) = hint {
            request = request.add_extra_param("login_hint", hint);
        }
        Ok(request.url().0)
    }

    /// Exchanges the code that a browser came back with, and checks whose grant it is: the ID token's signature, issuer,
    /// audience, time and nonce.
    pub async fn signed_in(
        &self,
        attempt: &Attempt,
        redirect_uri: &Url,
        code: &SecretString,
    ) -> Result<SignedIn, SignInError> {
        let exchanged = self.exchange_code(code, &attempt.verifier(), redirect_uri.as_str()).await?;
        let (mut checked, id_token) = match exchanged {
            Exchanged::Granted(checked, id_token) => (checked, id_token),
            Exchanged::InvalidGrant(why) => return Err(SignInError::CodeRefused(why)),
        };
        let not_good = |what: String| SignInError::IdToken(what);
        let id_token = id_token.ok_or_else(|| not_good("there is none".to_owned()))?;
        let id_token: CoreIdToken =
            id_token.expose_secret().parse().map_err(|_| not_good("it is no JSON Web Token".to_owned()))?;
        let provider = self.provider().await?;
        let client = CoreClient::new(self.client_id(), provider.issuer, provider.keys);
        let verifier = client.id_token_verifier().set_allowed_algs([ALGORITHM]);
        let nonce = Nonce::new(attempt.nonce().expose_secret().to_owned());
        let claims = id_token.claims(&verifier, &nonce).map_err(|error| not_good(error.to_string()))?;
        let email = claims.email().filter(|_| claims.email_verified() == Some(true));
        let email = email.ok_or(SignInError::NoAddress)?.to_string();
        let subject = claims.subject().to_string();
        // The endpoint may leave out what is as it was asked for: RFC 6749, section 5.1.
        let asked = || ["openid", "email"].into_iter().chain(self.requested()).map(str::to_owned).collect();
        checked.scopes = Some(checked.scopes.unwrap_or_else(asked));
        checked.subject = Some(subject.clone());
        checked.email = Some(email.clone());
        Ok(SignedIn { subject, email, checked })
    }

    fn requested(&self) -> Vec<&'static str> {
        scopes::requested(&self.0.config.sign_in_for)
    }

    /// What the accounts that sign in are asked for.
    pub fn asked_for(&self) -> impl Iterator<Item = &'static Need> {
        scopes::needs(&self.0.config.sign_in_for)
    }

    fn client_id(&self) -> ClientId {
        ClientId::new(self.0.config.client_id.clone())
    }

    /// The origin of the page that people sign in at, for a policy of what our pages may lead to.
    #[must_use]
    pub fn sign_in_origin(&self) -> String {
        self.0
            .config
            .issuer
            .parse()
            .map_or_else(|_| String::new(), |url: Url| url.origin().ascii_serialization())
    }
}
