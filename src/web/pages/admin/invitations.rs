//! Invitations that wait, another one, and taking one back.

use std::collections::BTreeSet;

use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};

use crate::base::name::{Email, RoleName};
use crate::identity::accounts::{AccountFault, Invited};
use crate::identity::settings::Register;
use crate::web::error::Problem;
use crate::web::form::{Fields, Sent};
use crate::web::templates::merged;

use super::super::moment;
use super::super::notice::Notice;
use super::super::slips::Slips;
use super::super::visit::Member;
use super::{choices, common};

const HERE: &str = "invitations";
const TEMPLATE: &str = "admin-invitations.html";

/// Shows them.
///
/// # Errors
/// Without the right, or when the store does not answer.
pub async fn list(member: Member) -> Result<Response, Problem> {
    let values = values(&member, &Fields::default(), None).await?;
    Ok(member.visit.show(TEMPLATE, values))
}

/// Invites somebody. Without mail, the link is shown by the answer itself, this once.
///
/// # Errors
/// When the form is not ours, without the right, or when the store does not answer.
pub async fn create(member: Member, sent: Sent) -> Result<Response, Problem> {
    let fields = member.open(sent)?;
    match invite(&member, &fields).await {
        Ok(Invited { link: None, .. }) => Ok(member.visit.go("admin/invitations", Notice::Invited)),
        Ok(invited) => {
            let values = values(&member, &Fields::default(), Some(&invited)).await?;
            Ok(member.visit.show(TEMPLATE, values))
        }
        Err(slips) => {
            let values = values(&member, &fields, None).await?;
            Ok(member.visit.again(TEMPLATE, &slips, values))
        }
    }
}

/// Takes one back.
///
/// # Errors
/// When the form is not ours, without the right, or when there is none of that name.
pub async fn revoke(
    member: Member,
    Path(id): Path<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    member.open(sent)?;
    let id = id.parse().map_err(|_| AccountFault::Missing)?;
    let accounts = &member.visit.web.accounts;
    accounts.revoke_invitation(&member.actor(), id).await?;
    Ok(member
        .visit
        .go("admin/invitations", Notice::InvitationRevoked))
}

async fn invite(member: &Member, fields: &Fields) -> Result<Invited, Slips> {
    let mut slips = Slips::default();
    let email: Option<Email> = slips.read(fields, "email");
    let roles: Result<BTreeSet<RoleName>, String> = fields.list("roles");
    if let Err(why) = &roles {
        slips.mark("roles", why);
    }
    slips.none()?;
    let email = email.ok_or_else(Problem::internal)?;
    let (accounts, links) = (&member.visit.web.accounts, member.visit.links());
    let roles = roles.unwrap_or_default();
    Ok(accounts
        .invite(&member.actor(), &email, &roles, &links)
        .await?)
}

async fn values(member: &Member, typed: &Fields, made: Option<&Invited>) -> Result<Value, Problem> {
    let accounts = &member.visit.web.accounts;
    let waiting = accounts.invitations(&member.actor()).await;
    let waiting = match made {
        // The link is shown this once, whatever becomes of the list.
        Some(_) => waiting.unwrap_or_default(),
        None => waiting?,
    };
    let rows: Vec<Value> = waiting
        .iter()
        .map(|it| {
            json!({
                "id": it.id.to_string(),
                "email": it.email.as_str(),
                "by": it.by.as_str(),
                "roles": it.roles.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "expires_at": moment::minute(it.expires_at),
            })
        })
        .collect();
    let link = made.and_then(|made| {
        let url = made.link.as_deref()?;
        Some(json!({ "email": made.invitation.email.as_str(), "url": url }))
    });
    let given = typed.list("roles").unwrap_or_default();
    let own = json!({
        "link": link,
        "has_mail": accounts.has_mail(),
        "can_invite": accounts.register_mode() != Register::Closed,
        "invitations": rows,
        "roles": choices(member, &given).await?,
        "values": { "email": typed.text("email") },
    });
    Ok(merged(common(member, HERE), own))
}
