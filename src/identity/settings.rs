//! What the identity floor needs to know of the file.

use std::time::Duration;

use crate::crypto::password;

/// How people log in and stay logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Sessions.
    pub session: SessionSettings,
    /// Passwords.
    pub password: password::Settings,
}

/// How long sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// Ends a session that was not used for this long.
    pub idle: Duration,
    /// Ends every session after this long.
    pub max: Duration,
    /// Most sessions of one user; the oldest gives way. None means any number.
    pub per_user: Option<u32>,
}

impl SessionSettings {
    /// The settings where the file says nothing.
    pub const DEFAULT: Self = Self {
        idle: Duration::from_hours(12),
        max: Duration::from_hours(14 * 24),
        per_user: None,
    };
}
