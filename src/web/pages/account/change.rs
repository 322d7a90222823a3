//! Changing what is one's own: name, address, password.

use axum::response::{IntoResponse, Redirect, Response};
use http::Uri;
use serde_json::json;

use crate::identity::accounts::{Changed, MeChange};
use crate::web::api::me::renew;
use crate::web::error::Problem;
use crate::web::form::{Fields, Sent};
use crate::web::next;

use super::super::notice::Notice;
use super::super::slips::Slips;
use super::super::visit::{Member, Visit, append};

/// Takes the form of the profile.
///
/// # Errors
/// When the form is not ours, or the store does not answer.
pub async fn profile(member: Member, sent: Sent) -> Result<Response, Problem> {
    let fields = member.open(sent)?;
    match change(&member, &fields, &["username"]).await {
        Ok(_) => Ok(member.visit.go("account", Notice::ProfileSaved)),
        Err(slips) => super::again(&member, &slips, &fields).await,
    }
}

/// Shows the form of the address.
pub async fn email(member: Member) -> Response {
    email_form(&member, &Slips::default(), &Fields::default(), true)
}

/// Takes the form of the address.
///
/// # Errors
/// When the form is not ours.
pub async fn set_email(member: Member, sent: Sent) -> Result<Response, Problem> {
    let fields = member.open(sent)?;
    Ok(match change(&member, &fields, &["email"]).await {
        Ok(changed) if changed.unproved.is_some() => member.visit.go("account", Notice::EmailSent),
        Ok(_) => member.visit.go("account", Notice::EmailChanged),
        Err(slips) => email_form(&member, &slips, &fields, false),
    })
}

/// Shows the form of the password.
pub async fn password(member: Member, uri: Uri) -> Response {
    password_form(
        &member.visit,
        &Slips::default(),
        next::asked(&uri).as_deref(),
        true,
    )
}

/// Takes the form of the password.
///
/// # Errors
/// When the form is not ours.
pub async fn set_password(member: Member, sent: Sent) -> Result<Response, Problem> {
    let fields = member.open(sent)?;
    let next = fields.filled("next");
    let changed = match change(&member, &fields, &["password"]).await {
        Ok(changed) => changed,
        Err(slips) => return Ok(password_form(&member.visit, &slips, next, false)),
    };
    let mut response = match next {
        Some(_) => {
            let next = next::shared(next, &member.visit.visitor.snapshot);
            Redirect::to(&next).into_response()
        }
        None => member.visit.go("account", Notice::PasswordChanged),
    };
    let (visit, user) = (&member.visit, &changed.account.user);
    let (web, visitor) = (&visit.web, &visit.visitor);
    if let Some(cookie) = renew(web, visitor, &visit.headers, &member.proved, user).await? {
        append(&mut response, &cookie);
    }
    Ok(response)
}

/// Changes what these fields say.
async fn change(member: &Member, fields: &Fields, which: &[&str]) -> Result<Changed, Slips> {
    let mut slips = Slips::default();
    let mut change = MeChange::default();
    if which.contains(&"username") {
        change.username = slips.read(fields, "username");
    }
    if which.contains(&"email") {
        change.email = slips.read(fields, "email");
    }
    if which.contains(&"password") {
        change.password = Some(fields.secret("password"));
    }
    // Asked of everybody here, however lately they signed in: an empty one is a wrong one.
    if !which.contains(&"username") {
        change.current_password = Some(fields.secret("current_password"));
    }
    slips.none()?;
    let (accounts, links) = (&member.visit.web.accounts, member.visit.links());
    Ok(accounts.change_me(&member.actor(), &change, &links).await?)
}

fn password_form(visit: &Visit, slips: &Slips, next: Option<&str>, first: bool) -> Response {
    const PAGE: &str = "account-password.html";
    let values = json!({ "place": "account", "wrong": {}, "next": next });
    Visit::leading_on(if first {
        visit.show(PAGE, values)
    } else {
        visit.again(PAGE, slips, values)
    })
}

fn email_form(member: &Member, slips: &Slips, fields: &Fields, first: bool) -> Response {
    let visit = &member.visit;
    let values = json!({
        "place": "account",
        "wants_proof": visit.web.accounts.wants_proof(),
        "values": { "email": fields.text("email") },
        "wrong": {},
    });
    if first {
        visit.show("account-email.html", values)
    } else {
        visit.again("account-email.html", slips, values)
    }
}
