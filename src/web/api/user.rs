//! A user as the API shows it: the wire format of the `FastAPI` plugins, never with a hash.

use serde::Serialize;

use crate::base::time::Timestamp;
use crate::store::Account;

/// A user.
#[derive(Debug, Serialize)]
pub struct UserOut {
    id: i64,
    email: Option<String>,
    username: String,
    is_active: bool,
    is_superuser: bool,
    is_verified: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
    roles: Vec<String>,
}

impl From<Account> for UserOut {
    fn from(account: Account) -> Self {
        let user = account.user;
        Self {
            id: user.id.0,
            email: user.email.map(|email| email.to_string()),
            username: user.username.to_string(),
            is_active: user.is_active,
            is_superuser: user.is_superuser,
            is_verified: user.is_verified,
            created_at: user.created_at,
            updated_at: user.updated_at,
            roles: account.roles.iter().map(ToString::to_string).collect(),
        }
    }
}
