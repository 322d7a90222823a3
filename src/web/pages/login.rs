//! The login page and its form.

use axum::Extension;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use minijinja::context;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::base::secret::Secret;
use crate::base::token::Token;
use crate::crypto::{cookie, csrf as form_token};
use crate::gate::visitor::Visitor;
use crate::identity::login::Credentials;
use crate::web::api::session::{count, session_cookie, user_agent};
use crate::web::api::tokens::{self, LoginIn, TokensOut};
use crate::web::error::Problem;
use crate::web::extract::wants_page;
use crate::web::{Web, csrf, next};

/// What the page may be asked with.
#[derive(Debug, Deserialize)]
pub struct Question {
    next: Option<String>,
}

/// What the form sends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginForm {
    /// The username or the e-mail address.
    #[schema(example = "alice")]
    username: String,
    #[schema(format = Password)]
    password: String,
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
pub async fn show(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    Query(question): Query<Question>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cookies = cookies(&headers);
    let mut response = form(
        &web,
        &visitor,
        &headers,
        &Page {
            status: StatusCode::OK,
            error: None,
            username: "",
            next: question.next.as_deref(),
        },
    )?;
    // A cookie that opens nothing any more is taken back.
    if let Some(token) = cookie::token(cookies, visitor.cookies.session)
        && web.sessions.find(&token).await?.is_none()
    {
        append(
            &mut response,
            &visitor.cookies.clear(visitor.cookies.session),
        );
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
    headers: HeaderMap,
    sent: Result<Form<LoginForm>, FormRejection>,
) -> Result<Response, Problem> {
    let Form(sent) = sent?;
    if !wants_page(&headers) {
        return for_program(&web, &visitor, &headers, sent).await;
    }
    csrf::check(&headers, &visitor.snapshot.sites)?;
    let flow = cookie::token(cookies(&headers), visitor.cookies.flow);
    let ours = matches!((&flow, &sent.csrf), (Some(flow), Some(token)) if form_token::verify(&web.key, flow, token));
    if !ours {
        let error = Some("The page had expired. Please try again.");
        let page = Page {
            status: StatusCode::FORBIDDEN,
            error,
            username: &sent.username,
            next: sent.next.as_deref(),
        };
        return form(&web, &visitor, &headers, &page);
    }
    let credentials = Credentials {
        login: sent.username.clone(),
        password: Secret::new(sent.password),
        ip: visitor.ip,
        user_agent: user_agent(&headers),
        presented: cookie::token(cookies(&headers), visitor.cookies.session),
    };
    let outcome = web.logins.with_password(credentials).await;
    count(&web.metrics, &outcome);
    match outcome {
        Ok(welcome) => {
            let mut response = Redirect::to(&next::safe(sent.next.as_deref())).into_response();
            append(
                &mut response,
                &session_cookie(&visitor, &welcome.session, web.clock.now()),
            );
            append(&mut response, &visitor.cookies.clear(visitor.cookies.flow));
            Ok(response)
        }
        Err(refusal) => {
            let problem = Problem::from(refusal);
            let page = Page {
                status: problem.status(),
                error: Some(problem.text()),
                username: &sent.username,
                next: sent.next.as_deref(),
            };
            let mut response = form(&web, &visitor, &headers, &page)?;
            problem.decorate(&mut response);
            Ok(response)
        }
    }
}

/// Clients of OAuth libraries send more than a name and a password (RFC 6749 section 4.3.2); what they ask for
/// beyond that, they do not get.
async fn for_program(
    web: &Web,
    visitor: &Visitor,
    headers: &HeaderMap,
    sent: LoginForm,
) -> Result<Response, Problem> {
    let sent = LoginIn {
        username: sent.username,
        password: sent.password,
    };
    tokens::hand_out(web, visitor, headers, sent).await
}

struct Page<'a> {
    status: StatusCode,
    error: Option<&'a str>,
    username: &'a str,
    next: Option<&'a str>,
}

/// The form, bound to this browser by the flow cookie.
fn form(
    web: &Web,
    visitor: &Visitor,
    headers: &HeaderMap,
    page: &Page<'_>,
) -> Result<Response, Problem> {
    let known = cookie::token(cookies(headers), visitor.cookies.flow);
    let flow = match &known {
        Some(flow) => flow,
        None => &Token::generate(&web.random).map_err(|_| Problem::internal())?,
    };
    let next = next::safe(page.next);
    let values = context! {
        brand => web.brand.load().name.clone(),
        prefix => &*visitor.snapshot.prefix,
        csrf => form_token::form_token(&web.key, flow),
        username => page.username.chars().take(254).collect::<String>(),
        next => (next != "/").then_some(next),
        error => page.error,
    };
    let mut response = web.templates.page(page.status, "login.html", values);
    if known.is_none() {
        append(
            &mut response,
            &visitor
                .cookies
                .set(visitor.cookies.flow, flow.expose(), None),
        );
    }
    Ok(response)
}

fn cookies(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::COOKIE)
        .and_then(|value| value.to_str().ok())
}

fn append(response: &mut Response, cookie: &str) {
    // Made of a constant name, a token and attributes: always a header value.
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}
