//! Proving that an address is one's own: that of a new account, or a new one of an account. The page shows a
//! button, and only the button spends the link.

use axum::extract::RawQuery;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use crate::base::name::Email;
use crate::identity::accounts::AccountFault;
use crate::web::error::Problem;
use crate::web::form::{Fields, Sent};

use super::link;
use super::notice::Notice;
use super::slips::Slips;
use super::visit::{Guest, Visit};

const PAGE: &str = "verify";
const MOVE: &str = "confirm-email";
const TEMPLATE: &str = "verify.html";

/// Shows the button; without a link, the way to another one.
pub async fn show(Guest(visit): Guest, RawQuery(query): RawQuery) -> Response {
    let moved = link::moved(&visit, PAGE, query.as_deref());
    let has_link = link::token(&visit, PAGE).is_some();
    moved.unwrap_or_else(|| visit.show(TEMPLATE, values(&visit, &Fields::default(), has_link)))
}

/// Confirms the address, or sends another link.
pub async fn submit(Guest(visit): Guest, sent: Sent) -> Response {
    let (slips, fields) = match visit.open(sent) {
        Ok(fields) => match attempt(&visit, &fields).await {
            Ok(response) => return response,
            Err(slips) => (slips, fields),
        },
        Err((problem, fields)) => (problem.into(), fields),
    };
    // A link that is no good is in the way of asking for another one; a form that is none of its says nothing about it.
    let keeps = slips.status() == StatusCode::FORBIDDEN && link::token(&visit, PAGE).is_some();
    let mut response = visit.again(TEMPLATE, &slips, values(&visit, &fields, keeps));
    if !keeps {
        link::forget(&visit, &mut response);
    }
    response
}

/// Shows the button for a new address.
///
/// # Errors
/// When no link led here.
pub async fn show_move(
    Guest(visit): Guest,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    if let Some(moved) = link::moved(&visit, MOVE, query.as_deref()) {
        return Ok(moved);
    }
    let seen = link::mark(&visit, MOVE, None).ok_or(AccountFault::Link)?;
    let values = json!({ "page": MOVE, "has_link": true, "seen": seen, "values": {}, "wrong": {} });
    Ok(visit.show(TEMPLATE, values))
}

/// Confirms a new address.
///
/// # Errors
/// When the link is no good.
pub async fn submit_move(Guest(visit): Guest, sent: Sent) -> Result<Response, Problem> {
    let fields = visit.open(sent).map_err(|(problem, _)| problem)?;
    let token = link::token_of(&visit, MOVE, &fields)?;
    visit.web.accounts.confirm_email(&token).await?;
    let mut response = visit.go("login", Notice::EmailMoved);
    link::forget(&visit, &mut response);
    Ok(response)
}

async fn attempt(visit: &Visit, fields: &Fields) -> Result<Response, Slips> {
    let accounts = &visit.web.accounts;
    // The form that asks for another link was shown when there was none.
    let asks = fields.filled("email").is_some() && fields.filled("seen").is_none();
    if !asks && link::token(visit, PAGE).is_some() {
        let token = link::token_of(visit, PAGE, fields)?;
        accounts.verify(&token).await?;
        let mut response = visit.go("login", Notice::Verified);
        link::forget(visit, &mut response);
        return Ok(response);
    }
    let mut slips = Slips::default();
    let email: Option<Email> = slips.read(fields, "email");
    slips.none()?;
    let email = email.ok_or_else(Problem::internal)?;
    accounts
        .request_verify(&email, visit.visitor.ip, &visit.links())
        .await?;
    Ok(visit.message(
        "Look into your mail",
        "If there is an account with that address that still has to be confirmed, we sent it a link.",
    ))
}

fn values(visit: &Visit, fields: &Fields, has_link: bool) -> Value {
    json!({
        "page": PAGE,
        "has_link": has_link,
        "seen": link::mark(visit, PAGE, Some(fields)).filter(|_| has_link),
        "values": { "email": fields.text("email") },
        "wrong": {},
    })
}
