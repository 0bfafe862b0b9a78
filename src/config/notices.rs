//! `[notices]`: how much people are told at once.

use std::time::Duration;

use super::{raw, reader::Reader};
use crate::front::notices::Settings;

/// Sooner would be no sum, later nobody's evening.
const SPANS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(5)..=Duration::from_secs(86_400);
/// More at once is a flood.
const MOST: u32 = 20;

impl Reader<'_, '_> {
    pub(super) fn notices(&mut self, typed: raw::Notices) -> Settings {
        const SECTION: &str = "notices";
        let usual = Settings::default();
        let place = typed.digest.as_ref().map(toml::Spanned::span);
        let digest = self.span(SECTION, "digest", typed.digest);
        if let (Some(digest), Some(place)) = (digest, place)
            && !SPANS.contains(&digest)
        {
            self.wrong(SECTION, "digest", place, "it is from 5 s to 1 d");
        }
        let most = self.whole(SECTION, "most", typed.most, 1, MOST);
        Settings {
            digest: digest.unwrap_or(usual.digest),
            most: most.map_or(usual.most, |most| most as usize),
        }
    }
}
