//! A map with a Bloom filter in front of it.
//!
//! Nearly every login concerns no ban. The filter has eight bits per key, so it fits into the processor's cache even
//! with a million bans, and passes one in twenty of the absent keys on to the map.
//!
//! Keys are hashed with a random secret of this process by a fast, non-cryptographic hash, because a login check
//! computes five hashes. Colliding keys cost an attacker one ban each and only slow lookups down.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

use foldhash::quality::RandomState;

/// A `HashMap` behind a Bloom filter.
#[derive(Debug, Clone)]
pub(in crate::core) struct BloomMap<K, V> {
    map: HashMap<K, V, RandomState>,
    words: Vec<u64>,
    /// Removed keys whose bits are still set.
    gone: usize,
}

/// Keys per word of the filter.
const KEYS_A_WORD: usize = 8;

impl<K, V> Default for BloomMap<K, V> {
    fn default() -> Self {
        BloomMap {
            map: HashMap::default(),
            words: vec![0; 1],
            gone: 0,
        }
    }
}

/// Equal if both have the same keys and values; the filter follows from the keys.
impl<K: Hash + Eq, V: PartialEq> PartialEq for BloomMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.map == other.map
    }
}

impl<K: Hash + Eq, V: Eq> Eq for BloomMap<K, V> {}

impl<K: Hash + Eq, V> BloomMap<K, V> {
    pub(in crate::core) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub(in crate::core) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if self.map.is_empty() || !self.may_have(self.map.hasher().hash_one(key)) {
            return None;
        }
        self.map.get(key)
    }

    /// Sets the value of a key, and returns the one before.
    pub(in crate::core) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.room_for_one();
        self.set(self.map.hasher().hash_one(&key));
        self.map.insert(key, value)
    }

    pub(in crate::core) fn remove(&mut self, key: &K) -> Option<V> {
        let removed = self.map.remove(key)?;
        self.gone += 1;
        Some(removed)
    }

    fn room_for_one(&mut self) {
        let full = self.words.len() * KEYS_A_WORD;
        if self.map.len() + self.gone >= full {
            // With few removed keys, a filter of the same size would soon be full again.
            let larger = if self.gone < full / 4 { 2 } else { 1 };
            self.rebuild(self.words.len() * larger);
        }
    }

    fn rebuild(&mut self, words: usize) {
        self.words = vec![0; words];
        self.gone = 0;
        let hashes: Vec<u64> = self
            .map
            .keys()
            .map(|key| self.map.hasher().hash_one(key))
            .collect();
        for hash in hashes {
            self.set(hash);
        }
    }

    fn set(&mut self, hash: u64) {
        let word = word(hash, self.words.len());
        self.words[word] |= bits(hash);
    }

    fn may_have(&self, hash: u64) -> bool {
        let bits = bits(hash);
        self.words[word(hash, self.words.len())] & bits == bits
    }
}

/// The index of a hash's word. The number of words is a power of two.
fn word(hash: u64, words: usize) -> usize {
    (hash >> 32) as usize & (words - 1)
}

/// Three bits of a word, from the half of the hash that does not choose the word.
fn bits(hash: u64) -> u64 {
    1 << (hash & 63) | 1 << (hash >> 6 & 63) | 1 << (hash >> 12 & 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_what_was_put_in_and_sieves_most_of_the_rest() {
        let mut map = BloomMap::<u64, u64>::default();
        for key in 0..10_000 {
            map.insert(key, key * 2);
        }
        for key in 0..5_000 {
            map.remove(&key);
        }
        for key in 10_000..12_000 {
            map.insert(key, key);
        }
        assert!((0..5_000).all(|key| map.get(&key).is_none()));
        assert!((5_000..10_000).all(|key| map.get(&key) == Some(&(key * 2))));
        assert!((10_000..12_000).all(|key| map.get(&key) == Some(&key)));
        let through = (100_000..200_000u64)
            .filter(|key| map.may_have(map.map.hasher().hash_one(key)))
            .count();
        assert!(through < 8_000, "{through} of 100000");
    }

    /// How many of 100,000 absent keys pass the filter.
    fn passing(map: &BloomMap<u64, u64>) -> usize {
        let absent = 1 << 40..(1 << 40) + 100_000;
        let passes = |key: &u64| map.may_have(map.map.hasher().hash_one(key));
        absent.filter(passes).count()
    }

    #[test]
    fn a_full_filter_passes_one_in_twenty_five_and_keys_that_come_and_go_do_not_fill_it() {
        let mut map = BloomMap::<u64, u64>::default();
        for key in 0..8_192 {
            map.insert(key, key);
        }
        assert_eq!(map.words.len(), 1_024);
        assert!(passing(&map) < 4_500, "{}", passing(&map));
        for key in 0..20_000 {
            map.remove(&key);
            map.insert(key + 8_192, key);
        }
        assert!(map.words.len() <= 2_048 && passing(&map) < 4_500);
    }

    #[test]
    fn maps_are_equal_if_their_keys_and_values_are() {
        let of = |pairs: &[(u64, u64)]| {
            let mut map = BloomMap::default();
            for (key, value) in pairs {
                map.insert(*key, *value);
            }
            map
        };
        assert_eq!(of(&[(1, 2), (3, 4)]), of(&[(3, 4), (1, 2)]));
        assert_ne!(of(&[(1, 2)]), of(&[(1, 3)]));
        assert_ne!(of(&[(1, 2)]), of(&[]));
    }
}
