//! Secrets and keys: from the environment, the configuration file, or separate files that nobody else may read.

use std::path::Path;

use zeroize::Zeroizing;

use super::{ENV_COOKIE, ENV_SEAL_KEYS, Secret, files, key::within, section::Section};
use crate::core::seal::Keyring;

const SEAL_KEYS: &str = "/etc/portcullis/seal.key";

/// The result of looking for a secret.
pub(super) enum Given {
    Nothing,
    /// It cannot be used; the problem has been reported.
    Wrong,
    Secret(Secret),
}

impl Given {
    pub(super) fn usable(self) -> Option<Secret> {
        match self {
            Given::Secret(secret) => Some(secret),
            Given::Nothing | Given::Wrong => None,
        }
    }
}

impl Section<'_, '_> {
    /// Reads a secret from an environment variable, from the first key, or from the file that the second key names.
    pub(super) fn secret(
        &mut self,
        [name, file_name]: [&'static str; 2],
        takes: &str,
        file: &str,
        variable: Option<&'static str>,
        check: fn(String) -> Result<Secret, String>,
    ) -> Given {
        let typed = self.text(name, takes, "…", |text| Ok(Secret::new(text.to_owned())));
        let (was_there, typed) = (typed.was_there, typed.placed());
        let takes = format!("the path of a file that holds the {name}");
        let path = self.text(file_name, &takes, file, |text| Ok(text.to_owned()));
        let (was_there, path) = (was_there || path.was_there, path.placed());
        if let (Some((_, place)), Some(said)) = (&typed, self.reader.open_to_others.clone()) {
            self.wrong(Some(place.clone()), said);
        }
        let place = typed
            .as_ref()
            .map(|(_, place)| place)
            .or(path.as_ref().map(|(_, place)| place))
            .cloned();
        let here = within(self.key(name).section);
        let read = if !self.is_judged() {
            return Given::Wrong;
        } else if let Some((variable, text)) =
            variable.and_then(|name| Some((name, self.variable(name)?)))
        {
            if place.is_some() {
                let said = format!("ignored, because the environment variable {variable} is set");
                self.odd(place, said);
            }
            check(text).map_err(|said| (None, format!("{variable}: {said}")))
        } else {
            match (typed, path) {
                (Some(_), Some(_)) => Err((
                    place,
                    format!(
                        "`{name}` and `{file_name}`{here} are both set; keep `{file_name}` and take `{name}` out"
                    ),
                )),
                (Some((secret, _)), None) => check(secret.expose().to_owned())
                    .map_err(|said| (place, format!("`{name}`{here}: {said}"))),
                (None, Some((path, _))) => self
                    .private(Path::new(&path), files::hand_over, |text| {
                        check(text.trim_end_matches(['\r', '\n']).to_owned())
                    })
                    .map_err(|said| (place, format!("`{file_name}`{here}: {said}"))),
                (None, None) if was_there => return Given::Wrong,
                (None, None) => {
                    self.keep(name, &None::<Secret>);
                    return Given::Nothing;
                }
            }
        };
        match read {
            Ok(secret) => {
                self.keep(name, &Some(secret.clone()));
                Given::Secret(secret)
            }
            Err((place, said)) => {
                self.wrong(place, said);
                Given::Wrong
            }
        }
    }

    /// The keys of the seal.
    pub(super) fn keyring(&mut self, name: &'static str) -> Option<Keyring> {
        let read = self.text(name, "the path of a file of seal keys", SEAL_KEYS, |text| {
            Ok(text.to_owned())
        });
        let unusable = read.was_there;
        let typed = read.placed();
        let unusable = unusable && typed.is_none();
        if let Some(text) = self.variable(ENV_SEAL_KEYS) {
            let keyring = Keyring::parse(&text);
            return keyring
                .map_err(|said| self.wrong(None, format!("{ENV_SEAL_KEYS}: {said}")))
                .ok();
        }
        if unusable || !self.is_judged() {
            return None;
        }
        let place = typed.as_ref().map(|(_, place)| place.clone());
        let path = typed.map_or_else(|| SEAL_KEYS.to_owned(), |(path, _)| path);
        let full = self.reader.folder.join(&path);
        let keyring = match full.try_exists() {
            Ok(false) => Err(format!(
                "{} does not exist; make one: (umask 077; portcullis keygen > {})",
                full.display(),
                files::quoted(&full)
            )),
            _ => self.private(Path::new(&path), files::hand_over, |text| {
                Keyring::parse(text).map_err(|said| said.to_string())
            }),
        };
        keyring
            .map_err(|said| self.wrong(place, format!("`{name}` in [record]: {said}")))
            .ok()
    }

    /// ejabberd's cookie.
    pub(super) fn cookie(&mut self, name: &'static str) -> Option<Secret> {
        let takes = "the path of a copy of ejabberd's .erlang.cookie";
        let typed = self.text(name, takes, "/etc/portcullis/erlang.cookie", |text| {
            Ok(text.to_owned())
        });
        let typed = typed.placed();
        if let Some(text) = self.variable(ENV_COOKIE) {
            return check_secret(text)
                .map_err(|said| self.wrong(None, format!("{ENV_COOKIE}: {said}")))
                .ok();
        }
        let (path, place) = typed.filter(|_| self.is_judged())?;
        self.private(Path::new(&path), copy_cookie, |text| {
            check_secret(text.trim_end_matches(['\r', '\n', ' ']).to_owned())
        })
        .map_err(|said| self.wrong(Some(place), format!("`{name}` in [record]: {said}")))
        .ok()
    }

    /// Parses the content of a file that nobody else may read.
    fn private<T>(
        &self,
        path: &Path,
        denied: fn(&Path) -> String,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, String> {
        let path = self.reader.folder.join(path);
        let text: Zeroizing<String> = files::read_private(&path, denied)?;
        parse(&text).map_err(|said| format!("{}: {said}", path.display()))
    }

    /// Reads an environment variable. An empty one counts as unset, because compose files pass unset variables as
    /// empty.
    fn variable(&mut self, name: &'static str) -> Option<String> {
        let value = (self.reader.env)(name).filter(|value| !value.is_empty())?;
        let text = value.into_string();
        text.map_err(|_| {
            self.wrong(
                None,
                format!("the environment variable {name} is not text in UTF-8"),
            )
        })
        .ok()
    }
}

/// Advice if the cookie may not be read: copy it. Erlang does not start if anybody but the owner may read the
/// original (kernel `auth.erl`, `check_attributes`).
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

/// Checks an HTTP token: only visible ASCII, because it goes into a header, and too long to guess.
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
