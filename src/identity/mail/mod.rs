//! Letters to people: written from templates, put into the outbox, carried away by SMTP or into a folder.
//!
//! [`Letter`] says what can be written at all, `render` how it reads, `message` what it looks like on the
//! wire (one recipient, nothing a user chose in a header), [`carrier`] how it leaves. Links are whole URLs that
//! the caller made from `site`; no request has a say in them. Nothing here decides who is written to.

pub mod carrier;
mod letter;
mod message;
pub mod ration;
mod render;
mod samples;
pub mod settings;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::base::id::PublicId;
use crate::base::name::Email;
use crate::base::random::Random;
use crate::base::secret::Secret;
use crate::base::site::Site;
use crate::base::time::{Clock, Timestamp};
use crate::store::outbox::Kind;

use super::IdentityFault;
use super::outbox::worker::{Courier, Delivery};
use super::outbox::{Outbox, Parcel};

pub use letter::{Letter, Salutation};
pub use message::Message;
pub use render::Templates;
pub use settings::Settings;

use carrier::Carrier;

/// Writes letters and leaves them in the outbox. Clones share the settings in force.
#[derive(Clone)]
pub struct Mailer {
    outbox: Outbox,
    random: Random,
    office: Arc<ArcSwapOption<Office>>,
}

/// Brings letters from the outbox to where they belong.
#[derive(Clone)]
pub struct Postman {
    office: Arc<ArcSwapOption<Office>>,
    clock: Clock,
}

/// Everything that writing and sending need, made of the settings and ready to be put in force.
#[derive(Clone, Debug)]
pub struct Office {
    settings: Settings,
    letterhead: Letterhead,
    templates: Templates,
    carrier: Carrier,
}

/// What every letter says of its sender.
#[derive(Clone, Debug)]
pub struct Letterhead {
    /// The name of the gateway, as on its pages.
    pub brand: String,
    /// The accent colour, as `#rrggbb`.
    pub color: String,
    /// The main site.
    pub site: Site,
    /// A folder whose templates are taken before our own.
    pub templates: Option<PathBuf>,
}

/// Why no letters can be written or sent.
#[derive(Debug, thiserror::Error)]
pub enum MailFault {
    /// A template cannot be read, compiled or filled in.
    #[error("the mail template {0}: {1}")]
    Template(String, String),
    /// The address is not one that mail can be sent to.
    #[error("'{0}' is not an address to send to: {1}")]
    Address(String, lettre::address::AddressError),
    /// The message could not be put together.
    #[error("the message cannot be written: {0}")]
    Message(#[from] lettre::error::Error),
    /// TLS cannot be prepared.
    #[error("no TLS for mail: {0}")]
    Tls(lettre::transport::smtp::Error),
}

impl Office {
    /// Compiles the templates, tries each of them once, and prepares the way out. Nothing is connected to.
    ///
    /// # Errors
    /// When a template is wrong, or TLS cannot be prepared.
    pub fn open(settings: &Settings, letterhead: Letterhead) -> Result<Self, MailFault> {
        let host = letterhead.site.host.as_str().to_owned();
        Ok(Self {
            templates: Templates::load(letterhead.templates.as_deref())?,
            carrier: Carrier::new(&settings.transport, host)?,
            settings: settings.clone(),
            letterhead,
        })
    }

    /// A letter as it will be sent.
    ///
    /// # Errors
    /// When a template fails, or nothing can be sent to the address.
    pub fn write(
        &self,
        to: &Email,
        letter: &Letter,
        id: PublicId,
        now: Timestamp,
    ) -> Result<Message, MailFault> {
        let text = self.templates.render(letter, &self.letterhead)?;
        let from = &self.settings.from;
        Message::write(from, to, &self.letterhead, &text, id, (now, letter.life()))
    }

    /// One attempt to send, and what the other side said to it.
    ///
    /// # Errors
    /// Why it was not sent.
    pub async fn send(&self, message: &Message) -> Result<String, carrier::Refused> {
        self.carrier.send(message).await
    }
}

impl Mailer {
    /// A mailer; without an office, mail is off.
    #[must_use]
    pub fn new(outbox: Outbox, random: Random, office: Option<Office>) -> Self {
        let office = Arc::new(ArcSwapOption::from_pointee(office));
        Self {
            outbox,
            random,
            office,
        }
    }

    /// Puts other settings in force, for letters that wait as well.
    pub fn install(&self, office: Option<Office>) {
        self.office.store(office.map(Arc::new));
    }

    /// Whether the file names a way to send mail.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.office.load().is_some()
    }

    /// Writes a letter and leaves it to be sent. Returns when it is safely kept, not when it has arrived.
    ///
    /// # Errors
    /// When mail is off, the letter cannot be written, or the store does not answer.
    pub async fn post(
        &self,
        to: &Email,
        letter: &Letter,
        now: Timestamp,
    ) -> Result<(), IdentityFault> {
        let office = self.office.load_full();
        let office = office.ok_or_else(|| IdentityFault::Mail("the file has no `mail:`".into()))?;
        let id = PublicId::generate(&self.random);
        let message = office.write(to, letter, id, now)?;
        let parcel = Parcel {
            key: id.to_string(),
            body: Secret::new(message.pack()),
        };
        self.outbox.put(Kind::Mail, vec![parcel], now).await
    }

    /// Who carries the letters away.
    #[must_use]
    pub fn postman(&self, clock: Clock) -> Postman {
        let office = Arc::clone(&self.office);
        Postman { office, clock }
    }
}

impl Courier for Postman {
    const KIND: Kind = Kind::Mail;

    async fn deliver(&self, body: &[u8]) -> Delivery {
        let Some(office) = self.office.load_full() else {
            return Delivery::Later("the file has no `mail:` any more".into());
        };
        let Some(message) = Message::unpack(body) else {
            return Delivery::Never("the stored message cannot be read".into());
        };
        if message.is_over(self.clock.now()) {
            return Delivery::Never("its link is good no more".into());
        }
        match office.send(&message).await {
            Ok(_) => Delivery::Done,
            Err(refused) if refused.is_final() => Delivery::Never(refused.to_string()),
            Err(refused) => Delivery::Later(refused.to_string()),
        }
    }
}

impl From<MailFault> for IdentityFault {
    fn from(fault: MailFault) -> Self {
        Self::Mail(fault.to_string())
    }
}

#[cfg(test)]
mod tests;
