//! What a page says of what was just done. The address holds a word from a list; the text is ours, so that no link
//! can make a page of ours say something else.

/// Something was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum Notice {
    SignedOut,
    NotTaken,
    Registered,
    PasswordReset,
    PasswordChanged,
    Verified,
    EmailMoved,
    EmailSent,
    EmailChanged,
    ProfileSaved,
    SessionEnded,
    SessionsEnded,
    AccountDeleted,
    UserAdded,
    UserSaved,
    RolesSaved,
    PasswordSet,
    UserDeleted,
    RoleAdded,
    RoleSaved,
    RoleDeleted,
    PermissionAdded,
    Invited,
    InvitationRevoked,
}

const ALL: [(&str, Notice, &str); 24] = [
    ("signed-out", Notice::SignedOut, "You are signed out."),
    (
        "not-taken",
        Notice::NotTaken,
        "What you sent was not taken. Please send it again once you have signed in.",
    ),
    (
        "registered",
        Notice::Registered,
        "Your account is ready. Please sign in.",
    ),
    (
        "password-reset",
        Notice::PasswordReset,
        "Your password was changed. Please sign in with the new one.",
    ),
    (
        "password-changed",
        Notice::PasswordChanged,
        "Your password was changed, and your other sessions were ended.",
    ),
    (
        "verified",
        Notice::Verified,
        "Your e-mail address is confirmed.",
    ),
    (
        "email-moved",
        Notice::EmailMoved,
        "Your new e-mail address is confirmed and counts from now on.",
    ),
    (
        "email-sent",
        Notice::EmailSent,
        "We sent a link to the new address. It counts once you have followed it.",
    ),
    (
        "email-changed",
        Notice::EmailChanged,
        "Your e-mail address was changed.",
    ),
    (
        "profile-saved",
        Notice::ProfileSaved,
        "Your profile was saved.",
    ),
    (
        "session-ended",
        Notice::SessionEnded,
        "The session was ended.",
    ),
    (
        "sessions-ended",
        Notice::SessionsEnded,
        "The sessions were ended.",
    ),
    (
        "account-deleted",
        Notice::AccountDeleted,
        "Your account was deleted.",
    ),
    ("user-added", Notice::UserAdded, "The user was added."),
    ("user-saved", Notice::UserSaved, "The user was saved."),
    (
        "roles-saved",
        Notice::RolesSaved,
        "The roles were saved. They count from the next request on.",
    ),
    (
        "password-set",
        Notice::PasswordSet,
        "The password was set, and their sessions were ended.",
    ),
    ("user-deleted", Notice::UserDeleted, "The user was deleted."),
    ("role-added", Notice::RoleAdded, "The role was added."),
    (
        "role-saved",
        Notice::RoleSaved,
        "The role was saved. It counts from the next request on.",
    ),
    ("role-deleted", Notice::RoleDeleted, "The role was deleted."),
    (
        "permission-added",
        Notice::PermissionAdded,
        "The permission was added.",
    ),
    ("invited", Notice::Invited, "The invitation is on its way."),
    (
        "invitation-revoked",
        Notice::InvitationRevoked,
        "The invitation was taken back.",
    ),
];

impl Notice {
    /// The notice that a query names by `done=`.
    #[must_use]
    pub fn of_query(query: Option<&str>) -> Option<Self> {
        let word = query?
            .split('&')
            .find_map(|pair| pair.strip_prefix("done="))?;
        let found = ALL.iter().find(|(known, ..)| *known == word);
        found.map(|(_, notice, _)| *notice)
    }

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.row().0
    }

    /// What is said.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (&'static str, Self, &'static str) {
        let found = ALL.into_iter().find(|(_, notice, _)| *notice == self);
        found.unwrap_or(("", self, ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x_02_only_what_is_on_the_list_is_said() {
        for (word, notice, text) in ALL {
            assert_eq!(
                Notice::of_query(Some(&format!("a=b&done={word}"))),
                Some(notice)
            );
            assert_eq!((notice.word(), notice.text()), (word, text));
        }
        for query in [
            "",
            "done=",
            "done=<b>",
            "done=Your+account+is+closed",
            "xdone=verified",
        ] {
            assert_eq!(Notice::of_query(Some(query)), None, "{query}");
        }
        assert_eq!(Notice::of_query(None), None);
    }
}
