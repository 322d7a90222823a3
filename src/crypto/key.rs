//! The gateway key: 32 bytes that seal what is stored and must be read back (AES-256-GCM), and from which
//! keys for narrower purposes are derived (HKDF-Expand, SHA-256), so that no key ever does two jobs.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;

use crate::base::random::{NoRandomness, Random};
use crate::base::secret::Secret;

/// The 32 bytes everything else is derived from.
#[derive(Clone, Debug)]
pub struct GatewayKey(Secret<[u8; 32]>);

/// What a derived key is for. Each purpose has a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Sealing what is stored.
    Seal,
    /// Form tokens against cross-site requests.
    Csrf,
    /// The successors of refresh tokens.
    Refresh,
}

/// Something sealed could not be opened, or could not be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    /// A key file that does not hold 32 bytes (or 64 hex digits).
    #[error("a gateway key is 32 bytes, or 64 hex digits; this has {0} bytes")]
    Length(usize),
    /// The sealed text was changed, sealed for something else, or with another key.
    #[error("sealed data does not open with this gateway key")]
    Sealed,
    /// No nonce could be drawn.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// First byte of everything sealed, to tell formats apart later.
const SEAL_VERSION: u8 = 1;

impl GatewayKey {
    /// A new key.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate(random: &Random) -> Result<Self, NoRandomness> {
        random.bytes().map(|bytes| Self(Secret::new(bytes)))
    }

    /// Reads the contents of a key file: 32 raw bytes, or 64 hex digits with an optional line end.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(file: &[u8]) -> Result<Self, KeyFault> {
        let mut bytes = [0; 32];
        // 32 hex digits are half a key in hex, cut short on its way to the disk.
        let cut_short = file.iter().all(u8::is_ascii_hexdigit);
        if let (Ok(raw), false) = (<[u8; 32]>::try_from(file), cut_short) {
            bytes = raw;
        } else if hex::decode_to_slice(file.trim_ascii(), &mut bytes).is_err() {
            return Err(KeyFault::Length(file.len()));
        }
        Ok(Self(Secret::new(bytes)))
    }

    /// The key as it is written to a file.
    #[must_use]
    pub fn to_hex(&self) -> Secret<String> {
        Secret::new(hex::encode(self.0.expose()))
    }

    /// Seals `plain` so that it opens only for the same `context`.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn seal(&self, context: &str, plain: &[u8], random: &Random) -> Result<Vec<u8>, KeyFault> {
        let nonce: [u8; NONCE_LEN] = random.bytes()?;
        let mut body = plain.to_vec();
        let key = self.aead()?;
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context.as_bytes()),
            &mut body,
        )
        .map_err(|_| KeyFault::Sealed)?;
        Ok([&[SEAL_VERSION][..], &nonce, &body].concat())
    }

    /// Opens what [`GatewayKey::seal`] made.
    ///
    /// # Errors
    /// When it was changed, or sealed for another context or with another key.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>, KeyFault> {
        let rest = sealed
            .strip_prefix(&[SEAL_VERSION])
            .ok_or(KeyFault::Sealed)?;
        let (nonce, body) = rest
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(KeyFault::Sealed)?;
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self
            .aead()?
            .open_in_place(nonce, Aad::from(context.as_bytes()), &mut body);
        let length = opened.map_err(|_| KeyFault::Sealed)?.len();
        body.truncate(length);
        Ok(Secret::new(body))
    }

    /// An HMAC-SHA-256 key for one purpose.
    #[must_use]
    pub fn mac(&self, purpose: Purpose) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.derive(purpose).expose())
    }

    fn aead(&self) -> Result<LessSafeKey, KeyFault> {
        let key = UnboundKey::new(&AES_256_GCM, self.derive(Purpose::Seal).expose());
        key.map(LessSafeKey::new).map_err(|_| KeyFault::Sealed)
    }

    fn derive(&self, purpose: Purpose) -> Secret<[u8; 32]> {
        let label: &[u8] = match purpose {
            Purpose::Seal => b"portcullis/seal/v1",
            Purpose::Csrf => b"portcullis/csrf/v1",
            Purpose::Refresh => b"portcullis/refresh/v1",
        };
        // One block of HKDF-Expand. The gateway key is uniformly random, so that the extract step is not needed
        // (RFC 5869 section 3.3).
        let root = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose());
        let block = hmac::sign(&root, &[label, &[1]].concat());
        let mut derived = [0; 32];
        derived
            .iter_mut()
            .zip(block.as_ref())
            .for_each(|(to, from)| *to = *from);
        Secret::new(derived)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_11_what_was_sealed_opens_only_as_it_was_sealed() {
        let random = Random::seeded(5);
        let key = GatewayKey::generate(&random).unwrap();
        let sealed = key.seal("signing-key", b"secret", &random).unwrap();
        assert_eq!(
            key.open("signing-key", &sealed).unwrap().expose(),
            b"secret"
        );
        assert!(key.open("other", &sealed).is_err());
        assert!(
            GatewayKey::generate(&random)
                .unwrap()
                .open("signing-key", &sealed)
                .is_err()
        );
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(key.open("signing-key", &changed).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(key.open("signing-key", &sealed[..length]).is_err());
        }
    }

    #[test]
    fn key_files() {
        let key = GatewayKey::generate(&Random::seeded(5)).unwrap();
        let text = format!("{}\n", key.to_hex().expose());
        assert_eq!(
            GatewayKey::parse(text.as_bytes()).unwrap().0.expose(),
            key.0.expose()
        );
        assert_eq!(
            GatewayKey::parse(key.0.expose()).unwrap().0.expose(),
            key.0.expose()
        );
        for bad in [&b""[..], b"short", &[b'z'; 64], &[0; 33], &[b'a'; 32]] {
            assert!(GatewayKey::parse(bad).is_err());
        }
        assert_eq!(format!("{key:?}"), "GatewayKey(***)");
    }
}
