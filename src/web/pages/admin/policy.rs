//! The rules in force, and what they would say to a request that nobody sent.

use axum::response::Response;
use serde_json::json;

use crate::identity::accounts::{AccountFault, Right};
use crate::policy::table;
use crate::policy::target::Verb;
use crate::web::error::Problem;
use crate::web::params::InQuery;
use crate::web::templates::merged;

use super::super::slips::Slips;
use super::super::visit::Member;
use super::common;
use super::explain::{self, Question};

/// Shows the rules, and explains one request if asked to.
///
/// # Errors
/// Without the right, or when the store does not answer.
pub async fn show(
    member: Member,
    InQuery(question): InQuery<Question>,
) -> Result<Response, Problem> {
    if !member.may(Right::ReadRoles) {
        return Err(AccountFault::Forbidden("This needs the permission roles:read.").into());
    }
    let snapshot = &member.visit.visitor.snapshot;
    let (headings, rules) = table::rows(&snapshot.policy.rules().iter().map(AsRef::as_ref));
    let own = json!({
        "verbs": Verb::ALL.map(Verb::as_str),
        "headings": headings,
        "rules": rules,
        "values": question.values(),
        "answer": null,
    });
    let values = merged(common(&member, "policy"), own);
    if question.path.is_none() {
        return Ok(member.visit.show("admin-policy.html", values));
    }
    match explain::answer(&member, &question).await {
        Ok(answer) => {
            let values = merged(values, json!({ "answer": answer }));
            Ok(member.visit.show("admin-policy.html", values))
        }
        Err(slips) => Ok(again(&member, &slips, values)),
    }
}

fn again(member: &Member, slips: &Slips, values: serde_json::Value) -> Response {
    member.visit.again("admin-policy.html", slips, values)
}
