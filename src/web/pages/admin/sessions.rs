//! Everybody's sessions, and ending them.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::base::id::UserId;
use crate::identity::accounts::AccountFault;
use crate::web::error::Problem;
use crate::web::form::Sent;
use crate::web::params::InQuery;
use crate::web::templates::merged;

use super::super::notice::Notice;
use super::super::rows::{self, Page, ROWS};
use super::super::visit::Member;
use super::{common, user};

/// Which of them to show.
#[derive(Debug, Deserialize)]
pub struct Question {
    page: Option<String>,
}

/// Where a form was sent from.
#[derive(Debug, Deserialize)]
pub struct Origin {
    from: Option<String>,
}

/// Shows them, the latest first.
///
/// # Errors
/// Without the right, or when the store does not answer.
pub async fn list(
    member: Member,
    InQuery(question): InQuery<Question>,
) -> Result<Response, Problem> {
    let accounts = &member.visit.web.accounts;
    let mut all = accounts.all_sessions(&member.actor()).await?;
    all.sort_by_key(|info| std::cmp::Reverse(info.seen_at));
    let page = Page::new(question.page.as_deref(), all.len() as u64);
    let prefix = member.visit.prefix();
    let (mut shown, mut managed) = (Vec::new(), BTreeMap::new());
    for info in all.iter().skip(page.skip() as usize).take(ROWS as usize) {
        let href = format!("{prefix}/admin/users/{}", info.user_id);
        let name = accounts.account(UserId(info.user_id)).await;
        let name = match name {
            Ok(account) => account.user.username.to_string(),
            // Deleted between the two questions.
            Err(AccountFault::Missing) => continue,
            Err(fault) => return Err(fault.into()),
        };
        let user = UserId(info.user_id);
        let is_managed = match managed.get(&user) {
            Some(known) => *known,
            None => accounts.is_managed(&member.actor(), user).await?,
        };
        managed.insert(user, is_managed);
        let row = rows::session(&member, info, &format!("{href}/sessions"));
        let action = row
            .get("action")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let own = json!({ "action": format!("{action}?from=sessions"), "fixed": !is_managed, "user": { "name": name, "href": href } });
        shown.push(merged(row, own));
    }
    let paging = page.shown(&format!("{prefix}/admin/sessions?"));
    let own = json!({ "sessions": shown });
    let values = merged(merged(common(&member, "sessions"), paging), own);
    Ok(member.visit.show("admin-sessions.html", values))
}

/// Ends one of somebody's.
///
/// # Errors
/// When the form is not ours, without the right, or when there is no such session.
pub async fn end(
    member: Member,
    Path((id, sid)): Path<(String, String)>,
    InQuery(origin): InQuery<Origin>,
    sent: Sent,
) -> Result<Response, Problem> {
    member.open(sent)?;
    let id = user::number(&id)?;
    let sid = sid.parse().map_err(|_| AccountFault::Missing)?;
    let accounts = &member.visit.web.accounts;
    accounts.end_session_of(&member.actor(), id, sid).await?;
    let page = match origin.from.as_deref() {
        Some("sessions") => "admin/sessions".to_owned(),
        _ => format!("admin/users/{id}"),
    };
    Ok(member.visit.go(&page, Notice::SessionEnded))
}

/// Ends all of somebody's.
///
/// # Errors
/// When the form is not ours, or without the right.
pub async fn end_all(
    member: Member,
    Path(id): Path<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    member.open(sent)?;
    let id = user::number(&id)?;
    let accounts = &member.visit.web.accounts;
    accounts.end_sessions_of(&member.actor(), id).await?;
    Ok(member
        .visit
        .go(&format!("admin/users/{id}"), Notice::SessionsEnded))
}
