//! How a message leaves: to a mail server, or into a folder.
//!
//! A connection to a server is protected, or it is to this machine and the file says so. There is no way to
//! accept a certificate that does not fit.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Category;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tokio::time::timeout;

use super::MailFault;
use super::message::Message;
use super::settings::{Security, Smtp, Transport};

/// The way out.
#[derive(Clone, Debug)]
pub enum Carrier {
    /// To a mail server, one connection for each message.
    Smtp(Box<AsyncSmtpTransport<Tokio1Executor>>),
    /// Into a folder.
    Folder(PathBuf),
}

/// A message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The server said no, or nothing that can be understood.
    #[error("the mail server: {}", Cause(.0))]
    Smtp(lettre::transport::smtp::Error),
    /// The server took too long.
    #[error("the mail server took longer than {}", humantime::format_duration(*.0))]
    TooSlow(Duration),
    /// The file could not be written.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// The stored addresses are none.
    #[error("the stored message has no addresses to send by")]
    Envelope,
}

/// The texts of an error and of what caused it, in one line.
struct Cause<'a>(&'a lettre::transport::smtp::Error);

/// One command of the conversation.
const COMMAND: Duration = Duration::from_secs(20);

/// The whole of it: less than a lease.
const CONVERSATION: Duration = Duration::from_mins(1);

/// What a server says is shown up to here.
const SHOWN: usize = 300;

impl Carrier {
    /// Prepares the way out; `host` is what the gateway calls itself in the greeting.
    ///
    /// # Errors
    /// When TLS cannot be prepared.
    pub fn new(transport: &Transport, host: String) -> Result<Self, MailFault> {
        Ok(match transport {
            Transport::Smtp(smtp) => Self::Smtp(Box::new(server(smtp, host)?)),
            Transport::Folder(path) => Self::Folder(path.clone()),
        })
    }

    /// One attempt; gives what the other side said.
    ///
    /// # Errors
    /// Why it was not sent.
    pub async fn send(&self, message: &Message) -> Result<String, Refused> {
        match self {
            Self::Smtp(server) => {
                let sent = timeout(CONVERSATION, converse(server, message)).await;
                sent.unwrap_or(Err(Refused::TooSlow(CONVERSATION)))
            }
            Self::Folder(folder) => {
                let path = folder.join(format!("{:013}-{}.eml", message.at, message.id));
                let written = write_new(&path, message.raw.as_bytes());
                written.map_err(|error| Refused::File(path.clone(), error))?;
                Ok(format!("written to {}", path.display()))
            }
        }
    }
}

impl Refused {
    /// Whether trying again is of no use: the server wants no such mail (RFC 5321 section 4.2.1: 55x is about
    /// this message or its recipient). A refused login or command may be mended by then.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Smtp(error) => {
                error.is_permanent()
                    && error
                        .status()
                        .is_some_and(|code| code.category == Category::MailSystem)
            }
            Self::Envelope => true,
            Self::TooSlow(_) | Self::File(..) => false,
        }
    }
}

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = self.0.to_string().chars().take(SHOWN).map(plain).collect();
        f.write_str(&text)
    }
}

fn server(smtp: &Smtp, host: String) -> Result<AsyncSmtpTransport<Tokio1Executor>, MailFault> {
    let tls = || TlsParameters::new(smtp.host.clone()).map_err(MailFault::Tls);
    let tls = match smtp.security {
        Security::Tls => Tls::Wrapper(tls()?),
        Security::StartTls => Tls::Required(tls()?),
        Security::Plain => Tls::None,
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)
        .port(smtp.port)
        .tls(tls)
        .hello_name(ClientId::Domain(host))
        .timeout(Some(COMMAND));
    if let Some(login) = &smtp.login {
        let password = login.password.expose().clone();
        builder = builder.credentials(Credentials::new(login.username.clone(), password));
    }
    Ok(builder.build())
}

async fn converse(
    server: &AsyncSmtpTransport<Tokio1Executor>,
    message: &Message,
) -> Result<String, Refused> {
    let envelope = envelope(message).ok_or(Refused::Envelope)?;
    let said = server.send_raw(&envelope, message.raw.as_bytes()).await;
    let said = said.map_err(Refused::Smtp)?;
    let text: Vec<&str> = said.message().collect();
    Ok(format!("{} {}", said.code(), text.join(" ")))
}

fn envelope(message: &Message) -> Option<Envelope> {
    let (from, to) = (message.from.parse().ok()?, message.to.parse().ok()?);
    Envelope::new(Some(from), vec![to]).ok()
}

/// Whole or not at all, for the owner alone; a second attempt writes the same file again.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let draft = path.with_extension("part");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)
}
