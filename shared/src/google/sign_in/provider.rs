//! Where people sign in, and the keys that ID tokens are signed with: asked for at each sign-in, as those are few. So there is
//! nothing that could be out of date.

use openidconnect::{
    AdditionalProviderMetadata, AuthUrl, HttpRequest, HttpResponse, IssuerUrl, ProviderMetadata,
    RevocationUrl,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
        CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm,
        CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
    },
    http,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::SignInError;
use crate::{
    config::google::keeps_secrets,
    google::{Google, auth::broken},
};

/// What the discovery document has beyond `OpenID`'s own: <https://accounts.google.com/.well-known/openid-configuration>.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct More {
    revocation_endpoint: Option<RevocationUrl>,
}

impl AdditionalProviderMetadata for More {}

type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// What Google says of its sign-in.
pub(super) struct Provider {
    pub(super) issuer: IssuerUrl,
    pub(super) authorization: AuthUrl,
    pub(super) revocation: Option<Url>,
    pub(super) keys: CoreJsonWebKeySet,
}

/// A request that failed, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unanswered(String);

impl Google {
    /// Asks for the discovery document and the keys. The client's time limit holds for each.
    pub(super) async fn provider(&self) -> Result<Provider, SignInError> {
        let issuer = IssuerUrl::new(self.0.config.issuer.clone());
        let issuer = issuer.map_err(|error| SignInError::Discovery(error.to_string()))?;
        let google = self.clone();
        let http = move |request: HttpRequest| {
            let google = google.clone();
            async move { google.call(request).await }
        };
        let metadata = Metadata::discover_async(issuer.clone(), &http)
            .await
            .map_err(|error| SignInError::Discovery(told(&error)))?;
        let authorization = metadata.authorization_endpoint().clone();
        // The pages of the ingress lead nowhere else.
        if authorization.url().origin().ascii_serialization() != self.sign_in_origin() {
            let text =
                format!("its authorization endpoint {} is not at the issuer's host", authorization.url());
            return Err(SignInError::Discovery(text));
        }
        let revocation = metadata.additional_metadata().revocation_endpoint.as_ref();
        let revocation = revocation.map(|url| url.url().clone());
        if let Some(url) = revocation.as_ref().filter(|url| !keeps_secrets(url)) {
            return Err(SignInError::Discovery(format!("its revocation endpoint {url} is not encrypted")));
        }
        let keys = metadata.jwks().clone();
        Ok(Provider { issuer, authorization, revocation, keys })
    }

    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, Unanswered> {
        let (parts, body) = request.into_parts();
        let url: Url = parts.uri.to_string().parse().map_err(|error| Unanswered(format!("{error}")))?;
        if !keeps_secrets(&url) {
            return Err(Unanswered(format!("{url} is not encrypted")));
        }
        let sent = self.0.oauth.request(parts.method, url).headers(parts.headers).body(body).send().await;
        let failed = |error: reqwest::Error| Unanswered(broken(&error));
        let response = sent.map_err(failed)?;
        let mut answer = http::Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.clone_from(response.headers());
        }
        let body = response.bytes().await.map_err(failed)?.to_vec();
        answer.body(body).map_err(|error| Unanswered(error.to_string()))
    }
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
