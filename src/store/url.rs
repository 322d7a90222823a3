//! `store:` as it is written: which database, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use super::postgres::{PostgresUrl, PostgresUrlError};

/// Which database to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DbUrl {
    /// `sqlite:PATH`: a file.
    SqliteFile(PathBuf),
    /// `sqlite::memory:`: gone with the process; for tests.
    SqliteMemory,
    /// `postgres://…`: a server.
    Postgres(PostgresUrl),
}

/// The text names no database that can be opened. Only the scheme is repeated: the rest may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DbUrlError {
    /// Neither of the databases there are.
    #[error("'{0}' is not a database; write 'sqlite:PATH' or 'postgres://…'")]
    Unknown(String),
    /// Nothing that begins as a URL does: it may be anything, a password as well, and is not repeated.
    #[error("not the URL of a database; write 'sqlite:PATH' or 'postgres://…'")]
    NoUrl,
    /// PostgreSQL, but not like this.
    #[error(transparent)]
    Postgres(#[from] PostgresUrlError),
    /// `sqlite:` and nothing behind it.
    #[error("'sqlite:' needs the path of a file")]
    NoPath,
}

impl DbUrl {
    /// Reads `sqlite:PATH`, `sqlite::memory:` or `postgres://…`.
    ///
    /// # Errors
    /// [`DbUrlError`] for everything else.
    pub fn parse(text: &str) -> Result<Self, DbUrlError> {
        let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
        match (scheme, rest) {
            ("sqlite", "") => Err(DbUrlError::NoPath),
            ("sqlite", ":memory:") => Ok(Self::SqliteMemory),
            ("sqlite", path) => Ok(Self::SqliteFile(path.into())),
            ("postgres" | "postgresql", _) => Ok(Self::Postgres(PostgresUrl::parse(text)?)),
            (_, rest) if is_scheme(scheme) && rest.starts_with("//") => {
                Err(DbUrlError::Unknown(scheme.to_owned()))
            }
            _ => Err(DbUrlError::NoUrl),
        }
    }

    /// The same database with a relative path taken from `folder`.
    #[must_use]
    pub fn relative_to(self, folder: &Path) -> Self {
        match self {
            Self::SqliteFile(path) => Self::SqliteFile(folder.join(path)),
            Self::SqliteMemory => Self::SqliteMemory,
            Self::Postgres(url) => Self::Postgres(url.relative_to(folder)),
        }
    }
}

/// RFC 3986 section 3.1, in lower case.
fn is_scheme(text: &str) -> bool {
    let other =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+.-".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(other)
        && text.len() <= 32
}

impl std::str::FromStr for DbUrl {
    type Err = DbUrlError;

    fn from_str(text: &str) -> Result<Self, DbUrlError> {
        Self::parse(text)
    }
}

impl fmt::Display for DbUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SqliteFile(path) => write!(f, "sqlite:{}", path.display()),
            Self::SqliteMemory => f.write_str("sqlite::memory:"),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints() {
        for text in [
            "sqlite:data/x.db",
            "sqlite:/var/lib/x.db",
            "sqlite::memory:",
        ] {
            assert_eq!(DbUrl::parse(text).unwrap().to_string(), text);
        }
        let url = DbUrl::parse("sqlite:data/x.db").unwrap();
        assert_eq!(
            url.relative_to(Path::new("/etc/gw")).to_string(),
            "sqlite:/etc/gw/data/x.db"
        );
    }

    #[test]
    fn refusals_do_not_repeat_a_password() {
        let cases = [
            (
                "postgres://u:secret@h",
                "names no database; write postgres://USER:PASSWORD@HOST:PORT/DATABASE",
            ),
            (
                "mysql://u:secret@h/db",
                "'mysql' is not a database; write 'sqlite:PATH' or 'postgres://…'",
            ),
            (
                "data/x.db",
                "not the URL of a database; write 'sqlite:PATH' or 'postgres://…'",
            ),
            (
                "host=db user=gw password=hunter2:x",
                "not the URL of a database; write 'sqlite:PATH' or 'postgres://…'",
            ),
            (
                "postgres//u:hunter2@h/db",
                "not the URL of a database; write 'sqlite:PATH' or 'postgres://…'",
            ),
            (
                "hunter2:secret@h",
                "not the URL of a database; write 'sqlite:PATH' or 'postgres://…'",
            ),
            ("sqlite:", "'sqlite:' needs the path of a file"),
        ];
        for (text, said) in cases {
            assert_eq!(DbUrl::parse(text).unwrap_err().to_string(), said);
        }
    }
}
