//! The `<hash/>` of a `<banned/>` record, as ejabberd itself computes it.
//!
//! ejabberd (since 24.06, `mod_admin_extra` and `ejabberd_auth`) refuses a login if the record in the account's
//! private storage has this value. It only proves that the writer knows the server's Erlang cookie: it is the same
//! for every ban of an account, and covers neither reason nor date. [`crate::core::seal`] covers those.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

/// `term_to_binary/1` of a 32 byte binary: version 131, BINARY_EXT, length as u32 BE (Erlang External Term Format).
const TERM_OF_32_BYTES: [u8; 6] = [0x83, 0x6D, 0x00, 0x00, 0x00, 0x20];

/// ejabberd's own hash of a banned account: base64 of `83 6D 00 00 00 20` and SHA-256 of user, host and cookie.
///
/// `user` and `host` must be prepared (RFC 7622: lower case), as the parts of a `BareJid` are. `cookie` is the
/// content of `.erlang.cookie` without its line end.
pub fn native_hash(user: &str, host: &str, cookie: &[u8]) -> String {
    let digest = Sha256::new()
        .chain_update(user.as_bytes())
        .chain_update(host.as_bytes())
        .chain_update(cookie)
        .finalize();
    let mut term = Vec::with_capacity(TERM_OF_32_BYTES.len() + digest.len());
    term.extend_from_slice(&TERM_OF_32_BYTES);
    term.extend_from_slice(&digest);
    STANDARD.encode(term)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_a_running_ejabberd_accepted() {
        // Seen on ejabberd 24.12 and 26.07: with this value in the record alice's login is refused.
        let hash = native_hash("alice", "localhost", b"PORTCULLISLABCOOKIE");
        assert_eq!(hash, "g20AAAAgL+4WP8L8tdsEW5X+3YRvSPYd4/BZmM7g8Ic1kc/UjyY=");
    }

    #[test]
    fn every_part_counts() {
        let hash = native_hash("alice", "localhost", b"COOKIE");
        assert_ne!(hash, native_hash("bob", "localhost", b"COOKIE"));
        assert_ne!(hash, native_hash("alice", "example.org", b"COOKIE"));
        assert_ne!(hash, native_hash("alice", "localhost", b"COOKIE\n"));
        assert!(hash.starts_with("g20AAAAg"));
    }
}
