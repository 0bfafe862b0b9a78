//! Secrets and keys: from the environment, from the file itself, or from files of their own that nobody else may read.

use std::path::Path;

use toml::Spanned;

use super::{
    ENV_COOKIE, ENV_SEAL_KEYS, ENV_SECRET, Secret, files, keys::within, raw, reader::Reader,
    shape::Shaped,
};
use crate::core::seal::Keyring;

const DEFAULT_SEAL_KEYS: &str = "/etc/portcullis/seal.key";

impl Reader<'_, '_> {
    pub(super) fn secret(&mut self, shaped: &Shaped) -> Option<Secret> {
        let raw::Component {
            secret,
            secret_file,
            ..
        } = &shaped.raw.component;
        let keys = ["secret", "secret_file"];
        match self.one_of(
            "component",
            keys,
            secret,
            secret_file,
            ENV_SECRET,
            check_secret,
        ) {
            Some(read) => read,
            None => {
                if !keys
                    .iter()
                    .any(|key| shaped.was_taken_out("component", key))
                {
                    let said = format!(
                        "the component secret is missing: set `secret_file` (or `secret`) in [component], or {ENV_SECRET} in the environment, to the secret the XMPP server has for this component"
                    );
                    self.found.wrong(None, said);
                }
                None
            }
        }
    }

    /// A secret from the environment, the configuration or a file. `None`: none was given; `Some(None)`: one that was
    /// reported as wrong.
    pub(super) fn one_of(
        &mut self,
        section: &'static str,
        [name, file_name]: [&'static str; 2],
        secret: &raw::Text,
        secret_file: &raw::Text,
        variable: &'static str,
        check: fn(String) -> Result<Secret, String>,
    ) -> Option<Option<Secret>> {
        if let Some(text) = self.variable(variable) {
            if let Some(ignored) = secret.as_ref().or(secret_file.as_ref()) {
                let odd = format!("ignored, because the environment variable {variable} is set");
                self.found.odd(Some(ignored.span()), odd);
            }
            let checked =
                check(text).map_err(|said| self.found.wrong(None, format!("{variable}: {said}")));
            return Some(checked.ok());
        }
        self.written(section, [name, file_name], secret, secret_file, check)
    }

    /// The same without the environment.
    pub(super) fn written(
        &mut self,
        section: &'static str,
        [name, file_name]: [&'static str; 2],
        secret: &raw::Text,
        secret_file: &raw::Text,
        check: fn(String) -> Result<Secret, String>,
    ) -> Option<Option<Secret>> {
        let read = match (secret, secret_file) {
            (Some(secret), Some(_)) => {
                let said = format!(
                    "`{name}` and `{file_name}`{} are both set; keep `{file_name}` and take `{name}` out",
                    within(section)
                );
                self.found.wrong(Some(secret.span()), said);
                return Some(None);
            }
            (Some(secret), None) => check(secret.get_ref().clone()).map_err(|said| {
                (
                    secret.span(),
                    format!("`{name}`{}: {said}", within(section)),
                )
            }),
            (None, Some(file)) => {
                let path = self.folder.join(file.get_ref());
                files::read_private(&path, files::hand_over)
                    .and_then(|text| {
                        check(text.trim_end_matches(['\r', '\n']).to_owned())
                            .map_err(|said| format!("{}: {said}", path.display()))
                    })
                    .map_err(|said| {
                        (
                            file.span(),
                            format!("`{file_name}`{}: {said}", within(section)),
                        )
                    })
            }
            (None, None) => return None,
        };
        let read = read.map_err(|(place, said)| self.found.wrong(Some(place), said));
        Some(read.ok())
    }

    pub(super) fn keyring(&mut self, shaped: &Shaped) -> Option<Keyring> {
        if let Some(text) = self.variable(ENV_SEAL_KEYS) {
            return Keyring::parse(&text)
                .map_err(|said| self.found.wrong(None, format!("{ENV_SEAL_KEYS}: {said}")))
                .ok();
        }
        if shaped.was_taken_out("record", "seal_key_file") {
            return None;
        }
        let typed = shaped.raw.record.seal_key_file.clone();
        let place = typed.as_ref().map(Spanned::span);
        let path = self.path(typed, DEFAULT_SEAL_KEYS);
        let make = format!(
            "make one: (umask 077; portcullis keygen > {})",
            files::quoted(&path)
        );
        let keys = if !matches!(path.try_exists(), Ok(false)) {
            files::read_private(&path, files::hand_over)
        } else {
            Err(format!("{} does not exist; {make}", path.display()))
        };
        keys.and_then(|text| {
            Keyring::parse(&text).map_err(|said| format!("{}: {said}", path.display()))
        })
        .map_err(|said| {
            self.found
                .wrong(place, format!("`seal_key_file` in [record]: {said}"))
        })
        .ok()
    }

    pub(super) fn cookie(&mut self, typed: raw::Text) -> Option<Secret> {
        if let Some(text) = self.variable(ENV_COOKIE) {
            return check_secret(text)
                .map_err(|said| self.found.wrong(None, format!("{ENV_COOKIE}: {said}")))
                .ok();
        }
        let typed = typed?;
        let path = self.folder.join(typed.get_ref());
        files::read_private(&path, copy_cookie)
            .and_then(|text| {
                check_secret(text.trim_end_matches(['\r', '\n', ' ']).to_owned())
                    .map_err(|said| format!("{}: {said}", path.display()))
            })
            .map_err(|said| {
                self.found.wrong(
                    Some(typed.span()),
                    format!("`ejabberd_cookie_file` in [record]: {said}"),
                )
            })
            .ok()
    }
}

/// What to do when the cookie may not be read. Never to open the original: Erlang does not start when anybody but its
/// owner may read it (kernel `auth.erl`, `check_attributes`).
fn copy_cookie(path: &Path) -> String {
    format!(
        "leave it closed, or ejabberd will not start; name a copy here: install -o portcullis -m 0400 {} /etc/portcullis/erlang.cookie",
        files::quoted(path)
    )
}

pub(super) fn check_secret(text: String) -> Result<Secret, String> {
    let secret = Secret::new(text);
    let problem = match secret.expose() {
        text if text.trim().is_empty() => "it is empty",
        text if text.contains(char::is_control) => {
            "it must be one line without control characters; is it the right file?"
        }
        _ => return Ok(secret),
    };
    Err(problem.to_owned())
}

/// Sent in a header, so it is what one can carry; long enough not to be guessed.
pub(super) fn check_token(text: String) -> Result<Secret, String> {
    const SHORTEST: usize = 16;
    let token = check_secret(text)?;
    match token.expose() {
        text if text.len() < SHORTEST => Err(format!(
            "it has fewer than {SHORTEST} characters and could be guessed; make one: openssl rand -hex 32"
        )),
        text if !text.bytes().all(|byte| byte.is_ascii_graphic()) => Err(String::from(
            "it must be of ASCII characters without blanks; make one: openssl rand -hex 32",
        )),
        _ => Ok(token),
    }
}
