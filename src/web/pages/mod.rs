//! Pages for people: they work without JavaScript, with a keyboard, in light and dark.
//!
//! A page reads its request through [`visit`], does what the form says through the account floor, and answers by
//! another page or by 303 to one, with a notice from a list that is closed. Who may do what is decided below; a
//! page only leaves out what would be refused. At an address that a call of the API has as well, what is sent says
//! which of both is meant: see [`dispatch`].

pub mod account;
pub mod admin;
pub mod device;
pub mod dispatch;
pub mod forgot;
pub mod link;
pub mod login;
pub mod moment;
pub mod notice;
pub mod register;
pub mod reset;
pub mod rows;
pub mod seen;
mod slips;
pub mod verify;
pub mod visit;

use axum::Router;
use axum::routing::{get, post};

use super::Web;

/// Everything that is asked for.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/", get(account::home))
        .route("/login", get(login::show))
        .route("/register", get(register::show))
        .route("/forgot-password", get(forgot::show))
        .route("/reset-password", get(reset::show))
        .route("/verify", get(verify::show))
        .route("/confirm-email", get(verify::show_move))
        .merge(account::routes())
        .merge(admin::routes())
}

/// Forms that are sent to where the API has a call.
pub fn forms() -> Router<Web> {
    Router::new()
        .route("/register", post(register::submit))
        .route("/forgot-password", post(forgot::submit))
        .route("/reset-password", post(reset::submit))
        .route("/verify", post(verify::submit))
        .route("/confirm-email", post(verify::submit_move))
}
