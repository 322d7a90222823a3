//! Opening a connection: the file and its mode, and what every connection is told first.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::time::Instant;

use super::run::fault;
use crate::store::error::DbError;

/// How long a statement waits for another process to let go of the database.
pub(super) const BUSY: Duration = Duration::from_secs(5);
/// More than there are statements, so that each is prepared once per connection.
const PREPARED: usize = 256;

/// `synchronous=FULL`: a revoked session or a disabled account must not come back with the power. (`NORMAL`
/// would survive the death of the process, but not of the machine.) The writer commits waiting jobs together,
/// so a busy gateway does not pay one disk flush per statement.
const SETTINGS: &str = "
    PRAGMA foreign_keys = ON;
    PRAGMA synchronous = FULL;
    PRAGMA trusted_schema = OFF;
    PRAGMA journal_size_limit = 67108864;
";

/// The connection that writes, to a file that is made if it is not there.
pub(super) fn writer(path: &Path) -> Result<Connection, DbError> {
    make(path).map_err(|e| DbError::unavailable(format!("{}: {e}", path.display())))?;
    let connection = open(path)?;
    write_ahead(&connection)?;
    Ok(connection)
}

/// A connection that only reads, to a file that the writer has already opened.
pub(super) fn reader(path: &Path) -> Result<Connection, DbError> {
    let connection = open(path)?;
    connection
        .execute_batch("PRAGMA query_only = ON")
        .map_err(|e| fault("open", &e))?;
    Ok(connection)
}

/// A database that is gone with its connection.
pub(super) fn memory() -> Result<Connection, DbError> {
    let connection = Connection::open_in_memory().map_err(|e| fault("open", &e))?;
    settle(connection)
}

fn open(path: &Path) -> Result<Connection, DbError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(plain(path), flags).map_err(|e| fault("open", &e))?;
    settle(connection)
}

/// A path that is nothing but a path: SQLite would read a name that begins with `file:` as a URI.
fn plain(path: &Path) -> PathBuf {
    Path::new(".").join(path)
}

fn settle(connection: Connection) -> Result<Connection, DbError> {
    connection
        .busy_timeout(BUSY)
        .map_err(|e| fault("open", &e))?;
    connection
        .execute_batch(SETTINGS)
        .map_err(|e| fault("open", &e))?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    Ok(connection)
}

/// Turns write-ahead logging on. SQLite does not call its busy handler here when another process is doing the
/// same, so the waiting is ours.
fn write_ahead(connection: &Connection) -> Result<(), DbError> {
    let deadline = Instant::now() + BUSY;
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| {
            row.get::<_, String>(0)
        });
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                return Err(DbError::unavailable(format!(
                    "no write-ahead log here, but '{mode}'"
                )));
            }
            Err(e)
                if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(e) => return Err(fault("open", &e)),
        }
    }
}

/// Makes the file and its folder for us alone. SQLite gives its side files the mode of the main one. What is
/// already there keeps the mode its owner gave it.
fn make(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_a_uri_is_a_path() {
        assert_eq!(
            plain(Path::new("file:x?mode=memory")),
            Path::new("./file:x?mode=memory")
        );
        assert_eq!(plain(Path::new("/data/x.db")), Path::new("/data/x.db"));
    }
}
