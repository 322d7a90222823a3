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

use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{
    ClientId, Extension, MailBodyParameter, MailParameter, ServerInfo,
};
use lettre::transport::smtp::response::{Category, Response, Severity};
use tokio::time::timeout;

use super::MailFault;
use super::message::Message;
use super::settings::{Security, Smtp, Transport};

/// The way out.
#[derive(Clone, Debug)]
pub enum Carrier {
    /// To a mail server, one connection for each message.
    Smtp(Box<Server>),
    /// Into a folder.
    Folder(PathBuf),
}

/// A mail server, and how to speak to it.
#[derive(Clone)]
pub struct Server {
    smtp: Smtp,
    hello: ClientId,
    tls: Option<TlsParameters>,
}

/// What the server said to the message.
type Said = Result<String, Refused>;

/// A message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no speaking to the server, whatever the message.
    #[error("the mail server: {}", Cause(.0))]
    Unready(lettre::transport::smtp::Error),
    /// The server said no, or nothing that can be understood.
    #[error("the mail server: {}", Cause(.0))]
    Smtp(lettre::transport::smtp::Error),
    /// The server said yes to what was not asked.
    #[error("the mail server is confused: {0}")]
    Confused(String),
    /// The server lacks what this message needs.
    #[error("the mail server does not offer {0}")]
    Incapable(&'static str),
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

/// Until there is a connection.
const CONNECT: Duration = Duration::from_secs(20);

/// The whole of it: less than a lease.
const CONVERSATION: Duration = Duration::from_mins(1);

/// The goodbye: whoever does not answer it holds nothing else up for long.
const GOODBYE: Duration = Duration::from_secs(2);

/// What a server says is shown up to here.
const SHOWN: usize = 300;

impl Carrier {
    /// Prepares the way out; `host` is what the gateway calls itself in the greeting.
    ///
    /// # Errors
    /// When TLS cannot be prepared.
    pub fn new(transport: &Transport, host: String) -> Result<Self, MailFault> {
        Ok(match transport {
            Transport::Smtp(smtp) => Self::Smtp(Box::new(Server::new(smtp, host)?)),
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
                let sent = timeout(CONVERSATION, server.send(message)).await;
                let (said, connection) = sent.unwrap_or(Err(Refused::TooSlow(CONVERSATION)))?;
                // RFC 5321 section 4.1.1.10 wants one. What became of the message is known, whatever is answered.
                drop(timeout(GOODBYE, quit(connection)).await);
                said
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
            Self::Unready(_)
            | Self::Confused(_)
            | Self::Incapable(_)
            | Self::TooSlow(_)
            | Self::File(..) => false,
        }
    }
}

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0.to_string()))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Server");
        text.field("smtp", &self.smtp).finish_non_exhaustive()
    }
}

impl Server {
    fn new(smtp: &Smtp, host: String) -> Result<Self, MailFault> {
        let tls = match smtp.security {
            Security::Plain => None,
            Security::Tls | Security::StartTls => {
                Some(TlsParameters::new(smtp.host.clone()).map_err(MailFault::Tls)?)
            }
        };
        Ok(Self {
            smtp: smtp.clone(),
            hello: ClientId::Domain(host),
            tls,
        })
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, lettre::transport::smtp::Error> {
        let Smtp { host, port, .. } = &self.smtp;
        let (at_once, after) = match self.smtp.security {
            Security::StartTls => (None, self.tls.clone()),
            Security::Tls | Security::Plain => (self.tls.clone(), None),
        };
        let address = (host.as_str(), *port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(address, Some(CONNECT), &self.hello, at_once, None)
                .await?;
        if let Some(tls) = after {
            connection.starttls(tls, &self.hello).await?;
        }
        if let Some(login) = &self.smtp.login {
            let password = login.password.expose().clone();
            let login = Credentials::new(login.username.clone(), password);
            connection.auth(DEFAULT_MECHANISMS, &login).await?;
        }
        Ok(connection)
    }

    /// Until the server has taken the message, or refused it. What comes after that is no part of it: who waits for a
    /// goodbye that is not said, and takes its absence for a failure, sends the same letter again and again. So lettre's own
    /// sending, which waits for it, is of no use here.
    async fn send(&self, message: &Message) -> Result<(Said, AsyncSmtpConnection), Refused> {
        let (from, to) = envelope(message).ok_or(Refused::Envelope)?;
        let mut connection = self.connect().await.map_err(Refused::Unready)?;
        let options = options(connection.server_info(), message)?;
        let said = async {
            agreed(connection.command(Mail::new(Some(from), options)).await)?;
            agreed(connection.command(Rcpt::new(to, vec![])).await)?;
            let ready = connection.command(Data).await.map_err(Refused::Smtp)?;
            if !ready.has_code(354) {
                // What came next would be taken for commands.
                return Err(Refused::Confused(text(&ready)));
            }
            agreed(connection.message(message.raw.as_bytes()).await)
        };
        let said = said.await;
        Ok((said, connection))
    }
}

/// What a server says that has done what it was told. lettre takes "go on" for a yes as well.
fn agreed(said: Result<Response, lettre::transport::smtp::Error>) -> Said {
    let said = said.map_err(Refused::Smtp)?;
    if said.code().severity == Severity::PositiveCompletion {
        Ok(text(&said))
    } else {
        Err(Refused::Confused(text(&said)))
    }
}

fn text(said: &Response) -> String {
    let lines: Vec<&str> = said.message().collect();
    shown(&format!("{} {}", said.code(), lines.join(" ")))
}

fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(SHOWN).map(plain).collect()
}

/// What a server must know before it is given what is not ASCII (RFC 6531, RFC 6152).
fn options(server: &ServerInfo, message: &Message) -> Result<Vec<MailParameter>, Refused> {
    let with = |extension, named| {
        let knows = server.supports_feature(extension);
        knows.then_some(()).ok_or(Refused::Incapable(named))
    };
    let mut options = Vec::new();
    if !(message.from.is_ascii() && message.to.is_ascii()) {
        with(Extension::SmtpUtfEight, "SMTPUTF8")?;
        options.push(MailParameter::SmtpUtfEight);
    }
    if !message.raw.is_ascii() {
        with(Extension::EightBitMime, "8BITMIME")?;
        options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(options)
}

async fn quit(mut connection: AsyncSmtpConnection) {
    // Nothing hangs on it.
    let _ = connection.quit().await;
}

fn envelope(message: &Message) -> Option<(Address, Address)> {
    Some((message.from.parse().ok()?, message.to.parse().ok()?))
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
