//! What stands between the router and people: forms go to pages where programs' calls go to the API, and what went
//! wrong is told to people by a page.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::json;
use tower::ServiceExt;
use url::{Position, Url};

use crate::gate::visitor::Visitor;
use crate::web::Web;
use crate::web::error::Told;
use crate::web::extract::wants_page;
use crate::web::form::is_form;

/// The addresses below the prefix whose forms are ours.
const FORMS: [&str; 5] = [
    "/register",
    "/forgot-password",
    "/reset-password",
    "/verify",
    "/confirm-email",
];

/// A form to one of them goes to its page; everything else goes on.
pub async fn forms(State(forms): State<Router>, request: Request, next: Next) -> Response {
    let ours = request.method() == Method::POST
        && FORMS.contains(&request.uri().path())
        && is_form(request.headers());
    if !ours {
        return next.run(request).await;
    }
    match forms.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// What is told as JSON to programs is told as a page to people: those who are not signed in are led to where they
/// can be, and come back.
pub async fn told(State(web): State<Web>, request: Request, next: Next) -> Response {
    let visitor = request.extensions().get::<Visitor>().cloned();
    let (Some(visitor), true) = (visitor, wants_page(request.headers())) else {
        return next.run(request).await;
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let target = request.uri().path_and_query().map(ToString::to_string);
    let back = if reads {
        target
    } else {
        page_of(request.headers(), target.as_deref())
    };
    let mut response = next.run(request).await;
    let Some(told) = response.extensions_mut().remove::<Told>() else {
        return response;
    };
    let prefix = &*visitor.snapshot.prefix;
    let mut page = match told.code {
        "NOT_AUTHENTICATED" => login(prefix, back.as_deref(), !reads),
        "PASSWORD_CHANGE_REQUIRED" => {
            Redirect::to(&format!("{prefix}/account/password")).into_response()
        }
        _ => problem(&web, &visitor, &told),
    };
    keep_headers(&mut response, &mut page);
    page
}

/// The login page, and behind it the way back. It says so where a form is `lost`.
fn login(prefix: &str, back: Option<&str>, lost: bool) -> Response {
    let pairs = back.map(|back| ("next", back)).into_iter();
    let pairs = pairs.chain(lost.then_some(("done", "not-taken")));
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    let place = format!("{prefix}/login?{query}");
    Redirect::to(place.trim_end_matches('?')).into_response()
}

/// The page that a form was sent from: one of the same host, or nothing is known of it. A form that was shown again, since
/// something was wrong with it, stands at the address that it is sent to, which may be no page: then it is the one above.
fn page_of(headers: &HeaderMap, target: Option<&str>) -> Option<String> {
    let page = headers.get(header::REFERER)?.to_str().ok()?;
    let page = Url::parse(page).ok()?;
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let place = &page[Position::BeforePath..Position::AfterQuery];
    let above = || place.rsplit_once('/').map_or(place, |(above, _)| above);
    let place = if Some(place) == target {
        above()
    } else {
        place
    };
    (page.authority() == host).then(|| place.to_owned())
}

fn problem(web: &Web, visitor: &Visitor, told: &Told) -> Response {
    let prefix = &visitor.snapshot.prefix;
    let title = match told.status {
        _ if told.code == "FORM_EXPIRED" => "That page was too old",
        StatusCode::NOT_FOUND => "There is nothing here",
        StatusCode::FORBIDDEN => "This is not open to you",
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => "Not just now",
        status if status.is_server_error() => "Something went wrong",
        _ => "That did not work",
    };
    let back = json!({ "href": format!("{prefix}/"), "text": "To your account" });
    let values = json!({ "title": title, "text": told.text, "back": back });
    web.brand
        .load()
        .page(told.status, "message.html", prefix, values)
}

/// `Retry-After`, `Allow` and the like say the same of the page.
fn keep_headers(from: &mut Response<Body>, to: &mut Response<Body>) {
    for (name, value) in from.headers() {
        let of_the_body = [header::CONTENT_TYPE, header::CONTENT_LENGTH].contains(name);
        let challenge = name == header::WWW_AUTHENTICATE && to.status().is_redirection();
        if !of_the_body && !challenge && !to.headers().contains_key(name) {
            to.headers_mut().append(name.clone(), value.clone());
        }
    }
}
