use std::{fmt::Write, sync::OnceLock};

use md5::{Digest, Md5};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// How much is drawn at once.
const CHUNK: u64 = 1 << 20;

/// A file's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Content {
    /// This text.
    Text(String),
    /// Drawn when it is asked for: a large file takes no memory.
    Drawn {
        /// What it is drawn from.
        seed: u64,
        /// How many bytes.
        length: u64,
    },
}

impl Content {
    /// How many bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Drawn { length, .. } => *length,
        }
    }

    /// The bytes from `from` on, `count` at the most: fewer at the end.
    #[must_use]
    pub fn bytes(&self, from: u64, count: u64) -> Vec<u8> {
        let to = from.saturating_add(count).min(self.length());
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        match self {
            Self::Text(text) => text.as_bytes().get(place(from)..place(to)).unwrap_or_default().to_vec(),
            Self::Drawn { seed, .. } if from < to => {
                let words = (from / 8)..to.div_ceil(8);
                let mut bytes = Vec::with_capacity(place(to - from) + 16);
                for word in words {
                    bytes.extend_from_slice(&drawn(*seed, word).to_le_bytes());
                }
                let first = place(from % 8);
                bytes.truncate(first + place(to - from));
                bytes.drain(..first);
                bytes
            }
            Self::Drawn { .. } => Vec::new(),
        }
    }

    fn chunks(&self) -> impl Iterator<Item = Vec<u8>> + use<'_> {
        (0..self.length().div_ceil(CHUNK)).map(|chunk| self.bytes(chunk * CHUNK, CHUNK))
    }
}

/// The eight bytes with the number `word`: splitmix64, <https://doi.org/10.1145/2714064.2660195>.
fn drawn(seed: u64, word: u64) -> u64 {
    let mut z = seed.wrapping_add(word.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Content with its checksums, which are made when they are first asked for.
#[derive(Debug)]
pub(super) struct Revision {
    pub(super) id: String,
    pub(super) content: Content,
    sums: OnceLock<(String, String)>,
}

impl Revision {
    pub(super) fn new(id: String, content: Content) -> Self {
        Self { id, content, sums: OnceLock::new() }
    }

    pub(super) fn md5(&self) -> &str {
        &self.sums().0
    }

    pub(super) fn sha256(&self) -> &str {
        &self.sums().1
    }

    fn sums(&self) -> &(String, String) {
        self.sums.get_or_init(|| {
            let (mut md5, mut sha256) = (Md5::new(), Context::new(&SHA256));
            for chunk in self.content.chunks() {
                md5.update(&chunk);
                sha256.update(&chunk);
            }
            (hex(&md5.finalize()), hex(sha256.finish().as_ref()))
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_of_drawn_content_is_the_same_as_in_the_whole() {
        let content = Content::Drawn { seed: 7, length: 1001 };
        let whole = content.bytes(0, u64::MAX);
        assert_eq!(whole.len(), 1001);
        for (from, count) in [(0, 1), (3, 9), (8, 8), (995, 100), (1000, 1), (1001, 5), (5000, 1)] {
            let to = usize::min(from + count, 1001);
            let part = content.bytes(from as u64, count as u64);
            assert_eq!(part, whole.get(from..to).unwrap_or_default(), "{from} {count}");
        }
        let large = Content::Drawn { seed: 7, length: 6 << 30 };
        assert_eq!(large.bytes((6 << 30) - 3, 100).len(), 3);
    }

    #[test]
    fn checksums_are_those_that_everybody_computes() {
        let revision = Revision::new("1".to_owned(), Content::Text("abc".to_owned()));
        assert_eq!(revision.md5(), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(revision.sha256(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
