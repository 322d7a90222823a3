//! How letters leave: `mail:`.

use crate::base::name::Email;
use crate::base::net::Host;
use crate::identity::mail::Settings;
use crate::identity::mail::settings::{Login, Security, Smtp, Transport};

use super::raw::{At, Object};
use super::secrets;

const NOTATION: &str =
    "write it like smtps://mail.example.com, smtp://mail.example.com or file:data/outbox";

/// Where submissions go over TLS, and over STARTTLS (RFC 8314 section 7.3, RFC 6409 section 3.1).
const PORTS: (u16, u16) = (465, 587);

/// What the URL says.
enum Written<'a> {
    Folder(&'a str),
    Server {
        host: String,
        port: Option<u16>,
        security: Security,
    },
}

/// The way out, if the file names one.
pub fn mail(file: &Object<'_>) -> Option<Settings> {
    let object = file.section("mail", "mail")?;
    let from = object.require("from").and_then(|at| sender(&at));
    let login = login(&object);
    let url = object.require("url")?;
    let transport = match written(&url)? {
        Written::Folder(_) if login.is_some() => {
            return url.refuse("a folder asks for no username and password");
        }
        Written::Folder(path) => Transport::Folder(url.reading().resolve(path)),
        Written::Server {
            host,
            port,
            security,
        } => {
            let usual = if security == Security::Tls {
                PORTS.0
            } else {
                PORTS.1
            };
            Transport::Smtp(Smtp {
                host,
                port: port.unwrap_or(usual),
                security,
                login,
            })
        }
    };
    Some(Settings {
        transport,
        from: from?,
    })
}

/// The address alone: what letters say of whom they are from is `brand.name`.
fn sender(at: &At<'_>) -> Option<Email> {
    let text = at.text()?;
    let framed = text.split_once('<').and_then(|(_, rest)| {
        let (address, _) = rest.split_once('>')?;
        address.trim().parse::<Email>().ok()
    });
    match framed {
        Some(address) => at.refuse_with(
            "has more than an e-mail address",
            format!("write the address alone: {}", address.as_str()),
        ),
        None => at.parse("an e-mail address"),
    }
}

fn login(object: &Object<'_>) -> Option<Login> {
    let username = object.get("username");
    let password = object.get("password");
    match (&username, &password) {
        (Some(at), None) => at.refuse("a username needs a password"),
        (None, Some(at)) => at.refuse("a password needs a username"),
        _ => {
            let username = username.and_then(|at| at.text());
            let password = password.and_then(|at| secrets::text(&at));
            Some(Login {
                username: username?.to_owned(),
                password: password?,
            })
        }
    }
}

fn written<'a>(at: &At<'a>) -> Option<Written<'a>> {
    let text = at.text()?;
    if let Some(path) = text.strip_prefix("file:") {
        return match path {
            "" => at.refuse_with("names no folder", NOTATION),
            path => Some(Written::Folder(path)),
        };
    }
    let (security, rest) = match text.split_once("://") {
        Some(("smtps", rest)) => (Security::Tls, rest),
        Some(("smtp", rest)) => (Security::StartTls, rest),
        _ => return at.refuse_with("not a way to send mail", NOTATION),
    };
    let (authority, option) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    if authority.contains('@') {
        return at.refuse_with(
            "has a username or password",
            "write username: and password: beside it",
        );
    }
    let Ok((host, port)) = Host::parse_authority(authority) else {
        return at.refuse_with("not a mail server", NOTATION);
    };
    let security = protection(at, security, option, &host)?;
    let name = port
        .and_then(|_| authority.rsplit_once(':'))
        .map_or(authority, |(name, _)| name);
    Some(Written::Server {
        host: name.trim_matches(['[', ']']).to_owned(),
        port,
        security,
    })
}

fn protection(at: &At<'_>, security: Security, option: &str, host: &Host) -> Option<Security> {
    match option {
        "" => Some(security),
        "tls=none" if security == Security::StartTls && host.is_loopback() => {
            at.warn(
                "mail goes to the server in the clear",
                "leave out ?tls=none where the server offers STARTTLS",
            );
            Some(Security::Plain)
        }
        "tls=none" => at.refuse_with(
            "would send passwords and links that open accounts in the clear",
            "tls=none is for smtp:// to this machine only",
        ),
        _ => at.refuse_with(
            "has an unknown option",
            "the only one is ?tls=none, for a server on this machine",
        ),
    }
}
