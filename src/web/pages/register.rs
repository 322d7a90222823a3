//! Making an account: for everybody where registration is open, and for who holds an invitation.

use axum::response::Response;
use http::Uri;
use serde_json::{Value, json};

use crate::base::name::{Email, Username};
use crate::identity::accounts::{AccountFault, Invitee, NewAccount, Registered};
use crate::identity::settings::Register;
use crate::web::error::Problem;
use crate::web::form::{Fields, Sent};
use crate::web::next;
use crate::web::templates::merged;

use super::notice::Notice;
use super::slips::Slips;
use super::visit::{Guest, Visit};
use super::{link, login};

const PAGE: &str = "register";
const TEMPLATE: &str = "register.html";

/// Shows the form.
///
/// # Errors
/// When accounts are not made like this, or the invitation is no good.
pub async fn show(Guest(visit): Guest, uri: Uri) -> Result<Response, Problem> {
    if let Some(moved) = link::moved(&visit, PAGE, uri.query()) {
        return Ok(moved);
    }
    let invitee = invitee(&visit).await?;
    let values = values(&visit, invitee.as_ref(), &Fields::default());
    let next = next::asked(&uri);
    Ok(page(
        &visit,
        &Slips::default(),
        values,
        next.as_deref(),
        true,
    ))
}

/// Takes the form.
///
/// # Errors
/// When accounts are not made like this, or the invitation is no good.
pub async fn submit(Guest(visit): Guest, sent: Sent) -> Result<Response, Problem> {
    let invitee = invitee(&visit).await?;
    let (slips, fields) = match visit.open(sent) {
        Ok(fields) => match attempt(&visit, invitee.as_ref(), &fields).await {
            Ok(response) => return Ok(response),
            Err(slips) => (slips, fields),
        },
        Err((problem, fields)) => (problem.into(), fields),
    };
    let values = values(&visit, invitee.as_ref(), &fields);
    Ok(page(&visit, &slips, values, fields.filled("next"), false))
}

/// The form, and with it where they were going.
fn page(visit: &Visit, slips: &Slips, values: Value, next: Option<&str>, first: bool) -> Response {
    let next = next::shared(next, &visit.visitor.snapshot);
    let values = merged(
        values,
        json!({ "next": (next != "/").then_some(next.as_str()), "onward": next::query(&next) }),
    );
    Visit::leading_on(if first {
        visit.show(TEMPLATE, values)
    } else {
        visit.again(TEMPLATE, slips, values)
    })
}

/// Whoever is invited by the link that led here; nobody, where everybody may come.
async fn invitee(visit: &Visit) -> Result<Option<Invitee>, Problem> {
    let accounts = &visit.web.accounts;
    if let Some(token) = link::token(visit, PAGE) {
        match accounts.invitation(&token).await {
            // Left by an old link; it is in nobody's way where registration is open.
            Err(AccountFault::Link) if accounts.register_mode() == Register::Open => {}
            found => return Ok(Some(found?)),
        }
    }
    accounts.is_open()?;
    Ok(None)
}

async fn attempt(
    visit: &Visit,
    invitee: Option<&Invitee>,
    fields: &Fields,
) -> Result<Response, Slips> {
    let mut slips = Slips::default();
    let username: Option<Username> = slips.read(fields, "username");
    let email = match invitee {
        Some(invitee) => Some(invitee.email.clone()),
        None => slips.read::<Email>(fields, "email"),
    };
    slips.none()?;
    let (Some(username), Some(email)) = (username, email) else {
        return Err(Problem::internal().into());
    };
    match invitee {
        Some(_) => accept(visit, username, fields).await,
        None => register(visit, username, email, fields).await,
    }
}

async fn accept(visit: &Visit, username: Username, fields: &Fields) -> Result<Response, Slips> {
    let token = link::token_of(visit, PAGE, fields)?;
    let (name, password) = (username.to_string(), fields.secret("password"));
    let accounts = &visit.web.accounts;
    let ip = visit.visitor.ip;
    let mut response = match accounts.accept(&token, username, &password, ip).await {
        // No field of this page can mend that.
        Err(AccountFault::EmailTaken(_)) => visit.dead_end(
            "There is an account already",
            "Somebody has made an account with your address since you were invited.",
            ("login", "Sign in"),
        ),
        accepted => {
            accepted?;
            enter(visit, &name, fields).await
        }
    };
    link::forget(visit, &mut response);
    Ok(response)
}

async fn register(
    visit: &Visit,
    username: Username,
    email: Email,
    fields: &Fields,
) -> Result<Response, Slips> {
    let name = username.to_string();
    let new = NewAccount {
        email,
        username,
        password: fields.secret("password"),
    };
    let (accounts, links) = (&visit.web.accounts, visit.links());
    let made = accounts.register(new, visit.visitor.ip, &links).await?;
    Ok(match made {
        Registered::Created(_) => enter(visit, &name, fields).await,
        Registered::Sent => visit.message(
            "Look into your mail",
            "We sent a link to the address you gave. Follow it, and your account is ready.",
        ),
    })
}

/// Lets somebody in with the password they have just chosen, through the door that everybody comes through.
async fn enter(visit: &Visit, name: &str, fields: &Fields) -> Response {
    match login::log_in(visit, name, fields.secret("password")).await {
        Ok(welcome) => login::welcomed(visit, &welcome, fields.filled("next")),
        // The account is there all the same; signing in will say what is in the way.
        Err(_) => visit.go("login", Notice::Registered),
    }
}

fn values(visit: &Visit, invitee: Option<&Invitee>, fields: &Fields) -> Value {
    let invited = invitee.map(|invitee| {
        let roles: Vec<String> = invitee.roles.iter().map(ToString::to_string).collect();
        json!({ "email": invitee.email.as_str(), "roles": roles })
    });
    let typed = json!({ "email": fields.text("email"), "username": fields.text("username") });
    let seen = invitee.and_then(|_| link::mark(visit, PAGE, Some(fields)));
    json!({ "invited": invited, "seen": seen, "values": typed, "wrong": {} })
}
