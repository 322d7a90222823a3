//! Finding users. Names are compared in the canonical form they are stored in, with `=`.

use crate::base::id::UserId;
use crate::base::name::{Email, Username};

use super::{LIST_MAX, User, UserQuery, Users, columns};
use crate::store::error::DbError;
use crate::store::statement::{Call, Statement, Value};

impl Users {
    /// The user with that number.
    ///
    /// # Errors
    /// What the database said.
    pub async fn by_id(&self, id: UserId) -> Result<Option<User>, DbError> {
        const BY_ID: Statement = Statement::read(
            "user.by_id",
            concat!("SELECT ", columns!(), " FROM users WHERE id = $1"),
        );
        self.find(BY_ID.with([id.into()])).await
    }

    /// The user with that name.
    ///
    /// # Errors
    /// What the database said.
    pub async fn by_username(&self, name: &Username) -> Result<Option<User>, DbError> {
        const BY_USERNAME: Statement = Statement::read(
            "user.by_username",
            concat!("SELECT ", columns!(), " FROM users WHERE username = $1"),
        );
        self.find(BY_USERNAME.with([name.as_str().into()])).await
    }

    /// The user with that address.
    ///
    /// # Errors
    /// What the database said.
    pub async fn by_email(&self, email: &Email) -> Result<Option<User>, DbError> {
        const BY_EMAIL: Statement = Statement::read(
            "user.by_email",
            concat!("SELECT ", columns!(), " FROM users WHERE email_folded = $1"),
        );
        self.find(BY_EMAIL.with([email.folded().into()])).await
    }

    /// The user whom somebody means who types `login`: an e-mail address if it holds an `@`, else a username.
    /// What is neither is nobody, unless it is in the store all the same: a name that could not be chosen today.
    ///
    /// # Errors
    /// What the database said.
    pub async fn by_login(&self, login: &str) -> Result<Option<User>, DbError> {
        match (login.parse::<Username>(), login.parse::<Email>()) {
            (Ok(name), _) => self.by_username(&name).await,
            (_, Ok(email)) => self.by_email(&email).await,
            _ => match Username::stored(login.to_owned()) {
                Ok(name) => self.by_username(&name).await,
                Err(_) => Ok(None),
            },
        }
    }

    /// Users in the order in which they were made.
    ///
    /// # Errors
    /// What the database said.
    pub async fn list(&self, query: &UserQuery) -> Result<Vec<User>, DbError> {
        // `replace` is the one function that finds a text inside another in every database, byte for byte.
        const LIST: Statement = Statement::read(
            "user.list",
            concat!(
                "SELECT ",
                columns!(),
                " FROM users
                 WHERE CAST($1 AS TEXT) IS NULL
                    OR replace(username, $1, '') <> username
                    OR replace(email_folded, $1, '') <> email_folded
                    OR replace(email_folded, $4, '') <> email_folded
                 ORDER BY id LIMIT $2 OFFSET $3"
            ),
        );
        let limit = query.limit.min(LIST_MAX);
        let [name, address] = folded(query.search.as_deref());
        let call = LIST.with([name, limit.into(), query.skip.into(), address]);
        self.db.all(call).await?.iter().map(User::read).collect()
    }

    /// How many users a search finds, or how many there are.
    ///
    /// # Errors
    /// What the database said.
    pub async fn count(&self, search: Option<&str>) -> Result<u64, DbError> {
        const COUNT: Statement = Statement::read(
            "user.count",
            "SELECT COUNT(*) AS users FROM users
             WHERE CAST($1 AS TEXT) IS NULL
                OR replace(username, $1, '') <> username
                OR replace(email_folded, $1, '') <> email_folded
                OR replace(email_folded, $2, '') <> email_folded",
        );
        let row = self.db.one(COUNT.with(folded(search))).await?;
        row.map_or(Ok(0), |row| row.get("users"))
    }

    async fn find(&self, call: Call) -> Result<Option<User>, DbError> {
        self.db
            .one(call)
            .await?
            .as_ref()
            .map(User::read)
            .transpose()
    }
}

/// A search in the form that names are stored in, and in that of addresses, whose domains are in ASCII; nothing, when there
/// is nothing to look for.
pub(super) fn folded(search: Option<&str>) -> [Value; 2] {
    let search = search.map(str::trim).filter(|text| !text.is_empty());
    let name = |text: &str| {
        text.parse::<Username>()
            .map(|name| name.as_str().to_owned())
    };
    // PostgreSQL refuses NUL in a text; what stands for it here is in no name either.
    let other = |text: &str| text.to_lowercase().replace('\0', "\u{fffd}");
    let name = search.map(|text| name(text).unwrap_or_else(|_| other(text)));
    let address = name.as_deref().map(address);
    [name.into(), address.into()]
}

/// A part of an address as it is stored, where it has the whole of a label of its domain.
fn address(text: &str) -> String {
    let (local, domain) = match text.rsplit_once('@') {
        Some((local, domain)) => (format!("{local}@"), domain),
        None => (String::new(), text),
    };
    match url::Host::parse(domain) {
        Ok(url::Host::Domain(domain)) => local + &domain,
        _ => text.to_owned(),
    }
}
