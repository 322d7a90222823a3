//! What is known of one request, from its first byte until it is logged.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderValue, Method, Version};
use pingora::{Error, ErrorType};
use tokio::time::Instant;

use crate::base::id::PublicId;
use crate::base::name::Username;
use crate::base::net::Host;
use crate::gate::inject::Injected;
use crate::identity::session::Live;
use crate::policy::cors::{self, Cors};
use crate::policy::decide::Permit;
use crate::policy::header::Said;
use crate::policy::target::Target;
use crate::telemetry::access::Access;
use crate::telemetry::metrics::Metrics;

use super::client::Client;
use super::coding::Coder;
use super::drain::Busy;
use super::headers::Asks;
use super::origins::Guest;
use super::pace::Pace;
use super::places::Place;
use super::request::is_late;
use super::tunnel::{End, Tunnel};
use super::upstream::member::Member;
use super::upstream::{Ask, Pool, Serving};

/// The state of one request. A request that is cut short is logged when this is dropped.
pub struct Context {
    metrics: Metrics,
    /// None before the request was read: an idle connection reads no clock.
    started: Option<Instant>,
    logged: bool,
    /// The method as it came, known or not; none where the head had none.
    method: Option<Method>,
    /// The status of the service's answer, once its head is there.
    pub status: u16,
    /// Bytes of its body that were passed on to the client.
    pub passed_on: usize,
    /// Holds the gateway up while it drains.
    pub busy: Option<Busy>,
    /// Its place among the requests of its origin.
    pub place: Option<Guest>,
    /// Its place among the conversations that have more room.
    pub talk: Option<Place>,
    /// Names the request.
    pub id: Option<PublicId>,
    /// `X-Request-Id`, towards both sides.
    pub id_header: Option<HeaderValue>,
    /// `X-Portcullis-Snapshot`, towards the client, if it is to be told.
    pub snapshot_name: Option<HeaderValue>,
    /// Which pages of other origins may see the answer, and the origin that asked.
    pub cors: Option<(Arc<Cors>, Option<HeaderValue>)>,
    /// What the rule has the service's answer say.
    pub dress: Option<Arc<[Said]>>,
    /// `Strict-Transport-Security` of the answer, whoever gives it.
    pub hsts: Option<HeaderValue>,
    /// Who sent it.
    pub client: Option<Client>,
    /// What it asks for.
    pub target: Option<Target>,
    /// The host that it asked, where it was turned away for what else it said.
    pub asked: Option<Host>,
    /// Its host, as services are told.
    pub host: Option<HeaderValue>,
    /// The session it rests on.
    pub session: Option<Arc<Live>>,
    /// Who asks for a page of ours, which finds that out by itself.
    pub who: Option<Arc<OnceLock<Username>>>,
    /// What the upstream is told about the user.
    pub injected: Option<Arc<Injected>>,
    /// Where it goes.
    pub pool: Option<Arc<Pool>>,
    /// Which of the pool's servers works on it, where something depends on that.
    pub serving: Option<Serving>,
    /// What sets its connection apart from those of before, and only that.
    pub group: u64,
    /// The servers that failed it.
    pub tried: Vec<Arc<Member>>,
    /// When everything must be done, if that is limited.
    pub deadline: Option<Instant>,
    /// What is sent in place of the target, where the upstream has other paths.
    pub sent: Option<Box<str>>,
    /// When its head was sent last, or is about to be.
    pub sent_at: Option<Instant>,
    /// The version it was sent in.
    pub sent_in: Version,
    /// How often it found a kept connection closed, or what looks like that.
    pub found_dead: u32,
    /// How often it was sent again.
    pub retried: u32,
    /// How often it was sent again because nobody had seen it.
    pub unseen: u32,
    /// Whether it was sent again because a service had refused it unseen.
    pub refused: bool,
    /// How often the service said that there is no answer yet.
    pub interim: u32,
    /// What came of the client's body.
    pub body: Passed,
    /// How it was judged.
    pub outcome: Outcome,
    /// Bytes of body the client may send.
    pub body_limit: Option<u64>,
    /// Bytes of body the client may still send in this try.
    pub body_left: Option<u64>,
    /// When the next piece of its body is due.
    pub pace: Option<Pace>,
    /// Whether the request holds nothing that is meant for one hop only.
    pub plain: bool,
    /// What the request asks for that is not forwarded as it came.
    pub asks: Asks,
    /// The tunnel it may have.
    pub tunnel: Option<Box<Tunnel>>,
    /// What compresses its answer.
    pub coder: Option<Box<Coder>>,
    /// How often a connection to the upstream was tried.
    pub tries: usize,
    permit: Option<Permit>,
}

/// What came of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// Nothing yet; perhaps there is none.
    Nothing,
    /// Nothing yet, though the service said that it may come.
    Awaited,
    /// Some of it was passed on.
    Some,
    /// Not enough in time.
    TooLate,
}

/// How a request was judged, in words for the log and for metrics.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The rule that decided.
    pub rule: Option<Arc<str>>,
    /// What was decided.
    pub verdict: &'static str,
    /// Why not.
    pub reason: &'static str,
}

impl Context {
    /// At the start of a request.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            started: None,
            logged: true,
            method: None,
            status: 0,
            passed_on: 0,
            busy: None,
            place: None,
            talk: None,
            id: None,
            id_header: None,
            snapshot_name: None,
            cors: None,
            dress: None,
            hsts: None,
            client: None,
            target: None,
            asked: None,
            host: None,
            session: None,
            who: None,
            injected: None,
            pool: None,
            serving: None,
            group: 0,
            tried: Vec::new(),
            deadline: None,
            interim: 0,
            sent: None,
            sent_at: None,
            sent_in: Version::HTTP_11,
            found_dead: 0,
            retried: 0,
            unseen: 0,
            refused: false,
            body: Passed::Nothing,
            outcome: Outcome {
                rule: None,
                verdict: "-",
                reason: "-",
            },
            body_limit: None,
            body_left: None,
            pace: None,
            plain: false,
            asks: Asks::default(),
            tunnel: None,
            coder: None,
            tries: 0,
            permit: None,
        }
    }

    /// A request has been read: from here on it is logged, whatever becomes of it.
    pub fn begin(&mut self, id: PublicId, method: Option<Method>, busy: Busy) {
        self.method = method;
        self.started = Some(Instant::now());
        self.logged = false;
        self.id = Some(id);
        self.id_header = HeaderValue::from_bytes(&id.text()).ok();
        if let Some(header) = &mut self.id_header {
            // No secret, but never seen again: HTTP/2 would keep it in its table of values to come, and drop others for it.
            header.set_sensitive(true);
        }
        self.busy = Some(busy);
    }

    /// Who asks, and for what.
    ///
    /// # Errors
    /// When the request was not admitted.
    pub fn admitted(&self) -> pingora::Result<(&Client, &Target)> {
        match (&self.client, &self.target) {
            (Some(client), Some(target)) => Ok((client, target)),
            _ => Err(Error::explain(ErrorType::InternalError, "not admitted")),
        }
    }

    /// The right to forward this request, once it has been granted.
    #[must_use]
    pub const fn permit(&self) -> Option<&Permit> {
        self.permit.as_ref()
    }

    /// What the answer says to pages of other origins.
    #[must_use]
    pub fn cors_lines(&self) -> Vec<cors::Line> {
        let cors = self.cors.as_ref();
        cors.map_or_else(Vec::new, |(cors, origin)| cors.answer(origin.as_ref()))
    }

    /// Takes the permit that the judgement granted.
    pub fn grant(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// What choosing a server needs to know. `left` is what remains of the time for everything.
    #[must_use]
    pub fn ask(&self, left: Option<Duration>) -> Ask<'_> {
        let proof = self.permit.as_ref().and_then(Permit::proof);
        Ask {
            plain: self.plain,
            user: proof.map(|(_, identity)| &identity.subject),
            address: self.client.as_ref().map(|client| client.ip),
            tried: &self.tried,
            tries_out: false,
            left,
        }
    }

    /// The server that works on it has answered.
    pub fn note_served(&mut self) {
        if let (Some(pool), Some(serving)) = (&self.pool, &mut self.serving) {
            pool.served(serving.member());
            serving.settle();
        }
    }

    /// Time since the request was read.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |at| at.elapsed())
    }

    /// The request id as text; zeros before there is one.
    #[must_use]
    pub fn id_text(&self) -> String {
        self.id.map(|id| id.to_string()).unwrap_or_default()
    }

    /// Notes how the tunnel ended, if one was open.
    pub fn end_tunnel(&mut self, how: End) -> Option<()> {
        let open = self.tunnel.as_mut().filter(|tunnel| tunnel.is_open())?;
        open.end(how);
        self.outcome.reason = how.as_str();
        Some(())
    }

    /// Counts and logs the request, once.
    pub fn log(&mut self, status: u16, bytes: usize) {
        if std::mem::replace(&mut self.logged, true) {
            return;
        }
        let took = self.elapsed();
        let Outcome {
            verdict, reason, ..
        } = self.outcome;
        let rule = self.outcome.rule.as_deref().unwrap_or("-");
        self.metrics
            .requests
            .with_label_values(&[rule, verdict, status_label(status)])
            .inc();
        // How long people talk says nothing about how long a service takes.
        let talked = self.tunnel.as_ref().is_some_and(|tunnel| tunnel.is_open());
        if let Some(pool) = self.pool.as_ref().filter(|_| !talked) {
            pool.note_duration(&self.metrics, took);
        }
        if tracing::enabled!(target: "access", tracing::Level::INFO) {
            let id = self.id_text();
            let of_session = self.session.as_ref().map(|live| &live.identity.name);
            let asking = self.who.as_ref().and_then(|who| who.get());
            let access = Access {
                id: &id,
                ip: self.client.as_ref().map(|client| client.ip),
                method: self.method.as_ref().map_or("-", Method::as_str),
                host: self
                    .target
                    .as_ref()
                    .map(Target::host)
                    .or(self.asked.as_ref())
                    .map_or("-", Host::as_str),
                path: self
                    .target
                    .as_ref()
                    .map_or("-", |target| target.path().as_str()),
                status,
                rule,
                verdict,
                reason,
                user: of_session.or(asking).map(Username::as_str),
                upstream: self.pool.as_ref().map_or("-", |pool| &*pool.name),
                bytes,
                took,
            };
            access.write();
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // Only a request that was cut (its session ended, its connection was lost, the rest of its body did not come)
        // comes here unlogged.
        if self.logged {
            return;
        }
        let answered = is_late().then_some(self.status);
        let status = answered.unwrap_or_else(|| {
            self.outcome.reason = "cut";
            self.end_tunnel(End::Cut).map_or(self.status, |()| 101)
        });
        self.log(status, self.passed_on);
    }
}

/// Status codes as labels, without making a string of the usual ones.
fn status_label(status: u16) -> &'static str {
    match status {
        0 => "none",
        200 => "200",
        201 => "201",
        202 => "202",
        204 => "204",
        206 => "206",
        301 => "301",
        302 => "302",
        303 => "303",
        304 => "304",
        307 => "307",
        308 => "308",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        405 => "405",
        413 => "413",
        414 => "414",
        421 => "421",
        422 => "422",
        429 => "429",
        431 => "431",
        500 => "500",
        501 => "501",
        502 => "502",
        503 => "503",
        504 => "504",
        other => match other / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        },
    }
}
