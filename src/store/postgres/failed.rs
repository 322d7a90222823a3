//! Why there is no connection, and what that says of the server: whether one is there and lets nobody in, or none may be there.

use std::fmt;
use std::io;

use tokio_postgres::Error;

use super::answer::text;
use super::hosts::Address;
use crate::store::error::DbError;

/// Why there is no connection: what became of every host and address.
#[derive(Debug)]
pub(super) struct Failed(pub(super) Vec<Try>);

/// One of them.
#[derive(Debug)]
pub(super) struct Try {
    pub(super) host: String,
    /// None where it is not known.
    pub(super) address: Option<Address>,
    pub(super) why: Why,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Why {
    /// Nobody takes a connection there, or nobody knows where that is.
    Unreached(io::Error),
    /// Somebody does, and says this, or what cannot be understood or believed.
    Said(Error),
    /// Somebody does, and says nothing in time.
    Silent,
    /// Somebody does, and then leaves.
    Closed,
}

impl Failed {
    /// The addresses at which somebody takes a connection and lets nobody in.
    pub(super) fn taken(&self) -> impl Iterator<Item = &Address> {
        let taken = self.0.iter().filter(|tried| tried.why.is_taken());
        taken.filter_map(|tried| tried.address.as_ref())
    }

    /// As what every caller of the database is told.
    pub(super) fn fault(&self) -> DbError {
        DbError::unavailable(self.to_string())
    }
}

impl Why {
    /// Whether a server, or a pooler before it, is there and lets nobody in just now. Silence is one without a place for another, or
    /// a server that is busy; whoever shows a certificate that is not trusted may be anybody, but so may be who says nothing.
    fn is_taken(&self) -> bool {
        match self {
            Self::Silent => true,
            Self::Said(error) => match error.code() {
                Some(code) => refuses(code.code()),
                None => is_distrusted(error),
            },
            Self::Unreached(_) | Self::Closed => false,
        }
    }
}

/// Whether this is said to whoever comes: the account, its password or its rights, no place, locked, on its way up or down. A pooler
/// says all of it as a violation of the protocol.
fn refuses(code: &str) -> bool {
    matches!(code.get(..2), Some("28" | "53" | "55")) || matches!(code, "42501" | "57P03" | "08P01")
}

fn is_distrusted(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    let cause = cause.and_then(io::Error::get_ref);
    let tls = cause.and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return only.why.fmt(f);
        }
        for (at, tried) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "; " })?;
            match &tried.address {
                Some(Address::Tcp(address)) if !tried.host.starts_with(&address.to_string()) => {
                    write!(f, "{} ({address}): ", tried.host)?;
                }
                _ => write!(f, "{}: ", tried.host)?,
            }
            tried.why.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreached(error) => write!(f, "error connecting to server: {error}"),
            Self::Said(error) => f.write_str(&text(error)),
            Self::Silent => f.write_str("no connection could be made in time"),
            Self::Closed => f.write_str("connection closed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_the_servers_own() {
        for code in [
            "28000", "28P01", "53300", "55000", "57P03", "42501", "08P01",
        ] {
            assert!(refuses(code), "{code}");
        }
        // It follows, is being ended, is another one, or is none.
        for code in ["25006", "57P01", "3D000", "08006", "42P01", ""] {
            assert!(!refuses(code), "{code}");
        }
    }
}
