//! Random names and passwords, hashes of keys, signatures, and encryption of secrets at rest.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac};

/// This many random bytes, as twice as many hexadecimal digits.
///
/// # Panics
///
/// If the system's random number generator fails: no secret can be created without it.
pub fn random_hex(bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    #[expect(clippy::expect_used, reason = "no secret can be created without random numbers")]
    SystemRandom::new().fill(&mut buffer).expect("the system's random number generator works");
    hex(&buffer)
}

/// Encodes bytes as lowercase hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// Decodes hexadecimal digits of either case; `None` for any other text.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()
}

/// A new API key, in the format of the hosted service.
pub fn new_api_key() -> String {
    format!("capy_live_{}", random_hex(24))
}

/// The SHA-256 hash of a text: the stored form of an API key.
pub fn sha256(text: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec()
}

/// Signs texts, such as upload URLs, with HMAC-SHA-256.
pub struct Signer(hmac::Key);

impl Signer {
    /// A signer for a key.
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The signature, as hexadecimal digits.
    pub fn sign(&self, text: &str) -> String {
        hex(hmac::sign(&self.0, text.as_bytes()).as_ref())
    }

    /// Whether a signature is valid; the comparison takes constant time.
    pub fn verifies(&self, text: &str, signature: &str) -> bool {
        unhex(signature).is_some_and(|tag| hmac::verify(&self.0, text.as_bytes(), &tag).is_ok())
    }
}

/// Encrypts secrets before they are stored, with ChaCha20-Poly1305.
pub struct SecretBox(LessSafeKey);

impl SecretBox {
    /// A box for a key of 32 bytes; any other length is an error.
    pub fn new(key: &[u8]) -> anyhow::Result<Self> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key)
            .map_err(|_| anyhow::anyhow!("the encryption key must have 32 bytes"))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Encrypts a text; the result begins with a random nonce.
    pub fn seal(&self, text: &str) -> anyhow::Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        let broken = |_| anyhow::anyhow!("encryption failed");
        SystemRandom::new().fill(&mut nonce).map_err(broken)?;
        let mut sealed = text.as_bytes().to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
            .map_err(broken)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Decrypts a result of [`SecretBox::seal`].
    pub fn open(&self, sealed: &[u8]) -> anyhow::Result<String> {
        let broken = || anyhow::anyhow!("cannot decrypt a stored secret with this control plane's key");
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or_else(broken)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| broken())?;
        let mut text = text.to_vec();
        let opened = self.0.open_in_place(nonce, Aad::empty(), &mut text).map_err(|_| broken())?;
        String::from_utf8(opened.to_vec()).map_err(|_| broken())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_decrypted_only_with_its_key() {
        let secret_box = SecretBox::new(&[1; 32]).expect("a valid key");
        let sealed = secret_box.seal("postgres://u:canary@h/d").expect("an encrypted secret");
        assert!(!sealed.windows(6).any(|window| window == b"canary"));
        assert_eq!(secret_box.open(&sealed).expect("the matching key"), "postgres://u:canary@h/d");
        assert!(SecretBox::new(&[2; 32]).expect("a valid key").open(&sealed).is_err());
        assert!(secret_box.open(&sealed[..8]).is_err());
    }

    #[test]
    fn a_signature_is_valid_for_one_text() {
        let signer = Signer::new(b"key");
        let signature = signer.sign("text");
        assert!(signer.verifies("text", &signature));
        assert!(!signer.verifies("other", &signature) && !signer.verifies("text", "zz"));
    }

    #[test]
    fn hexadecimal_digits_are_decoded() {
        assert_eq!(unhex(&hex(&[0, 15, 255])), Some(vec![0, 15, 255]));
        assert_eq!(unhex("0g"), None);
        assert_eq!(unhex("+1"), None);
    }
}
