//! What the mailer needs to know of the file.

use std::path::PathBuf;

use crate::base::name::Email;
use crate::base::secret::Secret;

/// How mail is sent: `mail:` of the file.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How it leaves.
    pub transport: Transport,
    /// Who it is from.
    pub from: Email,
}

/// How mail leaves.
#[derive(Clone, Debug)]
pub enum Transport {
    /// To a mail server.
    Smtp(Smtp),
    /// Into a folder, one file a message.
    Folder(PathBuf),
}

/// A mail server.
#[derive(Clone, Debug)]
pub struct Smtp {
    /// Its name, which its certificate must carry, or its address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// How to log in there.
    pub login: Option<Login>,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte (RFC 8314 section 3.3).
    Tls,
    /// `STARTTLS`, or nothing is sent (RFC 3207).
    StartTls,
    /// Not at all: loopback only, and only when the file spells it out.
    Plain,
}

/// A name and password at a mail server.
#[derive(Clone, Debug)]
pub struct Login {
    /// The name.
    pub username: String,
    /// The password.
    pub password: Secret<String>,
}
