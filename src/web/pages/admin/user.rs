//! One user: profile, roles, password, sessions, and the end of it.

use std::collections::BTreeSet;

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use crate::base::id::UserId;
use crate::base::name::RoleName;
use crate::identity::accounts::{AccountFault, Listed, Right, UserEdit};
use crate::web::error::Problem;
use crate::web::form::{Fields, Sent};
use crate::web::templates::merged;

use super::super::notice::Notice;
use super::super::seen;
use super::super::slips::Slips;
use super::super::visit::Member;
use super::super::{moment, rows};
use super::{choices, common, question};

const HERE: &str = "users";
const TEMPLATE: &str = "admin-user.html";

/// Shows a user.
///
/// # Errors
/// Without the right, or when there is no such user.
pub async fn show(member: Member, Path(id): Path<String>) -> Result<Response, Problem> {
    let id = number(&id)?;
    let values = values(&member, id, None).await?;
    Ok(member.visit.show(TEMPLATE, values))
}

/// Takes the form of the profile.
///
/// # Errors
/// When the form is not ours, or there is no such user.
pub async fn profile(
    member: Member,
    Path(id): Path<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let (id, fields) = (number(&id)?, member.open(sent)?);
    let saved = save_profile(&member, id, &fields).await;
    answer(&member, id, saved, Notice::UserSaved, &fields).await
}

/// Takes the form of the roles.
///
/// # Errors
/// As [`profile`].
pub async fn roles(
    member: Member,
    Path(id): Path<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let (id, fields) = (number(&id)?, member.open(sent)?);
    let saved = save_roles(&member, id, &fields).await;
    answer(&member, id, saved, Notice::RolesSaved, &Fields::default()).await
}

/// Takes the form of the password.
///
/// # Errors
/// As [`profile`].
pub async fn password(
    member: Member,
    Path(id): Path<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let (id, fields) = (number(&id)?, member.open(sent)?);
    let edit = UserEdit {
        password: Some(fields.secret("password")),
        ..UserEdit::default()
    };
    let (accounts, links) = (&member.visit.web.accounts, member.visit.links());
    let saved = accounts.edit(&member.actor(), id, &edit, &links).await;
    let saved = saved.map(drop).map_err(Slips::from);
    answer(&member, id, saved, Notice::PasswordSet, &Fields::default()).await
}

/// Asks before a user is deleted.
///
/// # Errors
/// Without the right, or when there is no such user.
pub async fn ask(member: Member, Path(id): Path<String>) -> Result<Response, Problem> {
    let values = delete_question(&member, number(&id)?).await?;
    Ok(member.visit.show("admin-delete.html", values))
}

/// Deletes a user.
///
/// # Errors
/// When the form is not ours, or there is no such user.
pub async fn delete(
    member: Member,
    Path(id): Path<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    member.open(sent)?;
    let id = number(&id)?;
    let accounts = &member.visit.web.accounts;
    match accounts.delete(&member.actor(), id).await {
        Ok(()) => Ok(member.visit.go("admin/users", Notice::UserDeleted)),
        Err(AccountFault::Missing) => Err(AccountFault::Missing.into()),
        Err(fault) => {
            let values = delete_question(&member, id).await?;
            let slips = Slips::from(fault);
            Ok(member.visit.again("admin-delete.html", &slips, values))
        }
    }
}

async fn delete_question(member: &Member, id: UserId) -> Result<Value, Problem> {
    let accounts = &member.visit.web.accounts;
    let name = accounts.get(&member.actor(), id).await?.user.username;
    let text = "Their account, roles and sessions are deleted at once. This cannot be taken back.";
    let title = format!("Delete {name}?");
    Ok(question(
        member,
        HERE,
        (&title, text),
        &format!("users/{id}"),
    ))
}

async fn save_profile(member: &Member, id: UserId, fields: &Fields) -> Result<(), Slips> {
    let (accounts, actor) = (&member.visit.web.accounts, member.actor());
    let before = accounts.get(&actor, id).await?;
    check_seen(fields, &before)?;
    let before = before.user;
    let mut slips = Slips::default();
    let email = before.email.as_ref().map(ToString::to_string);
    // What nobody has touched is no edit: it may be from a time when more was allowed, too.
    let is_touched = |name, before| fields.filled(name) != before;
    let edit = UserEdit {
        username: is_touched("username", Some(before.username.as_str()))
            .then(|| slips.read(fields, "username"))
            .flatten(),
        email: is_touched("email", email.as_deref())
            .then(|| slips.read_filled(fields, "email"))
            .flatten(),
        is_active: Some(fields.ticked("is_active")).filter(|it| *it != before.is_active),
        // What nobody has touched says nothing of another address.
        is_verified: Some(fields.ticked("is_verified")).filter(|it| *it != before.is_verified),
        // Not asked of who may not say: its absence would demote.
        is_superuser: Some(fields.ticked("is_superuser"))
            .filter(|wanted| member.may(Right::Superuser) && *wanted != before.is_superuser),
        password: None,
    };
    if before.email.is_some() && fields.filled("email").is_none() {
        slips.mark("email", "an address can be changed, but not taken away");
    }
    slips.none()?;
    let links = member.visit.links();
    accounts.edit(&actor, id, &edit, &links).await?;
    Ok(())
}

async fn save_roles(member: &Member, id: UserId, fields: &Fields) -> Result<(), Slips> {
    let roles: Result<BTreeSet<RoleName>, String> = fields.list("roles");
    let mut slips = Slips::default();
    if let Err(why) = &roles {
        slips.mark("roles", why);
    }
    slips.none()?;
    let accounts = &member.visit.web.accounts;
    check_seen(fields, &accounts.get(&member.actor(), id).await?)?;
    accounts
        .set_roles(&member.actor(), id, &roles.unwrap_or_default())
        .await?;
    Ok(())
}

/// A page that was opened before somebody else changed this user would put back everything that it shows.
fn check_seen(fields: &Fields, listed: &Listed) -> Result<(), AccountFault> {
    if seen::is_from(fields, &facts(listed).to_string()) {
        Ok(())
    } else {
        Err(AccountFault::Conflict)
    }
}

/// Everything that the forms of the page can change.
fn facts(listed: &Listed) -> Value {
    let roles = listed.roles.iter().map(|it| it.role.name.as_str());
    let roles: BTreeSet<&str> = roles.collect();
    json!([stored(listed), roles])
}

async fn answer(
    member: &Member,
    id: UserId,
    saved: Result<(), Slips>,
    notice: Notice,
    typed: &Fields,
) -> Result<Response, Problem> {
    let Err(slips) = saved else {
        return Ok(member.visit.go(&format!("admin/users/{id}"), notice));
    };
    let typed = typed.filled("username").map(|_| typed);
    // What was typed on a page that is out of date does not belong on one that is not.
    let typed = typed.filter(|_| slips.status() != StatusCode::CONFLICT);
    let values = values(member, id, typed).await?;
    Ok(member.visit.again(TEMPLATE, &slips, values))
}

async fn values(member: &Member, id: UserId, typed: Option<&Fields>) -> Result<Value, Problem> {
    let (accounts, actor) = (&member.visit.web.accounts, member.actor());
    let listed = accounts.get(&actor, id).await?;
    let held: BTreeSet<RoleName> = listed.roles.iter().map(|it| it.role.name.clone()).collect();
    let permissions = accounts.account(id).await?.permissions;
    let permissions: Vec<String> = permissions.iter().map(ToString::to_string).collect();
    let mut sessions = accounts.sessions_of(&actor, id).await?;
    sessions.sort_by_key(|info| std::cmp::Reverse(info.seen_at));
    let base = format!("{}/admin/users/{id}/sessions", member.visit.prefix());
    let rows: Vec<Value> = sessions
        .iter()
        .map(|info| rows::session(member, info, &base))
        .collect();
    let is_me = member.who().id == id;
    let is_managed = accounts.is_managed(&actor, id).await?;
    let mut values = merged(
        common(member, HERE),
        json!({
            "user": user(&listed, &held, is_me, &permissions),
            "seen": seen::mark(&facts(&listed).to_string()),
            "values": typed.map_or_else(|| stored(&listed), retyped),
            "roles": choices(member, &held).await?,
            "sessions": rows,
            "ends": member.may(Right::WriteUsers) && is_managed,
        }),
    );
    if (is_me || !is_managed)
        && let Some(may) = values.get_mut("may")
    {
        // One's own account is changed on its own page, and one's rights by somebody else; those of who holds more, by
        // superusers.
        *may = json!({ "write": false, "delete": false, "super": false });
    }
    Ok(values)
}

fn user(listed: &Listed, held: &BTreeSet<RoleName>, is_me: bool, permissions: &[String]) -> Value {
    let user = &listed.user;
    json!({
        "id": user.id.0,
        "username": user.username.as_str(),
        "email": user.email.as_ref().map(ToString::to_string),
        "is_active": user.is_active,
        "is_superuser": user.is_superuser,
        "is_verified": user.is_verified,
        "is_me": is_me,
        "roles": held.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "permissions": permissions,
        "created_at": moment::minute(user.created_at),
        "updated_at": moment::minute(user.updated_at),
    })
}

fn stored(listed: &Listed) -> Value {
    let user = &listed.user;
    json!({
        "username": user.username.as_str(),
        "email": user.email.as_ref().map(ToString::to_string),
        "is_active": user.is_active,
        "is_verified": user.is_verified,
        "is_superuser": user.is_superuser,
    })
}

fn retyped(fields: &Fields) -> Value {
    json!({
        "username": fields.text("username"),
        "email": fields.text("email"),
        "is_active": fields.ticked("is_active"),
        "is_verified": fields.ticked("is_verified"),
        "is_superuser": fields.ticked("is_superuser"),
    })
}

/// The number of a user in an address.
pub fn number(text: &str) -> Result<UserId, Problem> {
    let number = text.parse().map(UserId);
    number.map_err(|_| AccountFault::Missing.into())
}
