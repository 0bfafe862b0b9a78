//! The log: lines on standard error, as text or JSON, with a level that can change at runtime.
//!
//! Some libraries print whole stanzas at trace level, secrets included. Their targets never log below `info`,
//! whatever the configuration says.

use std::{fmt, str::FromStr};

use thiserror::Error;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    registry::Registry,
    reload,
    util::{SubscriberInitExt, TryInitError},
};

/// A target that is off unless the levels name it. sled logs several lines for each failed write, and the store
/// itself logs the cause once a minute.
const OFF_BY_DEFAULT: &str = "sled";

/// Targets that print what they send and receive, passwords included; and the most verbose level they may have.
const LOUD: [&str; 4] = ["tokio_xmpp", "xmpp_parsers", "xso", "sasl"];
const LOUD_MOST: LevelFilter = LevelFilter::INFO;

/// Maximum number of parts in a [`Levels`].
const MAX_PARTS: usize = 64;

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// The name of every format in the configuration.
    pub const NAMES: [(&'static str, LogFormat); 2] =
        [("text", LogFormat::Text), ("json", LogFormat::Json)];
}

/// The level of the log, with exceptions for parts of the program: `info,portcullis::xmpp=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    rest: LevelFilter,
    parts: Vec<(String, LevelFilter)>,
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            rest: LevelFilter::INFO,
            parts: Vec::new(),
        }
    }
}

/// Why a text is not a [`Levels`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadLevels {
    /// This word is not a level.
    #[error("{0:?} is not a level; levels are error, warn, info, debug, trace and off")]
    Level(String),
    /// More than [`MAX_PARTS`] parts.
    #[error("more than {MAX_PARTS} parts")]
    TooMany,
}

impl FromStr for Levels {
    type Err = BadLevels;

    fn from_str(text: &str) -> Result<Self, BadLevels> {
        let mut levels = Self::default();
        for word in text.split(',').map(str::trim) {
            match word.split_once('=') {
                None => levels.rest = level(word)?,
                Some((part, of)) => levels
                    .parts
                    .push((part.trim().to_owned(), level(of.trim())?)),
            }
        }
        if levels.parts.len() > MAX_PARTS {
            Err(BadLevels::TooMany)
        } else {
            Ok(levels)
        }
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rest)?;
        self.parts
            .iter()
            .try_for_each(|(part, level)| write!(f, ",{part}={level}"))
    }
}

impl Levels {
    /// The filter; [`LOUD`] targets are limited to [`LOUD_MOST`].
    fn targets(&self) -> Targets {
        let is_loud = |part: &str| {
            LOUD.iter().any(|loud| {
                part.strip_prefix(loud)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            })
        };
        // `Targets` compares prefixes letter by letter: "tokio" also matches tokio_xmpp, but the longer entry wins.
        let loud = LOUD.map(|loud| (loud.to_owned(), self.rest.min(LOUD_MOST)));
        let parts = self.parts.iter().map(|(part, level)| {
            let level = if is_loud(part) {
                (*level).min(LOUD_MOST)
            } else {
                *level
            };
            (part.clone(), level)
        });
        Targets::new()
            .with_default(self.rest)
            .with_target(OFF_BY_DEFAULT, LevelFilter::OFF)
            .with_targets(loud)
            .with_targets(parts)
    }
}

/// A handle to change the level of the running log.
#[derive(Clone, Debug)]
pub struct Logs(reload::Handle<Targets, Registry>);

impl Logs {
    /// Replaces the level and its exceptions.
    pub fn set(&self, levels: &Levels) {
        // Fails only if the subscriber is gone, and then there is no log to change.
        let _gone = self.0.reload(levels.targets());
    }
}

/// Starts the log of this process. Call it once.
///
/// # Errors
/// If a log was started before.
pub fn start(format: LogFormat, levels: &Levels) -> Result<Logs, TryInitError> {
    let (filter, handle) = reload::Layer::new(levels.targets());
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => {
            let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            registry.with(lines.with_ansi(colours)).try_init()?;
        }
        LogFormat::Json => {
            let lines = tracing_subscriber::fmt::layer().json().flatten_event(true);
            registry
                .with(lines.with_writer(std::io::stderr))
                .try_init()?;
        }
    }
    Ok(Logs(handle))
}

fn level(word: &str) -> Result<LevelFilter, BadLevels> {
    // `LevelFilter::from_str` would also accept numbers and an empty text.
    Ok(match word.to_ascii_lowercase().as_str() {
        "off" => LevelFilter::OFF,
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => return Err(BadLevels::Level(word.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tracing::Level;

    use super::*;

    #[test]
    fn levels_are_read_and_a_typing_error_is_not_taken_for_a_target() {
        let check = |text: &str, want: &str| {
            assert_eq!(text.parse::<Levels>().unwrap().to_string(), want, "{text}")
        };
        check("info", "info");
        check("WARN", "warn");
        check(
            "debug, portcullis::xmpp = trace",
            "debug,portcullis::xmpp=trace",
        );
        check("portcullis=debug", "info,portcullis=debug");
        for bad in ["inof", "", "3", "a=", "a=loud", "info,"] {
            assert!(bad.parse::<Levels>().is_err(), "{bad}");
        }
        assert_eq!(
            vec!["a=info"; MAX_PARTS + 1].join(",").parse::<Levels>(),
            Err(BadLevels::TooMany)
        );
    }

    #[test]
    fn what_prints_whole_stanzas_stays_at_info_however_it_is_asked() {
        for text in [
            "trace",
            "tokio_xmpp=trace",
            "info,tokio_xmpp::xmlstream=trace",
            "tokio_xmpp::xmlstream::capture=debug",
            "trace,tokio=trace",
            "t=trace",
        ] {
            let targets = text.parse::<Levels>().unwrap().targets();
            for part in [
                "tokio_xmpp",
                "tokio_xmpp::xmlstream",
                "tokio_xmpp::xmlstream::capture",
                "xso::fromxml",
            ] {
                assert!(!targets.would_enable(part, &Level::DEBUG), "{text} {part}");
                assert!(targets.would_enable(part, &Level::INFO), "{text} {part}");
            }
        }
        let trace = "trace".parse::<Levels>().unwrap().targets();
        assert!(trace.would_enable("portcullis::xmpp::link", &Level::TRACE));
        let off = "off".parse::<Levels>().unwrap().targets();
        assert!(!off.would_enable("tokio_xmpp", &Level::ERROR));
    }
}
