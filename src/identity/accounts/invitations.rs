//! Invitations: an administrator names an address and roles; whoever holds the link makes the account.
//!
//! Good once, for a week, and no longer than who made it could still give those roles.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rights::{Reach, Right};
use super::{AccountFault, Accounts, Actor, Links};
use crate::base::id::{PublicId, UserId};
use crate::base::identity::Identity;
use crate::base::name::{Email, RoleName, Username};
use crate::base::secret::Secret;
use crate::base::time::Timestamp;
use crate::base::token::Token;
use crate::identity::IdentityFault;
use crate::identity::account;
use crate::identity::hooks::{self, Event, Topic};
use crate::identity::mail::Letter;
use crate::identity::settings::Register;
use crate::store::Account;
use crate::store::volatile::{Entry, Key, Kind, NewEntry};

/// How long an invitation is good.
const HOURS: u32 = 7 * 24;

/// An invitation, as administrators see it.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Its public name.
    pub id: PublicId,
    /// Who is invited.
    pub email: Email,
    /// What they will be.
    pub roles: BTreeSet<RoleName>,
    /// Who invited them, by the name they had then.
    pub by: Username,
    /// When.
    pub created_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
}

/// An invitation that was just made.
#[derive(Clone, Debug)]
pub struct Invited {
    /// The invitation.
    pub invitation: Invitation,
    /// The link, where there is no mail to carry it: shown once.
    pub link: Option<String>,
}

/// What whoever holds the link is shown.
#[derive(Clone, Debug)]
pub struct Invitee {
    /// The address that the account will have.
    pub email: Email,
    /// The roles that it will have.
    pub roles: BTreeSet<RoleName>,
}

/// What is kept of an invitation.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    id: PublicId,
    email: String,
    roles: BTreeSet<String>,
    by: i64,
    by_name: String,
    /// Whether the link was sent to the address, so that who holds it has proved it to be theirs.
    mailed: bool,
}

impl Accounts {
    /// Invites somebody.
    ///
    /// # Errors
    /// Without `users:write`, when accounts are not made by invitation, the actor may not give those roles, or the address is taken.
    pub async fn invite(
        &self,
        actor: &Actor<'_>,
        email: &Email,
        roles: &BTreeSet<RoleName>,
        links: &Links,
    ) -> Result<Invited, AccountFault> {
        actor.needs(Right::WriteUsers)?;
        if self.register_mode() == Register::Closed {
            return Err(AccountFault::NoInvitations);
        }
        self.may_give(actor.who, roles).await?;
        if self.parts().store.users.by_email(email).await?.is_some() {
            return Err(AccountFault::EmailTaken(email.clone()));
        }
        let record = Record {
            id: PublicId::generate(&self.parts().random),
            email: email.to_string(),
            roles: roles.iter().map(ToString::to_string).collect(),
            by: actor.who.id.0,
            by_name: actor.who.name.to_string(),
            mailed: self.has_mail(),
        };
        let (token, invitation) = self.keep_invitation(&record).await?;
        let link = links.with_token("register", &token);
        let letter = Letter::Invitation {
            by: actor.who.name.clone(),
            roles: roles.iter().cloned().collect(),
            link: link.clone(),
            hours: HOURS,
        };
        if let Err(fault) = self.post(email, &letter).await {
            // Nobody has its link, and nobody ever would.
            let key = Key::from(token.hash());
            let volatile = &self.parts().store.volatile;
            if let Err(error) = volatile.delete(Kind::Invitation, &key).await {
                tracing::warn!(%error, "could not take back an invitation that was not sent");
            }
            return Err(fault);
        }
        let email = invitation.email.as_str();
        let roles: Vec<&str> = invitation.roles.iter().map(RoleName::as_str).collect();
        actor.did("invitation.create", (&invitation.id, email), &roles);
        self.tell(told(Topic::InvitationCreated, &invitation)).await;
        let link = (!record.mailed).then_some(link);
        Ok(Invited { invitation, link })
    }

    /// The invitations that wait.
    ///
    /// # Errors
    /// Without `users:read`.
    pub async fn invitations(&self, actor: &Actor<'_>) -> Result<Vec<Invitation>, AccountFault> {
        actor.needs(Right::ReadUsers)?;
        let all = self.kept().await?;
        let mut all: Vec<Invitation> = all.into_iter().map(|(_, invitation)| invitation).collect();
        all.sort_by_key(|invitation| (invitation.created_at, invitation.id));
        Ok(all)
    }

    /// Takes an invitation back.
    ///
    /// # Errors
    /// Without `users:write` or a role that it gives, or when there is none of that name.
    pub async fn revoke_invitation(
        &self,
        actor: &Actor<'_>,
        id: PublicId,
    ) -> Result<(), AccountFault> {
        actor.needs(Right::WriteUsers)?;
        let all = self.kept().await?;
        let found = all.into_iter().find(|(_, invitation)| invitation.id == id);
        let (key, invitation) = found.ok_or(AccountFault::Missing)?;
        // Who is to hold more than they do is not theirs to keep out.
        let graph = self.parts().store.roles.graph().await?;
        let named = self.0.terms.load().named.clone();
        Reach::new(actor.who, &graph, &named).take_back(&invitation.roles)?;
        let volatile = &self.parts().store.volatile;
        let was_there = volatile.delete(Kind::Invitation, &key).await?;
        if !was_there {
            return Err(AccountFault::Missing);
        }
        let email = invitation.email.as_str();
        actor.did("invitation.revoke", (&id, email), &[]);
        Ok(())
    }

    /// What an invitation offers; it stays good.
    ///
    /// # Errors
    /// When it is no good, or accounts are not made by invitation any more.
    pub async fn invitation(&self, token: &str) -> Result<Invitee, AccountFault> {
        if self.register_mode() == Register::Closed {
            return Err(AccountFault::NoInvitations);
        }
        let record = self.look::<Record>(Kind::Invitation, token).await?.what;
        let offered = record.offer().ok_or(AccountFault::Link)?;
        self.still_given(&record, &offered.roles).await?;
        Ok(offered)
    }

    /// Makes the account of an invitation.
    ///
    /// # Errors
    /// When it is no good, a name is taken, or the password may not be chosen: in the last two cases it stays
    /// good, unless the name was taken in this very moment.
    pub async fn accept(
        &self,
        token: &str,
        username: Username,
        password: &Secret<String>,
        ip: IpAddr,
    ) -> Result<Account, AccountFault> {
        if self.register_mode() == Register::Closed {
            return Err(AccountFault::NoInvitations);
        }
        let record = self.look::<Record>(Kind::Invitation, token).await?.what;
        let Invitee { email, roles } = record.offer().ok_or(AccountFault::Link)?;
        self.still_given(&record, &roles).await?;
        self.refuse_taken(&username, Some(&email)).await?;
        let hash = self.hash(password, (&username, Some(&email)), ip).await?;
        // Hashing takes its time, and takes turns: whoever invited may have lost the right to meanwhile.
        self.still_given(&record, &roles).await?;
        // Of two at once, one is first.
        self.spend::<Record>(Kind::Invitation, token).await?;
        let mut all = self.default_roles().await?;
        all.extend(roles);
        let account = self
            .insert_with(username, Some(email), Some(hash), record.mailed, all)
            .await?;
        let mut event = Event::of(Topic::InvitationAccepted, &account);
        event.by = Some(record.by_name);
        self.tell(event).await;
        Ok(account)
    }

    /// Whoever made the invitation must still be able to give its roles.
    async fn still_given(
        &self,
        record: &Record,
        roles: &BTreeSet<RoleName>,
    ) -> Result<(), AccountFault> {
        let parts = self.parts();
        let demands = parts.sessions.demands();
        let host = account::check(&parts.store, UserId(record.by), demands).await?;
        let host = host.ok_or(AccountFault::Link)?.identity;
        if !Right::WriteUsers.is_held_by(&host) {
            return Err(AccountFault::Link);
        }
        match self.may_give(&host, roles).await {
            Err(AccountFault::Forbidden(_) | AccountFault::UnknownRole(_)) => {
                Err(AccountFault::Link)
            }
            other => other,
        }
    }

    async fn may_give(
        &self,
        who: &Identity,
        roles: &BTreeSet<RoleName>,
    ) -> Result<(), AccountFault> {
        let graph = self.parts().store.roles.graph().await?;
        let terms = self.0.terms.load();
        Reach::new(who, &graph, &terms.named).give(roles)
    }

    async fn keep_invitation(&self, record: &Record) -> Result<(Token, Invitation), AccountFault> {
        let now = self.now();
        let token = Token::generate(&self.parts().random)?;
        let value = serde_json::to_vec(record).map_err(|e| IdentityFault::Store(e.to_string()))?;
        let entry = NewEntry {
            key: Key::from(token.hash()),
            value,
            owner: None,
            expires_at: now.plus(Duration::from_hours(HOURS.into())),
        };
        let expires_at = entry.expires_at;
        let volatile = &self.parts().store.volatile;
        if !volatile.create(Kind::Invitation, entry, now).await? {
            return Err(IdentityFault::Random("a link came up twice".into()).into());
        }
        let invitation = record
            .shown(now, expires_at)
            .ok_or_else(|| IdentityFault::Store("an invitation cannot be read back".into()))?;
        Ok((token, invitation))
    }

    async fn kept(&self) -> Result<Vec<(Key, Invitation)>, AccountFault> {
        const PAGE: u32 = 500;
        let (now, volatile) = (self.now(), &self.parts().store.volatile);
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = volatile
                .scan(Kind::Invitation, after.as_ref(), PAGE, now)
                .await?;
            let Some(last) = page.last().map(|entry| entry.key) else {
                return Ok(found);
            };
            found.extend(page.iter().filter_map(read));
            after = Some(last);
        }
    }
}

impl Record {
    fn offer(&self) -> Option<Invitee> {
        let roles = self.roles.iter().map(|role| role.parse());
        Some(Invitee {
            email: self.email.parse().ok()?,
            roles: roles.collect::<Result<_, _>>().ok()?,
        })
    }

    fn shown(&self, created_at: Timestamp, expires_at: Timestamp) -> Option<Invitation> {
        let Invitee { email, roles } = self.offer()?;
        Some(Invitation {
            id: self.id,
            email,
            roles,
            by: Username::stored(self.by_name.clone()).ok()?,
            created_at,
            expires_at,
        })
    }
}

fn read(entry: &Entry) -> Option<(Key, Invitation)> {
    let record: Record = serde_json::from_slice(&entry.value)
        .inspect_err(|error| tracing::error!(%error, "unreadable invitation in the store"))
        .ok()?;
    Some((entry.key, record.shown(entry.created_at, entry.expires_at)?))
}

fn told(topic: Topic, invitation: &Invitation) -> Event {
    let mut event = Event::new(topic);
    event.by = Some(invitation.by.to_string());
    event.invitation = Some(hooks::Invited {
        id: invitation.id.to_string(),
        email: invitation.email.to_string(),
        roles: invitation.roles.iter().map(ToString::to_string).collect(),
    });
    event
}
