/// Why a key ring cannot be read. The keys themselves are never told.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// There is no key at all.
    #[error("the key ring is empty: it needs ID:BASE64KEY, the key being 32 random bytes")]
    Empty,
    /// An entry is not `id:key`.
    #[error("key {place} of the ring is not ID:BASE64KEY")]
    Shape {
        /// Its place, from 1.
        place: usize,
    },
    /// An id has other characters or another length.
    #[error(
        "key {place} of the ring has a bad id: 1 to 64 characters of a-z, A-Z, 0-9, '.', '_' and '-' are allowed"
    )]
    Id {
        /// Its place, from 1.
        place: usize,
    },
    /// A key is not base64.
    #[error("the key {id} is not base64 (standard alphabet, with padding)")]
    Base64 {
        /// The key's id.
        id: String,
    },
    /// A key has another length.
    #[error("the key {id} has {bytes} bytes; AES-256 takes 32")]
    Length {
        /// The key's id.
        id: String,
        /// How many bytes it has.
        bytes: usize,
    },
    /// Two keys have the same id.
    #[error("the key ring has two keys {id}: ids are unique and never used again")]
    Duplicate {
        /// The id.
        id: String,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
}

/// Why a value cannot be sealed or opened.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The ring lacks the key.
    #[error(
        "the {owner} is sealed under the key {key_id}, which the key ring does not have: add it to SYNCFLEET_KEYS"
    )]
    MissingKey {
        /// Whose value.
        owner: String,
        /// The key's id.
        key_id: String,
    },
    /// The key is not the one that sealed it, or the bytes were changed or belong to another owner.
    #[error(
        "the {owner} cannot be opened with the key {key_id}: the ring has another key under this id, or the row was changed"
    )]
    WrongKey {
        /// Whose value.
        owner: String,
        /// The key's id.
        key_id: String,
    },
    /// Nothing, or only white space, was to be sealed.
    #[error("the {owner} is empty")]
    EmptyValue {
        /// Whose value.
        owner: String,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
}
