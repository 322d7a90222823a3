//! The login page and its form.

use axum::Extension;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::base::identity::Identity;
use crate::base::name::Email;
use crate::base::secret::Secret;
use crate::gate::visitor::Visitor;
use crate::identity::login::{Credentials, Refusal, Welcome};
use crate::identity::settings::Register;
use crate::web::api::logout::FORGET;
use crate::web::api::session::{count, session_cookie, user_agent};
use crate::web::api::tokens::{self, LoginIn, TokensOut};
use crate::web::error::Problem;
use crate::web::extract::{self, wants_page};
use crate::web::{Web, next};

use super::slips::Slips;
use super::visit::{Guest, Visit, append};

/// What the form sends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginForm {
    /// The username or the e-mail address.
    #[schema(example = "alice")]
    username: String,
    #[schema(value_type = String, format = Password)]
    password: Secret<String>,
    /// Browsers: what binds the form to them.
    csrf: Option<String>,
    /// Browsers: where they are sent then.
    next: Option<String>,
    #[serde(rename = "grant_type")]
    _grant_type: Option<String>,
    #[serde(rename = "scope")]
    _scope: Option<String>,
    #[serde(rename = "client_id")]
    _client_id: Option<String>,
    #[serde(rename = "client_secret")]
    _client_secret: Option<String>,
}

/// Shows the form.
///
/// # Errors
/// When there is no randomness.
pub async fn show(Guest(visit): Guest, uri: Uri) -> Result<Response, Problem> {
    let next = next::asked(&uri);
    let next = next.as_deref();
    let presented = extract::session_token(&visit.visitor, &visit.headers);
    let mut stale = false;
    if let Some(token) = presented {
        match visit.web.sessions.find(&token).await? {
            // The gate let them nowhere and sent them here: they must choose another password first.
            Some(live) if live.must_change_password => return Ok(confined(&visit, next)),
            live => stale = live.is_none(),
        }
    }
    let mut response = form(&visit, &Slips::default(), "", next);
    *response.status_mut() = StatusCode::OK;
    if stale {
        // A cookie that opens nothing any more is taken back, and with it what it let the browser keep.
        let cookies = &visit.visitor.cookies;
        append(&mut response, &cookies.clear(cookies.session));
        response.headers_mut().extend([FORGET]);
    }
    Ok(response)
}

/// Log in with a form: programs are given tokens, browsers a session.
///
/// A browser, which accepts HTML, is sent where it wanted to go.
///
/// # Errors
/// When the request is cross-site, or something fails.
#[utoipa::path(
    post, path = "/login", operation_id = "login", tag = "login",
    request_body(content = LoginForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = OK, description = "Tokens", body = TokensOut), (status = SEE_OTHER, description = "To browsers")),
    extensions(("x-permission" = json!("anyone")))
)]
pub async fn submit(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
    headers: HeaderMap,
    sent: Result<Form<LoginForm>, FormRejection>,
) -> Result<Response, Problem> {
    let Form(sent) = sent?;
    if !wants_page(&headers) {
        let sent = LoginIn {
            username: sent.username,
            password: sent.password,
        };
        // Clients of OAuth libraries send more than a name and a password (RFC 6749 section 4.3.2); what they
        // ask for beyond that, they do not get.
        return tokens::hand_out(&web, &visitor, &headers, sent).await;
    }
    let visit = Visit::of_guest(&web, visitor, headers, &uri, true)?;
    if let Some(response) = already(&visit, &sent).await? {
        return Ok(response);
    }
    match attempt(&visit, &sent).await {
        Ok(welcome) => Ok(welcomed(&visit, &welcome, sent.next.as_deref())),
        Err(problem) => {
            let slips = Slips::from(problem);
            Ok(form(&visit, &slips, &sent.username, sent.next.as_deref()))
        }
    }
}

/// On to where they wanted to go, where somebody signed in has sent a form that is too old and named themselves: as from a
/// second tab, after they have signed in by the first. The password is not looked at.
async fn already(visit: &Visit, sent: &LoginForm) -> Result<Option<Response>, Problem> {
    let old = sent
        .csrf
        .as_deref()
        .is_some_and(|csrf| !visit.is_genuine(csrf));
    let presented = extract::session_token(&visit.visitor, &visit.headers);
    let Some(token) = presented.filter(|_| old) else {
        return Ok(None);
    };
    let live = visit.web.sessions.find(&token).await?;
    let live =
        live.filter(|live| !live.must_change_password && is_named(&live.identity, &sent.username));
    Ok(live.map(|_| {
        let next = next::shared(sent.next.as_deref(), &visit.visitor.snapshot);
        Redirect::to(&next).into_response()
    }))
}

/// Whether that is somebody's name or address; else whoever typed it would go on as somebody else.
fn is_named(identity: &Identity, typed: &str) -> bool {
    let typed = typed.trim().to_lowercase();
    let email = identity.email.as_ref().map(Email::as_str);
    identity.name.as_str() == typed || email.is_some_and(|email| email.to_lowercase() == typed)
}

async fn attempt(visit: &Visit, sent: &LoginForm) -> Result<Welcome, Problem> {
    if !visit.is_genuine(sent.csrf.as_deref().unwrap_or_default()) {
        return Err(Problem::expired());
    }
    Ok(log_in(visit, &sent.username, sent.password.clone()).await?)
}

/// Checks a name and a password that somebody typed on this page or another.
///
/// # Errors
/// Why they are not let in.
pub async fn log_in(
    visit: &Visit,
    login: &str,
    password: Secret<String>,
) -> Result<Welcome, Refusal> {
    let credentials = Credentials {
        login: login.to_owned(),
        password,
        ip: visit.visitor.ip,
        user_agent: user_agent(&visit.headers),
        presented: extract::session_token(&visit.visitor, &visit.headers),
    };
    let outcome = visit.web.logins.with_password(credentials).await;
    count(&visit.web.metrics, &outcome);
    outcome
}

/// The cookie, and on to where they wanted to go; with a password that somebody else knows, no further than to
/// choosing another.
pub fn welcomed(visit: &Visit, welcome: &Welcome, next: Option<&str>) -> Response {
    let mut response = if welcome.user.must_change_password {
        confined(visit, next)
    } else {
        Redirect::to(&next::shared(next, &visit.visitor.snapshot)).into_response()
    };
    let (web, cookies) = (&visit.web, &visit.visitor.cookies);
    let session = session_cookie(&visit.visitor, &welcome.session, web.clock.now());
    append(&mut response, &session);
    append(&mut response, &cookies.clear(cookies.flow));
    // Whoever was here before may have been somebody else.
    response.headers_mut().extend([FORGET]);
    response
}

fn confined(visit: &Visit, next: Option<&str>) -> Response {
    let next = next::shared(next, &visit.visitor.snapshot);
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("next", &next)
        .finish();
    Redirect::to(&format!("{}/account/password?{query}", visit.prefix())).into_response()
}

fn form(visit: &Visit, slips: &Slips, username: &str, next: Option<&str>) -> Response {
    let (accounts, snapshot) = (&visit.web.accounts, &visit.visitor.snapshot);
    let next = next::shared(next, snapshot);
    let values = json!({
        "values": { "username": username.chars().take(254).collect::<String>() },
        "next": (next != "/").then_some(next.as_str()),
        "onward": next::query(&next),
        "can_reset": accounts.has_mail(),
        "can_confirm": accounts.wants_proof() && accounts.has_mail(),
        "can_register": accounts.register_mode() == Register::Open,
    });
    Visit::leading_on(visit.again("login.html", slips, values))
}
