//! The two requests of the hook protocol for programs that do not speak XMPP: `POST /v1/check` and `POST /v1/report`
//! (docs/hook-protocol.md, "The HTTP twin").
//!
//! The same rooms answer as for a module. A caller with the token can cause bans, so without a configured token the
//! requests are not answered.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Router, middleware};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::admission::Admission;
use crate::core::{Account, Attempt, Timestamp, Verdict};
use crate::engine::Engine;
use crate::gate::Gate;
use crate::xmpp::payload::hook::denial_text;
use crate::xmpp::payload::hook::{self, HOLD, LOGINS, Login};
use crate::xmpp::secret::Secret;

/// Maximum size of a request body in bytes: enough for a report of [`LOGINS`] logins with long names.
pub(super) const BODY: usize = 512 * 1024;

/// Answers `/v1/check` and `/v1/report`, and checks the token of the caller.
#[derive(Clone)]
pub struct Logins {
    engine: Arc<Engine>,
    admission: Arc<Admission>,
    token: Option<Secret>,
}

impl Logins {
    /// Uses the rooms of `gate`. `token` is required of callers; without one nobody is answered.
    pub fn new(gate: &Gate, token: Option<Secret>) -> Self {
        Logins {
            engine: Arc::clone(&gate.engine),
            admission: Arc::clone(&gate.admission),
            token,
        }
    }
}

/// The error answer to a request.
struct BadLogin(StatusCode, String);

impl IntoResponse for BadLogin {
    fn into_response(self) -> Response {
        let BadLogin(status, why) = self;
        let mut answer = answer(status, &json!({ "error": why }));
        if status == StatusCode::UNAUTHORIZED {
            let scheme = header::HeaderValue::from_static("Bearer");
            answer
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        answer
    }
}

fn answer(status: StatusCode, value: &Value) -> Response {
    let kind = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, kind, format!("{value}\n")).into_response()
}

/// The routes `/v1/check` and `/v1/report`.
pub(super) fn routes(logins: Logins) -> Router {
    Router::new()
        .route("/v1/check", post(check))
        .route("/v1/report", post(report))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn_with_state(logins.clone(), admit))
        .with_state(logins)
}

/// Checks the token before the body is read.
async fn admit(
    State(logins): State<Logins>,
    headers: HeaderMap,
    request: axum::extract::Request,
    next: middleware::Next,
) -> Response {
    let Some(token) = &logins.token else {
        let why = "this portcullis has no token for /v1: set `token_file` in [http] of its configuration, or PORTCULLIS_HTTP_TOKEN, and restart it";
        return BadLogin(StatusCode::NOT_FOUND, why.to_owned()).into_response();
    };
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"))
        .map_or("", |(_, given)| given.trim());
    // Compare digests, so that timing reveals neither the length nor the position of the first difference.
    let digest = |text: &str| Sha256::digest(text.as_bytes());
    let is_right: bool = digest(given).ct_eq(&digest(token.expose())).into();
    if !is_right {
        let why = "the header `Authorization: Bearer TOKEN` with the token of [http] is wanted";
        return BadLogin(StatusCode::UNAUTHORIZED, why.to_owned()).into_response();
    }
    next.run(request).await
}

fn read<'a, T: Deserialize<'a>>(body: &'a Result<Bytes, BytesRejection>) -> Result<T, BadLogin> {
    let body = body.as_ref().map_err(|why| match why.status() {
        StatusCode::PAYLOAD_TOO_LARGE => BadLogin(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a request has at most {BODY} bytes; send a report in parts"),
        ),
        status => BadLogin(status, why.body_text()),
    })?;
    serde_json::from_slice(body).map_err(|why| {
        BadLogin(
            StatusCode::BAD_REQUEST,
            format!("this is not the JSON that is wanted: {why}"),
        )
    })
}

#[derive(Deserialize)]
struct CheckIn {
    account: Option<String>,
    address: Option<String>,
    /// In milliseconds, as in [`hook::Check`].
    hold: Option<u32>,
}

async fn check(
    State(logins): State<Logins>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, BadLogin> {
    let asked: CheckIn = read(&body)?;
    let (account, address) = who("", asked.account.as_deref(), asked.address.as_deref())?;
    let admission = &logins.admission;
    let hold = asked
        .hold
        .map(|millis| Duration::from_millis(millis.into()));
    let verdict = match (&account, address, hold) {
        (Some(account), Some(address), Some(hold)) => {
            admission
                .admit_within(account, address, hold.min(HOLD))
                .await
        }
        _ => admission.check(account.as_ref(), address),
    };
    Ok(answer(StatusCode::OK, &verdict_in_json(&verdict)))
}

fn verdict_in_json(verdict: &Verdict) -> Value {
    let Verdict::Refuse {
        ban,
        by,
        reason,
        until,
    } = verdict
    else {
        return json!({ "action": "allow" });
    };
    let mut value = json!({
        "action": "refuse",
        "by": by.as_str(),
        "text": denial_text(*by, reason, *until),
    });
    if ban.0 != 0 {
        value["ban"] = ban.0.into();
    }
    if let Some(until) = until {
        value["until"] = until.to_xmpp().into();
    }
    value
}

/// Reads an account and an address; at least one is required.
fn who(
    place: &str,
    account: Option<&str>,
    address: Option<&str>,
) -> Result<(Option<Account>, Option<IpAddr>), BadLogin> {
    let wrong = |why: String| BadLogin(StatusCode::BAD_REQUEST, format!("{place}{why}"));
    let read_account = |text: &str| {
        hook::account(text).ok_or_else(|| {
            wrong(format!(
                "account: {text:?} is no account; write name@domain"
            ))
        })
    };
    let read_address = |text: &str| {
        hook::address(text).ok_or_else(|| {
            wrong(format!(
                "address: {text:?} is no address; write for example 203.0.113.7 or 2001:db8::7"
            ))
        })
    };
    let account = account.map(read_account).transpose()?;
    let address = address.map(read_address).transpose()?;
    if account.is_none() && address.is_none() {
        return Err(wrong(String::from(
            "account or address must be there, or both",
        )));
    }
    Ok((account, address))
}

#[derive(Deserialize)]
struct ReportIn {
    logins: Vec<LoginIn>,
}

#[derive(Deserialize)]
struct LoginIn {
    account: Option<String>,
    address: Option<String>,
    mechanism: Option<String>,
    outcome: String,
    condition: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    unknown: bool,
    at: Option<String>,
}

async fn report(
    State(logins): State<Logins>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, BadLogin> {
    let report: ReportIn = read(&body)?;
    if report.logins.len() > LOGINS {
        let why = format!("a report holds at most {LOGINS} logins");
        return Err(BadLogin(StatusCode::BAD_REQUEST, why));
    }
    let now = logins.engine.now();
    // All or nothing: a caller that repeats the report after an error must not count a login twice.
    let attempts = report
        .logins
        .iter()
        .enumerate()
        .map(|(place, login)| one(place, login, now))
        .collect::<Result<Vec<_>, _>>()?;
    let taken = attempts.len();
    let wanted = logins.admission.count(attempts).map_err(|why| {
        tracing::error!(%why, "logins were not counted");
        let why = String::from("it could not be counted; see the log");
        BadLogin(StatusCode::INTERNAL_SERVER_ERROR, why)
    })?;
    if !wanted.is_empty() {
        // Bans that the log cannot store now are in force in memory and written later.
        let _ = logins.admission.impose(wanted).await;
    }
    Ok(answer(StatusCode::OK, &json!({ "taken": taken })))
}

fn one(place: usize, login: &LoginIn, now: Timestamp) -> Result<Attempt, BadLogin> {
    let place = format!("logins[{place}].");
    who(&place, login.account.as_deref(), login.address.as_deref())?;
    let wrong = |why: String| BadLogin(StatusCode::BAD_REQUEST, format!("{place}{why}"));
    let at = match login.at.as_deref() {
        None => now,
        Some(text) => Timestamp::parse(text).ok_or_else(|| {
            wrong(format!(
                "at: {text:?} is no time; write for example 2026-11-22T04:00:00Z"
            ))
        })?,
    };
    let read = Login {
        account: login.account.as_deref(),
        address: login.address.as_deref(),
        mechanism: login.mechanism.as_deref(),
        outcome: &login.outcome,
        condition: login.condition.as_deref(),
        reason: login.reason.as_deref(),
        unknown: login.unknown,
    };
    hook::attempt(&read, at).ok_or_else(|| {
        wrong(format!(
            "outcome: {:?} must be success, failure, refused or error",
            login.outcome
        ))
    })
}
