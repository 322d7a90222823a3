//! Our own pages and API: an axum router that the proxy calls as a `tower` service.
//!
//! Everything lives below the prefix. A handler is told about its visitor by the
//! [`Visitor`](crate::gate::visitor::Visitor) extension, never by headers that a client could forge.

pub mod api;
pub mod assets;
pub mod body;
pub mod brand;
pub mod csrf;
pub mod document;
pub mod echo;
pub mod error;
pub mod extract;
pub mod form;
pub mod layers;
pub mod next;
pub mod pages;
pub mod params;
pub mod templates;

use std::future::ready;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use bytes::Bytes;

use crate::base::random::Random;
use crate::base::time::Clock;
use crate::crypto::key::GatewayKey;
use crate::identity::accounts::Accounts;
use crate::identity::login::Logins;
use crate::identity::session::Sessions;
use crate::identity::tokens::Tokens;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

use brand::Brand;
use pages::dispatch;

/// What handlers need. Clones share it.
#[derive(Clone)]
pub struct Web(Arc<Parts>);

/// The parts, handed over by `app`.
pub struct Parts {
    /// Logging in.
    pub logins: Logins,
    /// Staying logged in.
    pub sessions: Sessions,
    /// Tokens for programs.
    pub tokens: Tokens,
    /// Making, changing and looking after accounts.
    pub accounts: Accounts,
    /// Where accounts are.
    pub store: Store,
    /// Keys form tokens.
    pub key: GatewayKey,
    /// The dice.
    pub random: Random,
    /// The time.
    pub clock: Clock,
    /// Where logins are counted.
    pub metrics: Metrics,
    /// What pages look like; replaced by a reload.
    pub brand: Arc<ArcSwap<Brand>>,
}

impl Web {
    /// Handlers over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The router. `prefix` is where everything lives.
    pub fn router(self, prefix: &str) -> Router {
        let forms = pages::forms().with_state(self.clone());
        let (api, described) = api::routes().split_for_parts();
        let document = Bytes::from(document::of(&described, prefix).to_string());
        let routes = api
            .merge(pages::routes())
            .route(
                "/openapi.json",
                get(move || ready(document::show(document))),
            )
            .route("/docs", get(document::page))
            .route("/static/docs.js", get(document::script))
            .route("/static/docs.css", get(document::style))
            .route("/static/style.css", get(assets::style))
            .route("/static/brand.css", get(assets::brand))
            .route("/static/logo", get(assets::logo))
            .route("/static/icon.svg", get(assets::icon))
            .fallback(error::not_found)
            .method_not_allowed_fallback(error::method_not_allowed)
            .layer(axum::middleware::from_fn(csrf::guard))
            .with_state(self.clone())
            .layer(from_fn_with_state(forms, dispatch::forms));
        let rooted = Router::new()
            .route(&format!("{prefix}/"), get(pages::account::home))
            .with_state(self.clone())
            .nest(prefix, routes)
            .fallback(error::not_found)
            .layer(from_fn_with_state(self, dispatch::told));
        layers::protect(rooted)
    }
}

impl std::ops::Deref for Web {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
