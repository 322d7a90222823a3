//! What follows when somebody's account was changed by somebody else: what it opened ends, its owner is told by a
//! letter, and other programs by an event.

use super::admin::UserEdit;
use super::{AccountFault, Accounts, Actor};
use crate::base::id::UserId;
use crate::identity::hooks::{Event, Person, Topic};
use crate::identity::mail::{Letter, Salutation};
use crate::identity::session::Live;
use crate::store::users::User;

impl Accounts {
    /// Somebody's account was changed.
    pub(super) async fn edited(
        &self,
        actor: &Actor<'_>,
        before: &User,
        after: &User,
        edit: &UserEdit,
    ) -> Result<(), AccountFault> {
        let end = async {
            if edit.password.is_some() || !after.is_active {
                // A session or a link that would live again when the account is enabled again is nobody's wish.
                self.end_everything(after).await?;
            }
            self.changed_user(after.id).await
        };
        // It has happened: neither waits for the other, nor is one left out where the other fails.
        let tell = async {
            self.write_to_owner(before, after, edit).await;
            for event in events(before, after, edit) {
                self.tell(by(event, actor)).await;
            }
        };
        tokio::join!(end, tell).0
    }

    /// Somebody's account is no more.
    pub(super) async fn deleted(&self, actor: &Actor<'_>, user: &User) -> Result<(), AccountFault> {
        let tell = async {
            if let Some(email) = &user.email {
                let name = Salutation::of(user);
                self.send(email, &Letter::AccountDeleted { name }).await;
            }
            let event = Event::of(Topic::UserDeleted, user);
            self.tell(by(event, actor)).await;
        };
        tokio::join!(self.changed(), tell).0
    }

    /// Tells hooks what somebody did to a user, with the roles the user has now.
    pub(super) async fn tell_by(&self, actor: &Actor<'_>, topic: Topic, user: UserId) {
        match self.parts().store.account(user).await {
            Ok(Some(account)) => self.tell(by(Event::of(topic, &account), actor)).await,
            // Deleted since: that is told as well.
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, topic = topic.as_str(), "could not leave word for the hooks");
            }
        }
    }

    /// Tells hooks that somebody ended a session of a user's.
    pub(super) async fn tell_session(&self, actor: &Actor<'_>, user: &User, sid: &str) {
        let mut event = Event::of(Topic::SessionRevoked, user);
        event.sid = Some(sid.to_owned());
        self.tell(by(event, actor)).await;
    }

    /// Tells hooks that somebody logged out.
    pub async fn logged_out(&self, live: &Live) {
        let user = match self.parts().store.users.by_id(live.identity.id).await {
            Ok(Some(user)) => user,
            // Deleted since: that is told as well.
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "could not leave word of a logout for the hooks");
                return;
            }
        };
        let mut event = Event::of(Topic::UserLogout, &user);
        event.sid = Some(live.sid.to_string());
        self.tell(event).await;
    }

    /// To the address that was theirs before: whoever changed it could otherwise hide that they did.
    async fn write_to_owner(&self, before: &User, after: &User, edit: &UserEdit) {
        let reader = if before.email.is_some() {
            before
        } else {
            after
        };
        let Some(address) = &reader.email else {
            return;
        };
        let name = Salutation::of(reader);
        if let (Some(old), Some(new)) = (&before.email, &after.email)
            && old != new
        {
            let letter = Letter::EmailChanged {
                name: name.clone(),
                old: old.clone(),
                new: before.is_verified.then(|| new.clone()),
            };
            self.send(old, &letter).await;
        }
        if edit.password.is_some() {
            let at = self.now();
            self.send(address, &Letter::PasswordSetByAdministrator { name, at })
                .await;
        }
    }
}

/// The event, and who caused it.
fn by(mut event: Event, actor: &Actor<'_>) -> Event {
    event.by = Some(actor.who.name.to_string());
    event.ip = Some(actor.ip);
    event
}

fn events(before: &User, after: &User, edit: &UserEdit) -> Vec<Event> {
    let event = |topic| Event::of(topic, Person::from(after));
    let mut events = Vec::new();
    let changed = changed(before, after);
    if !changed.is_empty() {
        events.push(Event {
            changed,
            ..event(Topic::UserUpdated)
        });
    }
    if edit.password.is_some() {
        events.push(event(Topic::UserPasswordChanged));
    }
    match (before.is_active, after.is_active) {
        (true, false) => events.push(event(Topic::UserDisabled)),
        (false, true) => events.push(event(Topic::UserEnabled)),
        _ => {}
    }
    events
}

fn changed(before: &User, after: &User) -> Vec<&'static str> {
    let facts = [
        ("username", before.username != after.username),
        ("email", before.email != after.email),
        ("is_superuser", before.is_superuser != after.is_superuser),
        ("is_verified", before.is_verified != after.is_verified),
    ];
    facts
        .into_iter()
        .filter_map(|(name, is_another)| is_another.then_some(name))
        .collect()
}
