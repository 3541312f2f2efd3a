//! Messages signed with the key, sent by TCP, and answers whose signature was looked at.

use std::net::SocketAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use hickory_proto::{
    op::Message,
    rr::{Name, TSigner},
};
use secrecy::{ExposeSecret as _, SecretString};

use super::Rfc2136;
use crate::dns::{Answer, Http, Park, exchange::tcp, outcome::said};

/// Seconds that the clocks may differ by: RFC 8945 section 10.
const FUDGE: u16 = 300;

/// An answer.
pub(super) struct Signed {
    pub(super) answer: Message,
    /// Whether its signature is the key's, and of this time.
    pub(super) by_the_key: bool,
}

impl Rfc2136 {
    /// Sends a message to the first address of the server that can be reached.
    pub(super) async fn send(
        &self,
        http: &Http,
        secret: &SecretString,
        mut message: Message,
        now: DateTime<Utc>,
    ) -> Result<Signed, Answer> {
        let setting = |why: String| Answer::park(Park::BadSetting, why);
        let key = STANDARD
            .decode(secret.expose_secret())
            .map_err(|_| setting("the secret is not base64".to_owned()))?;
        let key_name = Name::from_ascii(&self.key).map_err(|error| setting(error.to_string()))?;
        let signer = TSigner::new(key, self.algorithm.of_tsig(), key_name, FUDGE)
            .map_err(|error| setting(error.to_string()))?;
        let time = u64::try_from(now.timestamp()).unwrap_or_default();
        let (signature, verifier) =
            signer.sign_message(&message, time).map_err(|error| setting(error.to_string()))?;
        message.set_signature(signature);
        let bytes = message.to_vec().map_err(|error| setting(error.to_string()))?;

        let limit = http.limits.call;
        let (host, port) = self.address().map_err(setting)?;
        let mut why = format!("{host} has no address");
        for address in http.addresses(host).await? {
            let server = SocketAddr::new(address, port);
            match tcp(server, &bytes, limit).await {
                Ok(answer) => {
                    let Ok(read) = Message::from_vec(&answer) else {
                        return Err(Answer::retry(format!("{server}: the answer is no message of DNS")));
                    };
                    if read.metadata.id != message.metadata.id {
                        return Err(Answer::retry(format!("{server}: the answer is to another message")));
                    }
                    let by_the_key = verifier.is_some_and(|mut verifier| verifier.verify(&answer).is_ok());
                    return Ok(Signed { answer: read, by_the_key });
                }
                Err(error) => why = error,
            }
        }
        Err(Answer::retry(said(&why, "")))
    }
}
