//! Certificates that an authority issues, and what it is to find here while it checks whether a name is ours.
//!
//! Several nodes share both. To take a certificate is to move the time it is due beyond the lease, in one
//! statement: one node orders, and every node reads what came of it. Nothing here can open what is sealed, or asks
//! an authority for anything.

use std::time::Duration;

use crate::base::time::Timestamp;

use super::db::Db;
use super::error::DbError;
use super::statement::{Row, Statement, Value};

/// The stored certificates and answers.
#[derive(Clone)]
pub struct Acme {
    db: Db,
}

/// A certificate that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The name it is for.
    pub name: String,
    /// Chain and key, sealed, once it was issued.
    pub sealed: Option<Vec<u8>>,
    /// When it may be ordered next.
    pub due_at: Timestamp,
    /// How many orders in a row have failed.
    pub failures: u32,
}

/// A certificate that another authority has issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// Who.
    pub directory: String,
    /// The name it is for.
    pub name: String,
    /// Chain and key, sealed.
    pub sealed: Vec<u8>,
}

/// A certificate that was taken to be ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Who issues it.
    pub directory: String,
    /// The name it is for.
    pub name: String,
    /// Which taking of it this is: of two takers, only the later one may say what came of it.
    pub taken: i64,
    /// How many orders in a row have failed before.
    pub failures: u32,
}

impl Ticket {
    /// What it is found again by, as the first values of a statement.
    fn values(&self) -> [Value; 3] {
        [
            self.directory.as_str().into(),
            self.name.as_str().into(),
            self.taken.into(),
        ]
    }
}

/// How an authority looks for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// By a request in the clear (RFC 8555 section 8.3); the key is the token.
    Http,
    /// By a TLS handshake (RFC 8737); the key is the name.
    Tls,
}

/// What an authority is to find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How it looks.
    pub kind: Kind,
    /// Where.
    pub key: String,
    /// What it finds.
    pub answer: String,
}

impl Kind {
    /// The word in the database, in the file and in RFC 8555.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http-01",
            Self::Tls => "tls-alpn-01",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let found = [Self::Http, Self::Tls]
            .into_iter()
            .find(|kind| kind.as_str() == text);
        found.ok_or(())
    }
}

impl From<Kind> for Value {
    fn from(kind: Kind) -> Self {
        kind.as_str().into()
    }
}

impl Acme {
    /// What is in this database.
    #[must_use]
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    /// Notes that certificates for these names are wanted, due at once; what is known stays as it is.
    ///
    /// # Errors
    /// What the database said.
    pub async fn want(
        &self,
        directory: &str,
        names: &[String],
        now: Timestamp,
    ) -> Result<(), DbError> {
        const WANT: Statement = Statement::quiet(
            "acme.want",
            "INSERT INTO acme_certificates (directory, name, taken, failures, due_at)
             VALUES ($1, $2, 0, 0, $3) ON CONFLICT (directory, name) DO NOTHING",
        );
        let want = |name: &String| WANT.with([directory.into(), name.as_str().into(), now.into()]);
        let calls: Vec<_> = names.iter().map(want).collect();
        if calls.is_empty() {
            return Ok(());
        }
        self.db.batch("acme.want", calls).await.map(drop)
    }

    /// Every certificate of a directory that was ever wanted.
    ///
    /// # Errors
    /// What the database said.
    pub async fn all(&self, directory: &str) -> Result<Vec<Wanted>, DbError> {
        const ALL: Statement = Statement::read(
            "acme.all",
            "SELECT name, sealed, due_at, failures FROM acme_certificates WHERE directory = $1 ORDER BY name",
        );
        let rows = self.db.all(ALL.with([directory.into()])).await?;
        rows.iter().map(Wanted::read).collect()
    }

    /// Every certificate that another directory than this one has issued.
    ///
    /// # Errors
    /// What the database said.
    pub async fn former(&self, directory: &str) -> Result<Vec<Former>, DbError> {
        const FORMER: Statement = Statement::read(
            "acme.former",
            "SELECT directory, name, sealed FROM acme_certificates
             WHERE directory <> $1 AND sealed IS NOT NULL ORDER BY directory, name",
        );
        let rows = self.db.all(FORMER.with([directory.into()])).await?;
        let read = |row: &Row| {
            Ok(Former {
                directory: row.get("directory")?,
                name: row.get("name")?,
                sealed: row.get("sealed")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Takes a certificate that is due, and keeps it from others until the `lease` is over. None when it is not
    /// due, or another was first.
    ///
    /// # Errors
    /// What the database said.
    pub async fn take(
        &self,
        directory: &str,
        name: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<Ticket>, DbError> {
        const TAKE: Statement = Statement::quiet(
            "acme.take",
            "UPDATE acme_certificates SET due_at = $4, taken = taken + 1
             WHERE directory = $1 AND name = $2 AND due_at <= $3 RETURNING taken, failures",
        );
        let values = [
            directory.into(),
            name.into(),
            now.into(),
            now.plus(lease).into(),
        ];
        let Some(row) = self.db.one(TAKE.with(values)).await? else {
            return Ok(None);
        };
        Ok(Some(Ticket {
            directory: directory.to_owned(),
            name: name.to_owned(),
            taken: row.get("taken")?,
            failures: failures(&row)?,
        }))
    }

    /// Keeps what was issued. Says whether it was still ours to say.
    ///
    /// # Errors
    /// What the database said.
    pub async fn issued(
        &self,
        ticket: &Ticket,
        sealed: Vec<u8>,
        due_at: Timestamp,
    ) -> Result<bool, DbError> {
        // Not quiet: the other nodes are to serve it, too.
        const ISSUED: Statement = Statement::write(
            "acme.issued",
            "UPDATE acme_certificates SET sealed = $4, due_at = $5, failures = 0
             WHERE directory = $1 AND name = $2 AND taken = $3",
        );
        let [directory, name, taken] = ticket.values();
        let values = [directory, name, taken, sealed.into(), due_at.into()];
        Ok(self.db.execute(ISSUED.with(values)).await? == 1)
    }

    /// Notes that an order failed, to be tried again from `due_at`. Says whether it was still ours to say.
    ///
    /// # Errors
    /// What the database said.
    pub async fn failed(&self, ticket: &Ticket, due_at: Timestamp) -> Result<bool, DbError> {
        // Not quiet: another node may have more luck, and is to know when.
        const FAILED: Statement = Statement::write(
            "acme.failed",
            "UPDATE acme_certificates SET due_at = $4, failures = failures + 1
             WHERE directory = $1 AND name = $2 AND taken = $3",
        );
        let [directory, name, taken] = ticket.values();
        let values = [directory, name, taken, due_at.into()];
        Ok(self.db.execute(FAILED.with(values)).await? == 1)
    }

    /// Makes a certificate due sooner than `wanted` says. Says whether it was: what another node has noted meanwhile stays.
    ///
    /// # Errors
    /// What the database said.
    pub async fn bring_forward(
        &self,
        directory: &str,
        wanted: &Wanted,
        due_at: Timestamp,
    ) -> Result<bool, DbError> {
        // Not quiet: another node may be the one that takes it.
        const BRING_FORWARD: Statement = Statement::write(
            "acme.bring_forward",
            "UPDATE acme_certificates SET due_at = $4
             WHERE directory = $1 AND name = $2 AND due_at = $3",
        );
        let values = [
            directory.into(),
            wanted.name.as_str().into(),
            wanted.due_at.into(),
            due_at.into(),
        ];
        Ok(self.db.execute(BRING_FORWARD.with(values)).await? == 1)
    }

    /// Gives an order back that was begun and is not brought to its end: it is due again, and nothing has failed.
    ///
    /// # Errors
    /// What the database said.
    pub async fn give_back(&self, ticket: &Ticket, now: Timestamp) -> Result<(), DbError> {
        // Not quiet: another node may take it at once.
        const GIVE_BACK: Statement = Statement::write(
            "acme.give_back",
            "UPDATE acme_certificates SET due_at = $4
             WHERE directory = $1 AND name = $2 AND taken = $3",
        );
        let [directory, name, taken] = ticket.values();
        let values = [directory, name, taken, now.into()];
        self.db.execute(GIVE_BACK.with(values)).await.map(drop)
    }

    /// Has every node answer this until it expires, and lets go of what has expired.
    ///
    /// # Errors
    /// What the database said.
    pub async fn answer(
        &self,
        answer: &Answer,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), DbError> {
        const SWEEP: Statement = Statement::write(
            "acme.sweep",
            "DELETE FROM acme_answers WHERE expires_at <= $1",
        );
        const ANSWER: Statement = Statement::write(
            "acme.answer",
            "INSERT INTO acme_answers (kind, key, answer, expires_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (kind, key) DO UPDATE SET answer = excluded.answer, expires_at = excluded.expires_at",
        );
        let values = [
            answer.kind.into(),
            answer.key.as_str().into(),
            answer.answer.as_str().into(),
            expires_at.into(),
        ];
        let calls = vec![SWEEP.with([now.into()]), ANSWER.with(values)];
        self.db.batch("acme.answer", calls).await.map(drop)
    }

    /// Lets an answer go.
    ///
    /// # Errors
    /// What the database said.
    pub async fn silence(&self, answer: &Answer) -> Result<(), DbError> {
        const SILENCE: Statement = Statement::write(
            "acme.silence",
            "DELETE FROM acme_answers WHERE kind = $1 AND key = $2 AND answer = $3",
        );
        let values = [
            answer.kind.into(),
            answer.key.as_str().into(),
            answer.answer.as_str().into(),
        ];
        self.db.execute(SILENCE.with(values)).await.map(drop)
    }

    /// Every answer that has not expired.
    ///
    /// # Errors
    /// What the database said.
    pub async fn answers(&self, now: Timestamp) -> Result<Vec<Answer>, DbError> {
        const ANSWERS: Statement = Statement::read(
            "acme.answers",
            "SELECT kind, key, answer FROM acme_answers WHERE expires_at > $1 ORDER BY kind, key",
        );
        let rows = self.db.all(ANSWERS.with([now.into()])).await?;
        rows.iter().map(Answer::read).collect()
    }
}

impl Wanted {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            name: row.get("name")?,
            sealed: row.get("sealed")?,
            due_at: row.get("due_at")?,
            failures: failures(row)?,
        })
    }
}

fn failures(row: &Row) -> Result<u32, DbError> {
    let count = u32::try_from(row.get::<u64>("failures")?);
    count.map_err(|error| DbError::corrupt("failures", error))
}

impl Answer {
    fn read(row: &Row) -> Result<Self, DbError> {
        let kind: String = row.get("kind")?;
        Ok(Self {
            kind: kind
                .parse()
                .map_err(|()| DbError::corrupt("kind", "unknown"))?,
            key: row.get("key")?,
            answer: row.get("answer")?,
        })
    }
}
