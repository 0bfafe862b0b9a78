//! The smaller tables: `[server]`, `[store]`, `[record]`, `[http]`, `[hook]`, `[record_attempts]`, `[notices]`,
//! `[log]`.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use super::{
    ENV_TOKEN, Levels, Notices, Recording, Secret,
    secrets::check_token,
    section::Section,
    values::{account, bytes, host, listen},
};
use crate::{
    core::{Account, seal::Keyring},
    logs::LogFormat,
    store::{EngineKind, recording::KEEP_MOST},
};

/// Default of `check_every`.
const CHECK_EVERY: Duration = Duration::from_secs(600);
/// Shorter digests save no messages; longer ones arrive after the day is over.
const DIGEST: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(86_400);

pub(super) fn server(mut t: Section<'_, '_>) -> Option<Account> {
    let takes = "an account that is an admin of the server";
    t.text("act_as", takes, "admin@example.org", account)
        .optional()
}

/// `[store]`: the folder, and the engine if one is named.
pub(super) fn store(mut t: Section<'_, '_>) -> (PathBuf, Option<EngineKind>) {
    const DEFAULT: &str = "/var/lib/portcullis/store";
    let folder = t.reader.folder;
    let path = t.text("path", "the path of a folder", DEFAULT, |text| {
        Ok(folder.join(text))
    });
    let path = path.or(folder.join(DEFAULT));
    let engine = t.word("engine", &EngineKind::NAMES, "redb").optional();
    (path, engine)
}

/// `[record]`.
pub(super) struct RecordSettings {
    /// `None` if it is missing or wrong, which has been reported.
    pub(super) keyring: Option<Keyring>,
    pub(super) cookie: Option<Secret>,
    pub(super) check_every: Duration,
}

pub(super) fn record(mut t: Section<'_, '_>) -> RecordSettings {
    let keyring = t.keyring("seal_key_file");
    t.keep("seal_key_file", &keyring);
    let cookie = t.cookie("ejabberd_cookie_file");
    t.keep("ejabberd_cookie_file", &cookie);
    RecordSettings {
        keyring,
        cookie,
        check_every: t.duration("check_every", "10m").or(CHECK_EVERY),
    }
}

/// `[http]`: the address to listen on, and the token.
pub(super) fn http(mut t: Section<'_, '_>) -> (Option<SocketAddr>, Option<Secret>) {
    let takes = "address:port to listen on";
    let (at, place) = t
        .text("listen", takes, "127.0.0.1:5380", listen)
        .with_place();
    if let Some(at) = at
        && !at.ip().to_canonical().is_loopback()
    {
        let said = format!(
            "`listen` in [http]: {at} is not loopback; anybody who reaches it can see the state of this component"
        );
        t.odd(place, said);
    }
    let takes = "the token of programs that ask /v1/check and /v1/report";
    let file = "/etc/portcullis/http.token";
    let token = t.secret(
        ["token", "token_file"],
        takes,
        file,
        Some(ENV_TOKEN),
        check_token,
    );
    (at, token.usable())
}

pub(super) fn hook(mut t: Section<'_, '_>) -> Vec<String> {
    t.texts(
        "hosts",
        "a list of virtual hosts of the server",
        r#"["example.org"]"#,
        host,
    )
    .list()
}

/// `[record_attempts]`; `None` if no file is named.
pub(super) fn record_attempts(mut t: Section<'_, '_>) -> Option<Recording> {
    let folder = t.reader.folder;
    let file = t.text(
        "file",
        "the path of a file to write",
        "/var/lib/portcullis/attempts.jsonl",
        |text| {
            let path = folder.join(text);
            match path.file_name() {
                Some(_) if !text.ends_with('/') => Ok(path),
                _ => Err(format!("{text:?} names no file")),
            }
        },
    );
    let file = file.optional();
    let max_size = t
        .text("max_size", "a size from 100 kB to 100 GB", "10 MB", bytes)
        .or(10_000_000);
    let keep = t.whole("keep", 0..=KEEP_MOST, 5).or(5);
    Some(Recording {
        file: file?,
        max_size,
        keep,
    })
}

pub(super) fn notices(mut t: Section<'_, '_>) -> Notices {
    let usual = Notices::default();
    let digest = t
        .duration("digest", "10m")
        .map(|_, digest| match DIGEST.contains(&digest) {
            true => Ok(digest),
            false => Err("it is from 5 s to 1 d".to_owned()),
        });
    Notices {
        digest: digest.or(usual.digest),
        most: t.whole("most", 1..=20, 3).or(usual.most as u32) as usize,
    }
}

pub(super) fn log(mut t: Section<'_, '_>) -> (LogFormat, Levels) {
    t.restart = true;
    let format = t
        .word("format", &LogFormat::NAMES, "text")
        .or(LogFormat::default());
    t.restart = false;
    let takes = "a level, or levels for parts of the program";
    let levels = t.text("level", takes, "info,portcullis::xmpp=debug", |text| {
        text.parse::<Levels>().map_err(|bad| bad.to_string())
    });
    (format, levels.or(Levels::default()))
}
