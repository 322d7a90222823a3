//! Where one is signed in, and ending it.

use axum::extract::Path;
use axum::response::Response;
use serde_json::Value;

use crate::identity::accounts::AccountFault;
use crate::web::error::Problem;
use crate::web::form::Sent;

use super::super::notice::Notice;
use super::super::rows;
use super::super::visit::Member;

/// One's sessions, the latest first.
pub async fn list(member: &Member) -> Result<Vec<Value>, Problem> {
    let accounts = &member.visit.web.accounts;
    let mut found = accounts.my_sessions(&member.actor()).await?;
    found.sort_by_key(|info| std::cmp::Reverse(info.seen_at));
    let base = format!("{}/account/sessions", member.visit.prefix());
    Ok(found
        .iter()
        .map(|info| rows::session(member, info, &base))
        .collect())
}

/// Ends one.
///
/// # Errors
/// When the form is not ours, or there is no such session.
pub async fn end(member: Member, Path(sid): Path<String>, sent: Sent) -> Result<Response, Problem> {
    member.open(sent)?;
    let sid = sid.parse().map_err(|_| AccountFault::Missing)?;
    let accounts = &member.visit.web.accounts;
    accounts.end_my_session(&member.actor(), sid).await?;
    Ok(member.visit.go("account", Notice::SessionEnded))
}

/// Ends all but this one.
///
/// # Errors
/// When the form is not ours, or the store does not answer.
pub async fn end_others(member: Member, sent: Sent) -> Result<Response, Problem> {
    member.open(sent)?;
    let accounts = &member.visit.web.accounts;
    accounts.end_my_other_sessions(&member.actor()).await?;
    Ok(member.visit.go("account", Notice::SessionsEnded))
}
