use std::fmt::Write;

use md5::Md5;
use sha2::{
    Digest, Sha256,
    digest::common::hazmat::{SerializableState, SerializedState},
};

/// Checksums of content that comes in parts. Their state can be kept, and taken up by another process: so nothing that was
/// received once is read again.
#[derive(Debug, Clone, Default)]
pub struct Sums {
    sha256: Sha256,
    md5: Md5,
}

impl Sums {
    /// Takes more of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.md5.update(bytes);
    }

    /// The state, to be kept with the number of bytes that it stands for.
    #[must_use]
    pub fn state(&self) -> Vec<u8> {
        [&self.sha256.serialize()[..], &self.md5.serialize()[..]].concat()
    }

    /// From a state that was kept; none: it is not one of this program's.
    #[must_use]
    pub fn restore(state: &[u8]) -> Option<Self> {
        let length = SerializedState::<Sha256>::default().len();
        let (sha256, md5) = state.split_at_checked(length)?;
        let sha256 = SerializedState::<Sha256>::try_from(sha256).ok()?;
        let md5 = SerializedState::<Md5>::try_from(md5).ok()?;
        Some(Self { sha256: Sha256::deserialize(&sha256).ok()?, md5: Md5::deserialize(&md5).ok()? })
    }

    /// The SHA-256 and the MD5 of all that came.
    #[must_use]
    pub fn finish(self) -> (Vec<u8>, Vec<u8>) {
        (self.sha256.finalize().to_vec(), self.md5.finalize().to_vec())
    }
}

/// Bytes in hexadecimal, as Google writes checksums.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_was_kept_goes_on_as_if_nothing_had_happened() {
        let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut whole = Sums::default();
        whole.update(&content);
        for cut in [0, 1, 63, 64, 65, 100_001, content.len()] {
            let mut first = Sums::default();
            first.update(&content[..cut]);
            let mut second = Sums::restore(&first.state()).unwrap();
            second.update(&content[cut..]);
            assert_eq!(second.finish(), whole.clone().finish(), "{cut}");
        }
        let mut known = Sums::default();
        known.update(b"abc");
        let (sha256, md5) = known.finish();
        assert_eq!(hex(&sha256), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hex(&md5), "900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn a_state_of_something_else_is_none() {
        for state in [&b""[..], b"x", &[0; 500]] {
            assert!(Sums::restore(state).is_none());
        }
    }
}
