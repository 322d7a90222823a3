//! The list of users, and adding one.

use std::collections::BTreeSet;

use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::base::name::RoleName;
use crate::identity::accounts::{AccountFault, Listed, Right, UserDraft};
use crate::identity::settings::Register;
use crate::store::users::{Sort, SortBy, UserQuery};
use crate::web::error::Problem;
use crate::web::form::{Fields, Sent};
use crate::web::params::InQuery;
use crate::web::templates::merged;

use super::super::moment;
use super::super::notice::Notice;
use super::super::rows::{Page, ROWS};
use super::super::slips::Slips;
use super::super::visit::Member;
use super::{choices, common};

const HERE: &str = "users";

/// Which users to show.
#[derive(Debug, Deserialize)]
pub struct Question {
    search: Option<String>,
    page: Option<String>,
}

/// Shows users.
///
/// # Errors
/// Without the right, or when the store does not answer.
pub async fn list(
    member: Member,
    InQuery(question): InQuery<Question>,
) -> Result<Response, Problem> {
    let search = question.search.as_deref().unwrap_or_default().trim();
    let search: String = search.chars().take(254).collect();
    let wanted = (!search.is_empty()).then(|| search.clone());
    let (accounts, actor) = (&member.visit.web.accounts, member.actor());
    let total = accounts.count(&actor, wanted.as_deref()).await?;
    let page = Page::new(question.page.as_deref(), total);
    let query = UserQuery {
        skip: page.skip(),
        limit: ROWS,
        search: wanted,
    };
    let sort = Sort {
        by: SortBy::Username,
        descending: false,
    };
    let found = accounts.list(&actor, &query, sort).await?;
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("search", &search)
        .finish();
    let place = format!("{}/admin/users?{query}&", member.visit.prefix());
    let own = json!({ "search": search, "users": found.iter().map(row).collect::<Vec<_>>() });
    let values = merged(merged(common(&member, HERE), page.shown(&place)), own);
    Ok(member.visit.show("admin-users.html", values))
}

/// A user as a row.
fn row(listed: &Listed) -> Value {
    let user = &listed.user;
    let roles: Vec<&str> = listed
        .roles
        .iter()
        .map(|full| full.role.name.as_str())
        .collect();
    json!({
        "id": user.id.0,
        "username": user.username.as_str(),
        "email": user.email.as_ref().map(ToString::to_string),
        "is_active": user.is_active,
        "is_superuser": user.is_superuser,
        "is_verified": user.is_verified,
        "roles": roles,
        "created_at": moment::day(user.created_at),
    })
}

/// Shows the form for another one.
///
/// # Errors
/// Without the right.
pub async fn blank(member: Member) -> Result<Response, Problem> {
    if !member.may(Right::WriteUsers) {
        return Err(AccountFault::Forbidden("This needs the permission users:write.").into());
    }
    let given = "user".parse().into_iter().collect();
    let fresh = json!({ "values": { "is_verified": true } });
    let values = merged(values(&member, &Fields::default(), &given).await?, fresh);
    Ok(member.visit.show("admin-user-new.html", values))
}

/// Adds one.
///
/// # Errors
/// When the form is not ours, or the store does not answer.
pub async fn create(member: Member, sent: Sent) -> Result<Response, Problem> {
    let fields = member.open(sent)?;
    match attempt(&member, &fields).await {
        Ok(id) => Ok(member
            .visit
            .go(&format!("admin/users/{id}"), Notice::UserAdded)),
        Err(slips) => {
            let given: BTreeSet<RoleName> = fields.list("roles").unwrap_or_default();
            let values = values(&member, &fields, &given).await?;
            Ok(member.visit.again("admin-user-new.html", &slips, values))
        }
    }
}

async fn attempt(member: &Member, fields: &Fields) -> Result<i64, Slips> {
    let mut slips = Slips::default();
    let username = slips.read(fields, "username");
    let email = slips.read_filled(fields, "email");
    let roles = fields.list("roles");
    if let Err(why) = &roles {
        slips.mark("roles", why);
    }
    slips.none()?;
    let draft = UserDraft {
        username: username.ok_or_else(Problem::internal)?,
        email,
        password: Some(fields.secret("password")),
        roles: roles.ok(),
        is_verified: fields.ticked("is_verified"),
    };
    let (accounts, links) = (&member.visit.web.accounts, member.visit.links());
    let made = accounts.create(&member.actor(), &draft, &links).await?;
    Ok(made.user.id.0)
}

async fn values(
    member: &Member,
    fields: &Fields,
    given: &BTreeSet<RoleName>,
) -> Result<Value, Problem> {
    let own = json!({
        "values": { "username": fields.text("username"), "email": fields.text("email"), "is_verified": fields.ticked("is_verified") },
        "roles": choices(member, given).await?,
        "can_invite": member.visit.web.accounts.register_mode() != Register::Closed,
    });
    Ok(merged(common(member, HERE), own))
}
