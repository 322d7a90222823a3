//! The API: one endpoint, one file; JSON out, JSON or forms in.
//!
//! [`routes()`] names every endpoint. What stands there stands in the `OpenAPI` document, and is tried by everybody
//! who may not do it.

pub mod grants;
pub mod invitations;
pub mod jwks;
pub mod logout;
pub mod me;
pub mod permissions;
pub mod recover;
pub mod register;
pub mod roles;
pub mod session;
pub mod sessions;
pub mod tokens;
pub mod user;
pub mod users;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Web, pages};

/// Every endpoint, and what the document says of it.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::default()
        .routes(routes!(pages::login::submit))
        .routes(routes!(tokens::login))
        .routes(routes!(tokens::refresh))
        .routes(routes!(session::login))
        .routes(routes!(logout::submit))
        .routes(routes!(jwks::show))
        .routes(routes!(register::submit))
        .routes(routes!(recover::forgot))
        .routes(routes!(recover::reset))
        .routes(routes!(recover::request_verify))
        .routes(routes!(recover::verify))
        .routes(routes!(me::show, me::put, me::patch, me::leave))
        .routes(routes!(me::confirm_email))
        .routes(routes!(invitations::list, invitations::create))
        .routes(routes!(invitations::accept))
        .routes(routes!(invitations::revoke))
        .routes(routes!(sessions::list, sessions::end_others))
        .routes(routes!(sessions::end))
        .routes(routes!(users::list, users::create))
        .routes(routes!(
            users::show,
            users::update,
            users::patch,
            users::delete
        ))
        .routes(routes!(grants::set))
        .routes(routes!(grants::grant, grants::revoke))
        .routes(routes!(sessions::list_of, sessions::end_all_of))
        .routes(routes!(sessions::end_of))
        .routes(routes!(roles::list, roles::create))
        .routes(routes!(roles::show, roles::update, roles::delete))
        .routes(routes!(permissions::list, permissions::create))
}
