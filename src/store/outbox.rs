//! Messages that wait to be sent: kept until somebody says that they were, or that they never will be.
//!
//! Several nodes may send at once. To take a message is to move the time it is due beyond the lease, in one
//! statement; whoever dies with it loses it to the next when the lease is over. So a message is sent at least
//! once. What is in it is sealed by whoever calls; nothing here can read it, or sends anything.

use std::time::Duration;

use crate::base::time::{SKEW, Timestamp};

use super::db::Db;
use super::error::DbError;
use super::statement::{Row, Statement, Value};

/// The stored messages.
#[derive(Clone)]
pub struct Outbox {
    db: Db,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A mail.
    Mail,
    /// A webhook.
    Hook,
}

/// A message to be kept.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// What it is.
    pub kind: Kind,
    /// Names the message: while one of this key waits, a second is not kept.
    pub key: String,
    /// The message, sealed.
    pub body: Vec<u8>,
}

/// A message that was taken to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Which message, and which taking of it.
    pub ticket: Ticket,
    /// The message, sealed.
    pub body: Vec<u8>,
    /// When it was put in.
    pub created_at: Timestamp,
}

/// Which taking of which message: of two takers, only the later one may say when it is due again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    /// The message's number; never reused.
    pub id: i64,
    /// How many times it was taken, this time included.
    pub attempt: u32,
}

/// How many messages wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Of which kind.
    pub kind: Kind,
    /// Whether they were taken before, and are waiting for another attempt or its end.
    pub tried: bool,
    /// How many.
    pub count: u64,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Self; 2] = [Self::Mail, Self::Hook];

    /// The word in the database, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Hook => "hook",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or(())
    }
}

impl From<Kind> for Value {
    fn from(kind: Kind) -> Self {
        kind.as_str().into()
    }
}

impl Outbox {
    /// The messages in this database.
    #[must_use]
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    /// Keeps messages, all of them or none; those whose key is waiting already are let go.
    ///
    /// # Errors
    /// What the database said; then none is kept.
    pub async fn put(&self, messages: Vec<NewMessage>, now: Timestamp) -> Result<(), DbError> {
        // Quiet, like everything here: no node keeps a copy of what waits, and each looks for itself.
        const PUT: Statement = Statement::quiet(
            "outbox.put",
            "INSERT INTO outbox (kind, key, body, attempts, created_at, due_at) VALUES ($1, $2, $3, 0, $4, $4)
             ON CONFLICT (key) DO NOTHING",
        );
        let put = |NewMessage { kind, key, body }| {
            PUT.with([kind.into(), key.into(), body.into(), now.into()])
        };
        let calls: Vec<_> = messages.into_iter().map(put).collect();
        if calls.is_empty() {
            return Ok(());
        }
        self.db.batch("outbox.put", calls).await.map(drop)
    }

    /// Takes up to `most` messages of a kind that are due, the longest due first, and keeps them from others
    /// until the `lease` is over. What is due later than after the `longest` pause there is was given that time by a clock
    /// that was ahead, and is due.
    ///
    /// # Errors
    /// What the database said.
    pub async fn take(
        &self,
        kind: Kind,
        most: u32,
        (lease, longest): (Duration, Duration),
        now: Timestamp,
    ) -> Result<Vec<Taken>, DbError> {
        // The condition is said twice: of two who chose the same row, PostgreSQL lets the second look again at
        // what the first has made of it, and only the outer condition is looked at again.
        const TAKE: Statement = Statement::quiet(
            "outbox.take",
            "UPDATE outbox SET due_at = $3, attempts = attempts + 1
             WHERE (due_at <= $2 OR due_at > $5) AND id IN (
                 SELECT id FROM outbox WHERE kind = $1 AND (due_at <= $2 OR due_at > $5)
                 ORDER BY due_at, id LIMIT $4)
             RETURNING id, attempts, body, created_at",
        );
        let latest = now.plus(lease.max(longest).saturating_add(SKEW));
        let values = [
            kind.into(),
            now.into(),
            now.plus(lease).into(),
            most.into(),
            latest.into(),
        ];
        let rows = self.db.all(TAKE.with(values)).await?;
        let mut taken = rows
            .iter()
            .map(Taken::read)
            .collect::<Result<Vec<_>, _>>()?;
        taken.sort_by_key(|one| one.ticket);
        Ok(taken)
    }

    /// Lets a message go that was sent, whoever sent it.
    ///
    /// # Errors
    /// What the database said.
    pub async fn done(&self, ticket: Ticket) -> Result<(), DbError> {
        const DONE: Statement = Statement::quiet("outbox.done", "DELETE FROM outbox WHERE id = $1");
        self.db
            .execute(DONE.with([ticket.id.into()]))
            .await
            .map(drop)
    }

    /// Lets a message go that will not be sent. Says whether it was still ours to give up.
    ///
    /// # Errors
    /// What the database said.
    pub async fn give_up(&self, ticket: Ticket) -> Result<bool, DbError> {
        const GIVE_UP: Statement = Statement::quiet(
            "outbox.give_up",
            "DELETE FROM outbox WHERE id = $1 AND attempts = $2",
        );
        let values = [ticket.id.into(), ticket.attempt.into()];
        Ok(self.db.execute(GIVE_UP.with(values)).await? == 1)
    }

    /// Gives a message back, to be taken again from `due_at`. Says whether it was still ours to give back.
    ///
    /// # Errors
    /// What the database said.
    pub async fn retry(&self, ticket: Ticket, due_at: Timestamp) -> Result<bool, DbError> {
        const RETRY: Statement = Statement::quiet(
            "outbox.retry",
            "UPDATE outbox SET due_at = $3 WHERE id = $1 AND attempts = $2",
        );
        let values = [ticket.id.into(), ticket.attempt.into(), due_at.into()];
        Ok(self.db.execute(RETRY.with(values)).await? == 1)
    }

    /// How many messages wait, of each kind; kinds of which none does are left out.
    ///
    /// # Errors
    /// What the database said.
    pub async fn waiting(&self) -> Result<Vec<Waiting>, DbError> {
        const WAITING: Statement = Statement::read(
            "outbox.waiting",
            "SELECT kind, attempts > 0 AS tried, CAST(COUNT(*) AS BIGINT) AS messages
             FROM outbox GROUP BY kind, attempts > 0 ORDER BY 1, 2",
        );
        let rows = self.db.all(WAITING.with([])).await?;
        rows.iter().map(Waiting::read).collect()
    }
}

impl Taken {
    fn read(row: &Row) -> Result<Self, DbError> {
        let attempt = u32::try_from(row.get::<u64>("attempts")?);
        Ok(Self {
            ticket: Ticket {
                id: row.get("id")?,
                attempt: attempt.map_err(|error| DbError::corrupt("attempts", error))?,
            },
            body: row.get("body")?,
            created_at: row.get("created_at")?,
        })
    }
}

impl Waiting {
    fn read(row: &Row) -> Result<Self, DbError> {
        let kind: String = row.get("kind")?;
        Ok(Self {
            kind: kind
                .parse()
                .map_err(|()| DbError::corrupt("kind", "unknown"))?,
            tried: row.get("tried")?,
            count: row.get("messages")?,
        })
    }
}
