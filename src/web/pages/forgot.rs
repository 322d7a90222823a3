//! Asking for a link to choose another password. The answer is the same for every address.

use axum::response::Response;
use serde_json::json;

use crate::base::name::Email;
use crate::identity::accounts::NO_LETTERS;
use crate::web::error::Problem;
use crate::web::form::{Fields, Sent};

use super::slips::Slips;
use super::visit::{Guest, Visit};

const TEMPLATE: &str = "forgot-password.html";

/// Shows the form.
pub async fn show(Guest(visit): Guest) -> Response {
    if !visit.web.accounts.has_mail() {
        return visit.message("Ask an administrator", NO_LETTERS);
    }
    visit.show(TEMPLATE, json!({ "values": {}, "wrong": {} }))
}

/// Takes the form.
pub async fn submit(Guest(visit): Guest, sent: Sent) -> Response {
    let (slips, fields) = match visit.open(sent) {
        Ok(fields) => match attempt(&visit, &fields).await {
            Ok(()) => {
                return visit.message(
                    "Look into your mail",
                    "If there is an account with that address, we sent it a link to choose another password.",
                );
            }
            Err(slips) => (slips, fields),
        },
        Err((problem, fields)) => (problem.into(), fields),
    };
    let values = json!({ "values": { "email": fields.text("email") } });
    visit.again(TEMPLATE, &slips, values)
}

async fn attempt(visit: &Visit, fields: &Fields) -> Result<(), Slips> {
    let mut slips = Slips::default();
    let email: Option<Email> = slips.read(fields, "email");
    slips.none()?;
    let email = email.ok_or_else(Problem::internal)?;
    let accounts = &visit.web.accounts;
    Ok(accounts
        .forgot(&email, visit.visitor.ip, &visit.links())
        .await?)
}
