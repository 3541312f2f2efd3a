use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf, hmac,
    rand::{SecureRandom, SystemRandom},
};
use secrecy::{ExposeSecret, SecretString};

use super::{KeysError, OpenError, Owner, Sealed};

/// Bytes of a key.
const KEY_LEN: usize = 32;

/// Keys by id. The first one seals; all open.
#[derive(Clone)]
pub struct KeyRing(Arc<[Key]>);

#[derive(Clone)]
struct Key {
    id: String,
    seal: LessSafeKey,
    /// What keys for other purposes are derived from.
    root: hkdf::Prk,
}

impl KeyRing {
    /// Reads `id:base64key[,id:base64key...]`; line breaks separate as commas do.
    pub fn parse(text: &SecretString) -> Result<Self, KeysError> {
        let mut keys: Vec<Key> = Vec::new();
        let entries =
            text.expose_secret().split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
        for (index, entry) in entries.enumerate() {
            let key = key(index + 1, entry)?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(KeysError::Duplicate { id: key.id });
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(KeysError::Empty);
        }
        Ok(Self(keys.into()))
    }

    /// The ids of the keys; the first one seals.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.id.as_str())
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn current(&self) -> &str {
        &self.0[0].id
    }

    /// A key for message authentication from each key of the ring, by its id, in the ring's order. What `purpose` says keeps
    /// them apart from the keys themselves, and from those for other purposes (HKDF, RFC 5869).
    pub fn authentication_keys(&self, purpose: &str) -> Result<Vec<(String, hmac::Key)>, KeysError> {
        let derived = |key: &Key| {
            let info = [purpose.as_bytes()];
            let derived = key.root.expand(&info, hmac::HMAC_SHA256).map_err(|_| KeysError::Random)?;
            Ok((key.id.clone(), hmac::Key::from(derived)))
        };
        self.0.iter().map(derived).collect()
    }

    /// Seals a value of this owner anew, under the current key.
    pub fn reseal(&self, owner: Owner<'_>, sealed: &Sealed) -> Result<Sealed, OpenError> {
        self.seal(owner, &self.open(owner, sealed)?)
    }

    /// Seals a value. Line breaks at its end, as files and pipes have them, are no part of it.
    pub fn seal(&self, owner: Owner<'_>, value: &SecretString) -> Result<Sealed, OpenError> {
        let value = value.expose_secret().trim_end_matches(['\r', '\n']);
        if value.trim().is_empty() {
            return Err(OpenError::EmptyValue { owner: owner.to_string() });
        }
        let Key { id: key_id, seal: key, .. } = &self.0[0];
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| OpenError::Random)?;
        let mut bytes = value.as_bytes().to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(owner.associated_data()),
            &mut bytes,
        )
        .map_err(|_| OpenError::WrongKey { owner: owner.to_string(), key_id: key_id.clone() })?;
        Ok(Sealed { key_id: key_id.clone(), bytes: [&nonce[..], &bytes].concat() })
    }

    /// Opens a sealed value of this owner.
    pub fn open(&self, owner: Owner<'_>, sealed: &Sealed) -> Result<SecretString, OpenError> {
        let key_id = &sealed.key_id;
        let Some(key) = self.0.iter().find(|key| key.id == *key_id) else {
            return Err(OpenError::MissingKey { owner: owner.to_string(), key_id: key_id.clone() });
        };
        open(&key.seal, owner, &sealed.bytes)
            .ok_or_else(|| OpenError::WrongKey { owner: owner.to_string(), key_id: key_id.clone() })
    }
}

fn open(key: &LessSafeKey, owner: Owner<'_>, bytes: &[u8]) -> Option<SecretString> {
    let (nonce, ciphertext) = bytes.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut bytes = ciphertext.to_vec();
    let value = key.open_in_place(nonce, Aad::from(owner.associated_data()), &mut bytes).ok()?;
    std::str::from_utf8(value).ok().map(SecretString::from)
}

fn key(place: usize, entry: &str) -> Result<Key, KeysError> {
    let (id, key) = entry.split_once(':').ok_or(KeysError::Shape { place })?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !(1..=64).contains(&id.len()) || !id.bytes().all(allowed) {
        return Err(KeysError::Id { place });
    }
    let bytes = STANDARD.decode(key).map_err(|_| KeysError::Base64 { id: id.to_owned() })?;
    let key = UnboundKey::new(&AES_256_GCM, &bytes)
        .map_err(|_| KeysError::Length { id: id.to_owned(), bytes: bytes.len() })?;
    let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"syncfleet").extract(&bytes);
    Ok(Key { id: id.to_owned(), seal: LessSafeKey::new(key), root })
}

/// A new key in the form that [`KeyRing::parse`] reads, under this id.
pub fn generate_key(id: &str) -> Result<SecretString, KeysError> {
    let mut bytes = [0; KEY_LEN];
    SystemRandom::new().fill(&mut bytes).map_err(|_| KeysError::Random)?;
    let entry = SecretString::from(format!("{id}:{}", STANDARD.encode(bytes)));
    key(1, entry.expose_secret())?;
    Ok(entry)
}

impl FromStr for KeyRing {
    type Err = KeysError;

    fn from_str(text: &str) -> Result<Self, KeysError> {
        Self::parse(&SecretString::from(text))
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner<'_> = Owner::account(7, "refresh_token");

    fn ring(ids: &[&str]) -> KeyRing {
        let keys: Vec<_> =
            ids.iter().map(|id| generate_key(id).unwrap().expose_secret().to_owned()).collect();
        keys.join(",").parse().unwrap()
    }

    #[test]
    fn a_sealed_value_opens_for_its_owner_only() {
        let ring = ring(&["a"]);
        let sealed = ring.seal(OWNER, &"secret".into()).unwrap();
        assert_eq!(ring.open(OWNER, &sealed).unwrap().expose_secret(), "secret");
        assert!(!sealed.bytes.windows(6).any(|part| part == b"secret"));
        for other in [Owner { id: 8, ..OWNER }, Owner { name: "x", ..OWNER }, Owner { kind: "x", ..OWNER }] {
            assert!(matches!(ring.open(other, &sealed), Err(OpenError::WrongKey { .. })), "{other}");
        }
    }

    #[test]
    fn no_two_seals_are_alike() {
        let ring = ring(&["a"]);
        assert_ne!(ring.seal(OWNER, &"secret".into()), ring.seal(OWNER, &"secret".into()));
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let old = ring(&["old"]);
        let sealed = old.seal(OWNER, &"secret".into()).unwrap();
        let new = KeyRing([&ring(&["new"]).0[..], &old.0[..]].concat().into());
        assert_eq!(new.open(OWNER, &sealed).unwrap().expose_secret(), "secret");
        assert_eq!(new.seal(OWNER, &"secret".into()).unwrap().key_id, "new");
    }

    #[test]
    fn what_cannot_be_opened_says_why() {
        let ring = ring(&["a"]);
        let sealed = ring.seal(OWNER, &"secret".into()).unwrap();
        let error = self::ring(&["b"]).open(OWNER, &sealed).unwrap_err().to_string();
        assert!(error.contains("refresh_token of account 7 is sealed under the key a"), "{error}");
        let error = self::ring(&["a"]).open(OWNER, &sealed).unwrap_err().to_string();
        assert!(error.contains("another key under this id"), "{error}");
        let cut = Sealed { bytes: sealed.bytes[..5].to_vec(), ..sealed };
        assert!(matches!(ring.open(OWNER, &cut), Err(OpenError::WrongKey { .. })));
    }

    #[test]
    fn line_breaks_at_the_end_are_no_part_of_a_value_and_empty_ones_are_refused() {
        let ring = ring(&["a"]);
        let sealed = ring.seal(OWNER, &"secret\r\n".into()).unwrap();
        assert_eq!(ring.open(OWNER, &sealed).unwrap().expose_secret(), "secret");
        for empty in ["", "\n", " \r\n"] {
            assert!(matches!(ring.seal(OWNER, &empty.into()), Err(OpenError::EmptyValue { .. })));
        }
    }

    #[test]
    fn wrong_key_rings_are_refused_with_the_reason() {
        let good = generate_key("a").unwrap();
        let good = good.expose_secret();
        for (text, reason) in [
            (String::new(), "the key ring is empty"),
            (" \n,".to_owned(), "the key ring is empty"),
            ("abc".to_owned(), "key 1 of the ring is not ID:BASE64KEY"),
            (format!("{good},:x"), "key 2 of the ring has a bad id"),
            ("a:!!".to_owned(), "the key a is not base64"),
            ("a:AAAA".to_owned(), "the key a has 3 bytes; AES-256 takes 32"),
            (format!("{good}\n{good}"), "two keys a"),
        ] {
            let error = text.parse::<KeyRing>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_ring_shows_its_ids_and_no_key() {
        assert_eq!(format!("{:?}", ring(&["a", "b"])), r#"["a", "b"]"#);
    }
}
