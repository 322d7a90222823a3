//! What the identity floor needs to know of the file.

use std::time::Duration;

use crate::crypto::access::Algorithm;
use crate::crypto::password;

use super::account::Demands;
use super::tokens::TokenSettings;

/// How people log in and stay logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Sessions.
    pub session: SessionSettings,
    /// Passwords.
    pub password: password::Settings,
    /// Who may make an account.
    pub register: Register,
    /// Tokens for programs.
    pub tokens: TokenSettings,
    /// How access tokens are signed.
    pub algorithm: Algorithm,
}

/// Who may make an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Register {
    /// Everybody.
    Open,
    /// Whoever an administrator has invited.
    #[default]
    Invite,
    /// Nobody: administrators make accounts.
    Closed,
}

impl Register {
    /// Every kind and the word for it in the file.
    pub const ALL: [(&'static str, Self); 3] = [
        ("open", Self::Open),
        ("invite", Self::Invite),
        ("closed", Self::Closed),
    ];
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
    /// What an account must be for its sessions to open anything.
    pub demands: Demands,
}

impl SessionSettings {
    /// The settings where the file says nothing.
    pub const DEFAULT: Self = Self {
        idle: Duration::from_hours(12),
        max: Duration::from_hours(14 * 24),
        per_user: None,
        demands: Demands {
            verified_email: false,
        },
    };
}
