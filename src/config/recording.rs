//! `[record_attempts]`: where what was weighed is recorded, and how much of it is kept.

use super::{
    raw,
    reader::{Reader, first},
};
use crate::store::recording::{KEEP_MOST, Settings};

/// Bytes of a file when the configuration does not say.
const DEFAULT_SIZE: u64 = 10_000_000;
/// How many old files are kept when it does not say.
const DEFAULT_KEEP: u32 = 5;
/// Fewer bytes would hardly hold a minute; more are not to be rehearsed.
const SIZES: std::ops::RangeInclusive<u64> = 100_000..=100_000_000_000;

impl Reader<'_, '_> {
    /// `None` when no file is named, or it is wrong.
    pub(super) fn recording(&mut self, typed: raw::RecordAttempts) -> Option<Settings> {
        const SECTION: &str = "record_attempts";
        let max_size = self.value(SECTION, "max_size", typed.max_size, size);
        let keep = self.whole(SECTION, "keep", typed.keep, 0, KEEP_MOST);
        let folder = self.folder;
        let file = self.value(SECTION, "file", typed.file, |text| {
            let path = folder.join(text);
            match path.file_name() {
                Some(_) if !text.ends_with('/') => Ok(path),
                _ => Err(format!("{text:?} names no file")),
            }
        });
        Some(Settings {
            file: first(file?),
            max_size: max_size.map_or(DEFAULT_SIZE, first),
            keep: keep.unwrap_or(DEFAULT_KEEP),
        })
    }
}

/// `10 MB`, `512KiB`, or bytes without a unit.
fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => {
            return Err(format!(
                "{text:?} is no size; its unit is kB, MB, GB, KiB, MiB or GiB"
            ));
        }
    };
    let number: u64 = number
        .parse()
        .map_err(|_| format!("{text:?} is no size; it begins with a whole number"))?;
    match number.checked_mul(factor) {
        Some(bytes) if SIZES.contains(&bytes) => Ok(bytes),
        _ => Err(format!("{text:?} is not from 100 kB to 100 GB")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("10 MB", 10_000_000),
            ("10mb", 10_000_000),
            ("1 GiB", 1 << 30),
            ("512 KiB", 512 << 10),
            ("123456", 123_456),
            (" 100 kB ", 100_000),
        ] {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        for (text, said) in [
            ("10 apples", "\"10 apples\" is no size; its unit is kB"),
            ("MB", "it begins with a whole number"),
            ("1.5 MB", "its unit is"),
            ("99999", "is not from 100 kB to 100 GB"),
            ("101 GB", "is not from"),
            ("99999999999999 GB", "is not from"),
        ] {
            let got = size(text).unwrap_err();
            assert!(got.contains(said), "{got}");
        }
    }
}
