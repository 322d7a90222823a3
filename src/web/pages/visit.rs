//! Somebody who looks at a page: what their request brought, and the page they are answered with.
//!
//! Every form holds a token that is bound to a cookie of this very browser: that of the session, or where there is
//! none, that of the flow. A form is only opened with the token that was made for it.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode, Uri};
use serde_json::{Value, json};

use crate::base::id::UserId;
use crate::base::identity::Identity;
use crate::base::token::Token;
use crate::crypto::{cookie, csrf as form_token};
use crate::gate::visitor::Visitor;
use crate::identity::accounts::{Actor, Links, Right};
use crate::web::error::Problem;
use crate::web::extract::{self, Proved};
use crate::web::form::{Fields, Sent};
use crate::web::templates::merged;
use crate::web::{Web, csrf, layers};

use super::notice::Notice;
use super::slips::Slips;

/// A request for a page.
pub struct Visit {
    /// What handlers need.
    pub web: Web,
    /// What the proxy told us.
    pub visitor: Visitor,
    /// The request's headers.
    pub headers: HeaderMap,
    /// What forms of this page are bound to.
    bound: Token,
    /// Whether that has to be made known to the browser.
    is_new: bool,
    notice: Option<Notice>,
    shown: Value,
}

/// Somebody, whether or not they are signed in.
pub struct Guest(pub Visit);

/// Somebody who is signed in by a cookie. Who must choose another password is one on the page for that only.
pub struct Member {
    /// The request.
    pub visit: Visit,
    /// The session.
    pub proved: Proved,
}

/// The parts of the administration, and what each of them takes.
const SECTIONS: [(&str, &str, Right); 6] = [
    ("users", "Users", Right::ReadUsers),
    ("invitations", "Invitations", Right::ReadUsers),
    ("sessions", "Sessions", Right::ReadUsers),
    ("roles", "Roles", Right::ReadRoles),
    ("permissions", "Permissions", Right::ReadPermissions),
    ("policy", "Policy", Right::ReadRoles),
];

/// The pages of somebody who must choose another password.
const CONFINED: &str = "/account/password";

impl FromRequestParts<Web> for Guest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        let (visitor, headers) = (extract::visitor(parts)?, parts.headers.clone());
        Visit::of_guest(web, visitor, headers, &parts.uri, changes(parts)).map(Self)
    }
}

impl FromRequestParts<Web> for Member {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        // Checks where it comes from as well, if it changes something.
        let proved = Proved::from_request_parts(parts, web).await?;
        let bound = proved.cookie.clone().ok_or_else(Problem::unauthenticated)?;
        let confined = proved.live.must_change_password;
        if confined && parts.uri.path() != CONFINED {
            return Err(Problem::must_change_password());
        }
        let who = &proved.live.identity;
        let sections = if confined { Vec::new() } else { sections(who) };
        let shown =
            json!({ "name": who.name.as_str(), "confined": confined, "sections": sections });
        let visit = Visit {
            web: web.clone(),
            visitor: extract::visitor(parts)?,
            headers: parts.headers.clone(),
            bound,
            is_new: false,
            notice: Notice::of_query(parts.uri.query()),
            shown,
        };
        Ok(Self { visit, proved })
    }
}

fn changes(parts: &Parts) -> bool {
    !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn sections(who: &Identity) -> Vec<Value> {
    let open = SECTIONS.iter().filter(|(.., right)| right.is_held_by(who));
    open.map(|(page, title, _)| json!({ "page": page, "title": title }))
        .collect()
}

impl Visit {
    /// Of somebody, whether or not they are signed in.
    ///
    /// # Errors
    /// When the request `changes` something and another site made the browser send it.
    pub fn of_guest(
        web: &Web,
        visitor: Visitor,
        headers: HeaderMap,
        uri: &Uri,
        changes: bool,
    ) -> Result<Self, Problem> {
        if changes {
            csrf::check(&headers, &visitor.snapshot)?;
        }
        let cookies = extract::cookies(&headers);
        let known = cookie::token(cookies, visitor.cookies.flow);
        let is_new = known.is_none();
        let bound = match known {
            Some(flow) => flow,
            None => Token::generate(&web.random).map_err(|_| Problem::internal())?,
        };
        Ok(Self {
            web: web.clone(),
            visitor,
            headers,
            bound,
            is_new,
            notice: Notice::of_query(uri.query()),
            shown: Value::Null,
        })
    }

    /// Where our pages are.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.visitor.snapshot.prefix
    }

    /// Where links in letters lead.
    #[must_use]
    pub fn links(&self) -> Links {
        extract::links(&self.visitor)
    }

    /// The fields of a form that was made for this visitor.
    ///
    /// # Errors
    /// When it was not; the fields come along, to be shown again.
    pub fn open(&self, sent: Sent) -> Result<Fields, (Problem, Fields)> {
        sent.open(|token| self.is_genuine(token))
    }

    /// Whether a form's token was made for this visitor.
    #[must_use]
    pub fn is_genuine(&self, token: &str) -> bool {
        form_token::verify(&self.web.key, &self.bound, token)
    }

    /// A page.
    pub fn page(&self, status: StatusCode, name: &str, values: Value) -> Response {
        let common = json!({
            "csrf": form_token::form_token(&self.web.key, &self.bound),
            "member": self.shown,
            "notice": self.notice.map(Notice::text),
            "min_length": self.web.accounts.shortest_password(),
        });
        let brand = self.web.brand.load();
        let mut response = brand.page(status, name, self.prefix(), merged(common, values));
        // Browsers that know no Fetch Metadata say where a form comes from by `Origin` alone, and say nothing there when
        // its page may not refer to anything. No address of a page holds a secret: see `link`.
        let own = HeaderValue::from_static("same-origin");
        response.headers_mut().insert(header::REFERRER_POLICY, own);
        if self.is_new {
            let flow = self.visitor.cookies.flow;
            let cookie = self.visitor.cookies.set(flow, self.bound.expose(), None);
            append(&mut response, &cookie);
        }
        response
    }

    /// A page whose form was in order, or was not sent yet.
    pub fn show(&self, name: &str, values: Value) -> Response {
        self.page(StatusCode::OK, name, values)
    }

    /// The page of a form again, and what was wrong with it. What was typed comes back, but for passwords.
    pub fn again(&self, name: &str, slips: &Slips, values: Value) -> Response {
        let mut response = self.page(slips.status(), name, merged(values, slips.shown()));
        slips.decorate(&mut response);
        response
    }

    /// A page whose form leads on to where they wanted to go.
    pub fn leading_on(mut page: Response) -> Response {
        let name = header::CONTENT_SECURITY_POLICY;
        page.headers_mut().insert(name, layers::LEADING_ON);
        page
    }

    /// A page that only says something.
    pub fn message(&self, title: &str, text: &str) -> Response {
        let back = json!({ "href": format!("{}/login", self.prefix()), "text": "Sign in" });
        self.show(
            "message.html",
            json!({ "title": title, "text": text, "back": back }),
        )
    }

    /// Whether the browser that shows this is signed in as this user, and may do more than choose another password. What
    /// cannot be found out is not so.
    pub async fn shows(&self, user: UserId) -> bool {
        let Some(token) = extract::session_token(&self.visitor, &self.headers) else {
            return false;
        };
        let found = self.web.sessions.find(&token).await;
        let live = found.ok().flatten();
        live.is_some_and(|live| live.identity.id == user && !live.must_change_password)
    }

    /// A page that says why it does not go on here, and where it does.
    pub fn dead_end(&self, title: &str, text: &str, (page, word): (&str, &str)) -> Response {
        let back = json!({ "href": format!("{}/{page}", self.prefix()), "text": word });
        let values = json!({ "title": title, "text": text, "back": back });
        self.page(StatusCode::BAD_REQUEST, "message.html", values)
    }

    /// On to another page, which says what was done.
    pub fn go(&self, page: &str, notice: Notice) -> Response {
        let mark = if page.contains('?') { '&' } else { '?' };
        let place = format!("{}/{page}{mark}done={}", self.prefix(), notice.word());
        Redirect::to(&place).into_response()
    }
}

impl Member {
    /// Who it is.
    #[must_use]
    pub fn who(&self) -> &Identity {
        &self.proved.live.identity
    }

    /// Who does something.
    #[must_use]
    pub fn actor(&self) -> Actor<'_> {
        self.proved.actor(&self.visit.visitor)
    }

    /// The fields of a form of theirs.
    ///
    /// # Errors
    /// When it was not made for their session.
    pub fn open(&self, sent: Sent) -> Result<Fields, Problem> {
        self.visit.open(sent).map_err(|(problem, _)| problem)
    }

    /// The first part of the administration that is open to them.
    #[must_use]
    pub fn first_section(&self) -> Option<&'static str> {
        let mut open = SECTIONS.iter().filter(|(.., right)| self.may(*right));
        open.next().map(|(page, ..)| *page)
    }

    /// Whether they may: for what a page shows, and for what no account method asks by itself.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        right.is_held_by(self.who())
    }
}

/// Adds a cookie to an answer.
pub fn append(response: &mut Response, cookie: &str) {
    // Made of a constant name, words and tokens, and attributes: always a header value.
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}
