//! Names that people choose, each with one canonical form to compare by.
//!
//! Usernames follow PRECIS `UsernameCaseMapped` (RFC 8265 section 3.3), so that `Bob`, `BOB` and full-width
//! `Ｂｏｂ` are one account; e-mail addresses are folded; roles and permissions are plain ASCII words.

use std::fmt;
use std::str::FromStr;

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use unicode_normalization::UnicodeNormalization;

/// A username in its canonical form: case-mapped, width-mapped, NFC, without `@`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Username(String);

/// An e-mail address: as it was written, and folded for comparison.
#[derive(Clone, Debug)]
pub struct Email {
    written: String,
    folded: String,
}

/// The name of a role: letters, digits, `_`, `-` and `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName(Box<str>);

/// `resource:action`, each of letters, digits, `_`, `-`, `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission(Box<str>);

/// Why a text is not such a name. The input is carried by whoever reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// More characters than a name may have.
    #[error("must have at most {0} characters")]
    TooLong(usize),
    /// A username that could be read as an address.
    #[error("a username holds no '@'")]
    At,
    /// Characters that RFC 8265 does not allow in usernames.
    #[error("holds characters that are not allowed in usernames (RFC 8265)")]
    Username,
    /// Not an address that mail can be sent to.
    #[error("is not an e-mail address")]
    Email,
    /// Not a role name.
    #[error("role names are letters, digits, '_', '-' and '.'")]
    Role,
    /// Not a permission.
    #[error("permissions are written 'resource:action' in letters, digits, '_', '-' and '.'")]
    Permission,
}

const NAME_MAX: usize = 64;
const EMAIL_MAX: usize = 254;

impl Username {
    /// The canonical form, which is also what is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name that was checked when it was chosen: it is what it was, also where today's tables of letters would not have
    /// it any more. A row that cannot be read can neither be shown nor deleted.
    ///
    /// # Errors
    /// When it holds what no name ever held.
    pub fn stored(text: String) -> Result<Self, NameError> {
        bounded(&text, NAME_MAX)?;
        if text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '@') {
            return Err(NameError::Username);
        }
        Ok(Self(text))
    }
}

impl FromStr for Username {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let text = text.trim();
        bounded(text, NAME_MAX)?;
        if text.contains('@') || text.contains('\u{ff20}') {
            return Err(NameError::At);
        }
        let mapped = mapped(text)?;
        // Case and width mapping may lengthen.
        bounded(&mapped, NAME_MAX)?;
        // And what is mapped may be no name, or another one: then two spellings would not meet, and nobody could use it.
        if self::mapped(&mapped)? != mapped {
            return Err(NameError::Username);
        }
        Ok(Self(mapped))
    }
}

impl Email {
    /// As the person wrote it: what people are shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// What stands before the `@`, as it was written: a server may tell its case.
    #[must_use]
    pub fn local(&self) -> &str {
        let parts = self.written.rsplit_once('@');
        parts.map_or("", |(local, _)| local)
    }

    /// The domain, in lower case and ASCII.
    #[must_use]
    pub fn domain(&self) -> &str {
        let parts = self.folded.rsplit_once('@');
        parts.map_or("", |(_, domain)| domain)
    }

    /// The mailbox that letters go to, and that was proved by them: what services are told. `gıthub.com`, as it was written,
    /// would be another domain to whoever compares capitals.
    #[must_use]
    pub fn mailbox(&self) -> String {
        format!("{}@{}", self.local(), self.domain())
    }

    /// Lower case, the domain in ASCII: what is unique and compared.
    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.folded == other.folded
    }
}

impl FromStr for Email {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // A letter that is spelled in two ways is one, and one that is no other's only looks like it.
        let written: String = text.trim().nfc().collect();
        let plain = |c: char| {
            c.is_ascii()
                || !c
                    .to_lowercase()
                    .chain([c].into_iter().nfc())
                    .any(|c| c.is_ascii())
        };
        // What a URL's domain is read from, `%61` and full width, is no spelling of an address.
        let domain = written.rsplit_once('@').map_or("", |(_, domain)| domain);
        let other = domain.contains('%') || !domain.nfkc().eq(domain.chars());
        if text.contains(is_hidden) || !text.chars().all(plain) || other {
            return Err(NameError::Email);
        }
        let email = Self::stored(&written)?;
        // What no letter can be written to is nobody's address.
        match lettre::Address::new(email.local(), email.domain()) {
            Ok(_) => Ok(email),
            Err(_) => Err(NameError::Email),
        }
    }
}

impl Email {
    /// An address that was checked when it was taken: it is what it was, also where it would not be taken today. A row that
    /// cannot be read can neither be shown nor deleted.
    ///
    /// # Errors
    /// When it holds what no address ever held.
    pub fn stored(text: &str) -> Result<Self, NameError> {
        let written = text.trim();
        bounded(written, EMAIL_MAX)?;
        let (local, domain) = written.rsplit_once('@').ok_or(NameError::Email)?;
        let odd = |c: char| c.is_whitespace() || c.is_control() || "@\"(),:;<>[]\\".contains(c);
        // RFC 5321 section 4.5.3.1.1 counts octets; a dot joins two atoms (RFC 5322 section 3.2.3).
        if local.split('.').any(str::is_empty) || local.len() > 64 || local.contains(odd) {
            return Err(NameError::Email);
        }
        let host = url::Host::parse(domain).map_err(|_| NameError::Email)?;
        let url::Host::Domain(host) = host else {
            return Err(NameError::Email);
        };
        let host = host.trim_end_matches('.');
        if !host.split('.').all(is_mail_label) {
            return Err(NameError::Email);
        }
        Ok(Self {
            written: written.to_owned(),
            folded: format!("{}@{host}", local.to_lowercase()),
        })
    }
}

impl RoleName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoleName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        bounded(text, NAME_MAX)?;
        word(text).then(|| Self(text.into())).ok_or(NameError::Role)
    }
}

impl Permission {
    /// `resource:action`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the colon.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.0.split_once(':').map_or("", |(resource, _)| resource)
    }

    /// What stands behind the colon.
    #[must_use]
    pub fn action(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, action)| action)
    }
}

impl FromStr for Permission {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        bounded(text, 2 * NAME_MAX)?;
        match text.split_once(':') {
            Some((resource, action)) if word(resource) && word(action) => Ok(Self(text.into())),
            _ => Err(NameError::Permission),
        }
    }
}

macro_rules! display_as_str {
    ($($name:ty),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )*};
}
display_as_str!(Username, Email, RoleName, Permission);

fn mapped(text: &str) -> Result<String, NameError> {
    let mapped = UsernameCaseMapped::enforce(text).map_err(|_| NameError::Username)?;
    Ok(mapped.into_owned())
}

/// What is not seen, or changes the order of what is (Unicode `Default_Ignorable_Code_Point`, `Bidi_Control`).
#[must_use]
pub const fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A label of a domain that mail is sent to (RFC 5321 section 4.1.2): letters, digits, inner hyphens.
fn is_mail_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn bounded(text: &str, max: usize) -> Result<(), NameError> {
    match text.chars().count() {
        0 => Err(NameError::Empty),
        n if n > max => Err(NameError::TooLong(max)),
        _ => Ok(()),
    }
}

fn word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

#[cfg(test)]
#[path = "name_tests.rs"]
mod tests;
