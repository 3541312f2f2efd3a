//! The token of a push channel: Google sends it back with each notification (`X-Goog-Channel-Token`), so that a message is
//! known to be of a channel that this fleet has made, without a look into the database.
//!
//! # Form
//!
//! `v1.KEY.ACCOUNT.JOB.MAC`: the id of the key in the ring, the account and the job as decimal numbers, and HMAC-SHA-256
//! over all of these and the channel's id, in base64url. At most 256 characters, as Google allows:
//! <https://developers.google.com/workspace/calendar/api/guides/push>. A key's id may hold dots; what follows it does not.
//!
//! The key is derived from the ring's key of that id. All keys of the ring check, the first one makes new tokens, so a
//! rotation of the ring leaves channels as they are until an old key is taken out of it.
//!
//! # What a token does not prove
//!
//! It is the same in all messages of a channel, so whoever has seen one can send more. All that they can do is to have a
//! calendar looked at, as often as its account's budget allows.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;

use crate::{
    job::{AccountId, JobId},
    secrets::{KeyRing, KeysError},
};

const VERSION: &str = "v1";
const PURPOSE: &str = "syncfleet channel token v1";

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// Whose channel it is.
    pub account: AccountId,
    /// The job that is wanted by its notifications.
    pub job: JobId,
}

/// What is wrong with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It has another form.
    #[error("it is no token of a channel")]
    Form,
    /// Its key is not in the ring.
    #[error("its key is not in the key ring")]
    Key,
    /// It was not made for this channel, or not by this fleet.
    #[error("it is not genuine")]
    Forged,
}

/// Makes and checks tokens.
#[derive(Clone)]
pub struct Tokens(Vec<(String, hmac::Key)>);

impl Tokens {
    /// Derives the keys from those of the ring.
    pub fn new(ring: &KeyRing) -> Result<Self, KeysError> {
        Ok(Self(ring.authentication_keys(PURPOSE)?))
    }

    /// The token of a channel.
    #[must_use]
    pub fn make(&self, channel: &str, named: Named) -> String {
        // A ring is never empty.
        let (id, key) = &self.0[0];
        let mac = hmac::sign(key, &message(id, channel, named));
        format!("{VERSION}.{id}.{}.{}.{}", named.account, named.job, URL_SAFE_NO_PAD.encode(mac))
    }

    /// What a token says, if it was made for this channel. The comparison takes the same time whatever is wrong.
    pub fn check(&self, channel: &str, token: &str) -> Result<Named, TokenError> {
        let rest =
            token.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix('.')).ok_or(TokenError::Form)?;
        let mut parts = rest.rsplitn(4, '.');
        let (Some(mac), Some(job), Some(account), Some(id)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Form);
        };
        let named = Named { account: number(account)?, job: number(job)? };
        let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| TokenError::Form)?;
        let (_, key) = self.0.iter().find(|(known, _)| known == id).ok_or(TokenError::Key)?;
        hmac::verify(key, &message(id, channel, named), &mac).map_err(|_| TokenError::Forged)?;
        Ok(named)
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}

/// A number in the one form that [`Tokens::make`] writes.
fn number(text: &str) -> Result<i64, TokenError> {
    let number: i64 = text.parse().map_err(|_| TokenError::Form)?;
    if number.to_string() == text { Ok(number) } else { Err(TokenError::Form) }
}

/// No two sets of these have the same bytes: the numbers have a fixed length, and a key's id holds no zero.
fn message(key: &str, channel: &str, named: Named) -> Vec<u8> {
    let (account, job) = (named.account.to_be_bytes(), named.job.to_be_bytes());
    [VERSION.as_bytes(), &[0], &account, &job, key.as_bytes(), &[0], channel.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;
    use crate::secrets::generate_key;

    fn key(id: &str) -> String {
        generate_key(id).unwrap().expose_secret().to_owned()
    }

    fn tokens(keys: &[&str]) -> Tokens {
        Tokens::new(&keys.join(",").parse().unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn a_token_is_good_for_its_channel_and_any_flipped_bit_is_refused(
            id in "[A-Za-z0-9._-]{1,64}",
            channel in "[A-Za-z0-9_-]{1,64}",
            account in any::<i64>(),
            job in any::<i64>(),
            place in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let tokens = tokens(&[&key(&id)]);
            let named = Named { account, job };
            let token = tokens.make(&channel, named);
            prop_assert!(token.len() <= 256, "{} characters", token.len());
            prop_assert_eq!(tokens.check(&channel, &token), Ok(named));
            let mut bytes = token.clone().into_bytes();
            let at = place.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(flipped) = String::from_utf8(bytes) {
                prop_assert!(tokens.check(&channel, &flipped).is_err(), "{} instead of {}", flipped, token);
            }
            let mut other = channel.clone().into_bytes();
            let at = place.index(other.len());
            other[at] ^= 1;
            prop_assert!(tokens.check(&String::from_utf8(other).unwrap(), &token).is_err());
        }

        #[test]
        fn nothing_from_outside_is_taken_for_a_token(text in "(v1\\.)?[ -~]{0,120}", channel in "[ -~]{0,70}") {
            prop_assert!(tokens(&[&key("a")]).check(&channel, &text).is_err());
        }
    }

    #[test]
    fn the_first_key_makes_and_all_check() {
        let (old, new) = (key("old"), key("new"));
        let named = Named { account: 7, job: 42 };
        let before = tokens(&[&old]).make("c", named);
        let both = tokens(&[&new, &old]);
        assert_eq!(both.check("c", &before), Ok(named));
        assert!(both.make("c", named).starts_with("v1.new.7.42."));
        assert_eq!(tokens(&[&new]).check("c", &before), Err(TokenError::Key));
        assert_eq!(tokens(&[&key("old")]).check("c", &before), Err(TokenError::Forged));
    }

    #[test]
    fn a_number_has_one_form() {
        let tokens = tokens(&[&key("a")]);
        let token = tokens.make("c", Named { account: 7, job: 42 });
        for other in [token.replace(".7.", ".07."), token.replace(".7.", ".+7."), format!("{token}=")] {
            assert_eq!(tokens.check("c", &other), Err(TokenError::Form), "{other}");
        }
    }

    #[test]
    fn tokens_show_the_ids_of_their_keys_alone() {
        assert_eq!(format!("{:?}", tokens(&[&key("a"), &key("b")])), r#"["a", "b"]"#);
    }
}
