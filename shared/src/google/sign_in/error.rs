use crate::google::auth::AuthError;

/// Why nobody is signed in. No text holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The system gave no randomness.
    #[error("the system gives no random numbers")]
    Random,
    /// Google does not say where people sign in, or not as it should.
    #[error("the discovery document: {0}")]
    Discovery(String),
    /// The code was used before, is too old, or is not this client's. In Google's words.
    #[error("Google refuses the code ({0})")]
    CodeRefused(String),
    /// What should tell who it is cannot be trusted.
    #[error("the ID token is not good: {0}")]
    IdToken(String),
    /// Google tells no verified address.
    #[error("Google tells no verified e-mail address of the account")]
    NoAddress,
    /// The grant could not be given back.
    #[error("Google does not revoke the grant: {0}")]
    NotRevoked(String),
    /// The token endpoint did not answer, or not with a token.
    #[error(transparent)]
    Token(#[from] AuthError),
}
