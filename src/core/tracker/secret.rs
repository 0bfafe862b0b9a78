//! Hashes of names as 64-bit keys, which only the holder of the secret can compute.

use std::fmt;

use ipnet::IpNet;
use siphasher::sip::SipHasher13;

use super::known;
use crate::core::subject::Account;

/// A random secret and the hashes made with it; no name hashes to 0.
#[derive(Clone, Copy)]
pub(super) struct HashSecret {
    keys: [u64; 2],
}

impl HashSecret {
    pub(super) fn new(secret: [u8; 16]) -> Self {
        let (low, high) = SipHasher13::new_with_key(&secret).keys();
        HashSecret { keys: [low, high] }
    }

    pub(super) fn bytes(&self) -> [u8; 16] {
        SipHasher13::new_with_keys(self.keys[0], self.keys[1]).key()
    }

    pub(super) fn account(&self, account: &Account) -> u64 {
        self.hash(account.as_str().as_bytes())
    }

    pub(super) fn net(&self, net: IpNet) -> u64 {
        let mut bytes = [net.prefix_len() + 1; 17];
        bytes[..16].copy_from_slice(&known::bits(net.addr()).to_le_bytes());
        self.hash(&bytes)
    }

    /// The key of a pair; 0 if either half is 0. Both halves are keyed hashes already, so mixing them is enough.
    pub(super) fn pair(&self, account: u64, source: u64) -> u64 {
        if account == 0 || source == 0 {
            return 0;
        }
        let product = u128::from(account ^ self.keys[0]) * u128::from(source ^ self.keys[1]);
        ((product >> 64) as u64 ^ product as u64) | NOT_ZERO
    }

    /// A value that is equal for two trackers with the same secret.
    pub(super) fn token(&self) -> u64 {
        self.hash(b"the same secret")
    }

    /// SipHash-1-3 with the secret key, as in Rust's own maps. A weaker hash would let an attacker construct
    /// collisions.
    fn hash(&self, bytes: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.keys[0], self.keys[1]).hash(bytes) | NOT_ZERO
    }
}

const NOT_ZERO: u64 = 1 << 63;

impl fmt::Debug for HashSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
