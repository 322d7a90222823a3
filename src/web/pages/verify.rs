//! Proving that an address is one's own: that of a new account, or a new one of an account. The page says whose
//! account it is and shows a button, and only the button spends the link.

use axum::extract::RawQuery;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use crate::base::name::Email;
use crate::identity::accounts::{AccountFault, Claim, NO_LETTERS};
use crate::web::error::Problem;
use crate::web::form::{Fields, Sent};

use super::link;
use super::notice::Notice;
use super::slips::Slips;
use super::visit::{Guest, Visit};

const PAGE: &str = "verify";
const MOVE: &str = "confirm-email";
const TEMPLATE: &str = "verify.html";

/// Shows whose address would be confirmed, and the button; without a link, the way to another one.
///
/// # Errors
/// When the store does not answer.
pub async fn show(Guest(visit): Guest, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    if let Some(moved) = link::moved(&visit, PAGE, query.as_deref()) {
        return Ok(moved);
    }
    if link::token(&visit, PAGE).is_none() && !visit.web.accounts.has_mail() {
        return Ok(visit.message("Ask an administrator", NO_LETTERS));
    }
    match claim(&visit).await {
        Ok(claim) => Ok(visit.show(TEMPLATE, values(&visit, &Fields::default(), claim.as_ref()))),
        Err(AccountFault::EmailTaken(_)) => {
            let mut response = confirmed_already(&visit);
            link::forget(&visit, &mut response);
            Ok(response)
        }
        Err(AccountFault::Link) => {
            let slips = Problem::from(AccountFault::Link).into();
            Ok(without_link(&visit, &slips, &Fields::default()))
        }
        Err(fault) => Err(fault.into()),
    }
}

/// Confirms the address, or sends another link.
///
/// # Errors
/// When the store does not answer.
pub async fn submit(Guest(visit): Guest, sent: Sent) -> Result<Response, Problem> {
    let (slips, fields): (Slips, _) = match visit.open(sent) {
        Ok(fields) => match attempt(&visit, &fields).await {
            Ok(response) => return Ok(response),
            Err(slips) => (slips, fields),
        },
        Err((problem, fields)) => (problem.into(), fields),
    };
    // A link that is no good is in the way of asking for another one; a form that is none of its says nothing about it.
    if slips.status() != StatusCode::FORBIDDEN {
        return Ok(without_link(&visit, &slips, &fields));
    }
    match claim(&visit).await {
        Ok(Some(claim)) => Ok(visit.again(TEMPLATE, &slips, values(&visit, &fields, Some(&claim)))),
        Ok(None) | Err(AccountFault::Link) => Ok(without_link(&visit, &slips, &fields)),
        Err(fault) => Err(fault.into()),
    }
}

/// Shows whose address would change, and the button.
///
/// # Errors
/// When no link led here, or one that is no good.
pub async fn show_move(
    Guest(visit): Guest,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    if let Some(moved) = link::moved(&visit, MOVE, query.as_deref()) {
        return Ok(moved);
    }
    let token = link::token(&visit, MOVE).ok_or(AccountFault::Link)?;
    let claim = visit.web.accounts.behind_move(&token).await?;
    let values = json!({
        "page": MOVE,
        "claim": shown(&claim),
        "seen": link::mark(&visit, MOVE, None),
        "values": {},
        "wrong": {},
    });
    Ok(visit.show(TEMPLATE, values))
}

/// Confirms a new address.
///
/// # Errors
/// When the link is no good.
pub async fn submit_move(Guest(visit): Guest, sent: Sent) -> Result<Response, Problem> {
    let fields = visit.open(sent).map_err(|(problem, _)| problem)?;
    let token = link::token_of(&visit, MOVE, &fields)?;
    let moved = visit.web.accounts.confirm_email(&token).await?;
    let page = if visit.shows(moved.id).await {
        "account"
    } else {
        "login"
    };
    let mut response = visit.go(page, Notice::EmailMoved);
    link::forget(&visit, &mut response);
    Ok(response)
}

async fn attempt(visit: &Visit, fields: &Fields) -> Result<Response, Slips> {
    let accounts = &visit.web.accounts;
    // The form that asks for another link was shown when there was none.
    let asks = fields.filled("email").is_some() && fields.filled("seen").is_none();
    if !asks && link::token(visit, PAGE).is_some() {
        let token = link::token_of(visit, PAGE, fields)?;
        let mut response = match accounts.verify(&token).await {
            Err(AccountFault::UsernameTaken(name)) => visit.dead_end(
                "The name is taken",
                &format!("Somebody else has become {name} meanwhile. Please create the account again, with another name."),
                ("register", "Create an account"),
            ),
            Err(AccountFault::EmailTaken(_)) => confirmed_already(visit),
            verified => {
                verified?;
                visit.go("login", Notice::Verified)
            }
        };
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

/// What the link that led here would confirm; nothing, when none did.
async fn claim(visit: &Visit) -> Result<Option<Claim>, AccountFault> {
    match link::token(visit, PAGE) {
        Some(token) => visit.web.accounts.behind_verify(&token).await.map(Some),
        None => Ok(None),
    }
}

/// Whoever has this letter reads that address: who it is whose account it is, they know.
fn confirmed_already(visit: &Visit) -> Response {
    visit.dead_end(
        "The address is confirmed already",
        "There is an account with it, and nothing is left to be done but to sign in.",
        ("login", "Sign in"),
    )
}

/// The way to another link, and no trace of the last one.
fn without_link(visit: &Visit, slips: &Slips, fields: &Fields) -> Response {
    let mut response = visit.again(TEMPLATE, slips, values(visit, fields, None));
    link::forget(visit, &mut response);
    response
}

fn values(visit: &Visit, fields: &Fields, claim: Option<&Claim>) -> Value {
    json!({
        "page": PAGE,
        "claim": claim.map(shown),
        // Of the link whose claim is shown, not of the form that came.
        "seen": claim.and_then(|_| link::mark(visit, PAGE, None)),
        "values": { "email": fields.text("email") },
        "wrong": {},
    })
}

fn shown(claim: &Claim) -> Value {
    json!({ "username": claim.username.to_string(), "email": claim.email.to_string() })
}
