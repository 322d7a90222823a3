//! A letter as it goes over the wire (RFC 5322): one sender, one recipient, text and HTML.
//!
//! The header fields are made here and nowhere else. What a user chose reaches one of them only as the address
//! that was parsed, or through the subject, which is one line.

use std::time::{Duration, UNIX_EPOCH};

use lettre::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use serde::{Deserialize, Serialize};

use super::render::{Text, one_line};
use super::{Letterhead, MailFault};
use crate::base::id::PublicId;
use crate::base::name::Email;
use crate::base::time::Timestamp;

/// A message, ready to be sent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Names it: the file it is written to, and the left side of its `Message-ID`.
    pub id: String,
    /// When it was written, in milliseconds since the epoch.
    pub at: i64,
    /// When the link in it is dead, if there is one.
    #[serde(default)]
    pub until: Option<i64>,
    /// The one it is from.
    pub from: String,
    /// The one it is to.
    pub to: String,
    /// Header and body.
    pub raw: String,
}

impl Message {
    /// Puts a message together.
    pub(super) fn write(
        from: &Email,
        to: &Email,
        head: &Letterhead,
        text: &Text,
        id: PublicId,
        (now, life): (Timestamp, Option<Duration>),
    ) -> Result<Self, MailFault> {
        let (from, to) = (address(from)?, address(to)?);
        let since = Duration::from_millis(u64::try_from(now.millis()).unwrap_or(0));
        let automatic = HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        );
        let body = MultiPart::alternative()
            .boundary(format!("=_{id}"))
            .singlepart(part(ContentType::TEXT_PLAIN, &text.plain))
            .singlepart(part(ContentType::TEXT_HTML, &text.html));
        let message = lettre::Message::builder()
            .from(Mailbox::new(Some(one_line(&head.brand)), from.clone()))
            .to(Mailbox::new(None, to.clone()))
            .subject(text.subject.clone())
            .date(UNIX_EPOCH + since)
            .message_id(Some(format!("<{id}@{}>", head.site.host)))
            .raw_header(automatic)
            .multipart(body)?;
        Ok(Self {
            id: id.to_string(),
            at: now.millis(),
            until: life.map(|life| now.plus(life).millis()),
            from: from.to_string(),
            to: to.to_string(),
            raw: String::from_utf8_lossy(&message.formatted()).into_owned(),
        })
    }

    /// Whether its link is dead: whoever reads it then is led nowhere.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now.millis())
    }

    /// As it is kept in the outbox.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        // Strings and a number: there is nothing that JSON could not hold.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// As it was kept.
    #[must_use]
    pub fn unpack(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// The body may hold a link that opens an account.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Message({})", self.id)
    }
}

fn part(kind: ContentType, text: &str) -> SinglePart {
    SinglePart::builder().header(kind).body(text.to_owned())
}

/// The local part as it was written, the domain in ASCII: not every server knows the other form.
fn address(email: &Email) -> Result<Address, MailFault> {
    let made = Address::new(email.local(), email.domain());
    made.map_err(|error| MailFault::Address(email.to_string(), error))
}
