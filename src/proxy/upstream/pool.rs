//! The servers of one upstream, ready to be sent to.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use pingora::Error;
use pingora::upstreams::peer::HttpPeer;
use prometheus::Histogram;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::base::id::PublicId;
use crate::proxy::settings::{
    Balance, Destination, HealthCheck, HostSent, Scheme, Server, Upstream,
};
use crate::telemetry::metrics::Metrics;

use super::balance::{Choice, choose, key};
use super::health::{Standing, Trial};
use super::member::Member;
use super::names;
use super::peer::Manner;
use super::probe;
use super::retry::Budget;

pub use super::member::Serving;

/// An upstream, ready to be sent to.
#[derive(Debug)]
pub struct Pool {
    /// Its name in the file.
    pub name: Arc<str>,
    /// What the file says of it.
    pub settings: Upstream,
    manner: Manner,
    /// Empty for the built-in page.
    servers: Vec<Arc<Server>>,
    members: ArcSwap<Vec<Arc<Member>>>,
    turn: AtomicUsize,
    /// What requests that failed are sent again from.
    pub budget: Budget,
    /// How long its requests take, once the first one has been timed: no metric is looked up by name for the others.
    durations: OnceLock<Histogram>,
    /// When a request had names looked up last; held while one does so for all others.
    looking: Mutex<Option<Instant>>,
}

/// What choosing a server needs to know of a try.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Whether the request holds nothing that is meant for one hop only.
    pub plain: bool,
    /// Who asks.
    pub user: Option<&'a PublicId>,
    /// Where from.
    pub address: Option<IpAddr>,
    /// Who was tried before.
    pub tried: &'a [Arc<Member>],
    /// Whether it may find out for others how a server is: what waits for its client finds out nothing.
    pub tries_out: bool,
    /// What is left of the time for everything, if that is limited.
    pub left: Option<Duration>,
}

/// Why there is no server for a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nobody {
    /// No name could be looked up.
    Known,
    /// Checks say that none is well.
    Healthy,
}

/// How soon names that nothing is known of are looked up again for a request.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A server for one try. The member is told only where something depends on which one it is.
pub type Next = (Box<HttpPeer>, Option<Serving>);

impl Pool {
    /// The servers in the file. What was known of servers under `before` stays known.
    #[must_use]
    pub fn new(upstream: &Upstream, before: Option<&Self>) -> Self {
        let servers = match &upstream.to {
            Destination::Echo => Vec::new(),
            Destination::Servers(servers) => servers.iter().cloned().map(Arc::new).collect(),
        };
        let same = before.filter(|before| before.servers == servers);
        let known = before.map(|before| before.members.load_full());
        let stay = known.into_iter().flat_map(|members| members.to_vec());
        let stay = stay.filter(|member| servers.contains(&member.server));
        // What other checks found is nothing that these have to be convinced of: the first of them decides.
        let asked_alike = before.is_none_or(|before| before.settings.health == upstream.health);
        let stay = stay.map(|member| {
            if asked_alike {
                member
            } else {
                member.unchecked()
            }
        });
        Self {
            name: Arc::clone(&upstream.name),
            settings: upstream.clone(),
            manner: Manner::of(upstream, same.map(|before| &before.manner)),
            members: ArcSwap::from_pointee(stay.collect()),
            servers,
            turn: AtomicUsize::new(0),
            budget: Budget::full(),
            durations: OnceLock::new(),
            looking: Mutex::default(),
        }
    }

    /// Whether it is the built-in echo page.
    #[must_use]
    pub const fn is_echo(&self) -> bool {
        self.servers.is_empty()
    }

    /// Whether one of its servers is spoken to in HTTP/2 only.
    #[must_use]
    pub fn is_h2_only(&self) -> bool {
        self.servers
            .iter()
            .any(|server| matches!(server.scheme, Scheme::H2c))
    }

    /// A request failed whose peer was in this group, before anything else set its connection apart.
    pub fn note_failure(&self, group: u64, error: &Error) {
        if self.manner.note_failure(group, error) {
            tracing::warn!(
                upstream = &*self.name,
                error = error.etype().as_str(),
                "HTTP/2 failed; connections are opened anew"
            );
        }
    }

    /// A connection will end that is about to be kept. Which one that is cannot be told to Pingora, so none that is kept is
    /// used again.
    pub fn forget_kept(&self) {
        self.manner.forget_kept();
    }

    /// A request that was sent here took so long.
    pub fn note_duration(&self, metrics: &Metrics, took: Duration) {
        let named = || metrics.request_duration.with_label_values(&[&*self.name]);
        self.durations
            .get_or_init(named)
            .observe(took.as_secs_f64());
    }

    /// What the only server is called, where there is one.
    #[must_use]
    pub fn only(&self) -> Option<Box<str>> {
        match self.members.load().as_slice() {
            [only] => Some(only.label.clone()),
            _ => None,
        }
    }

    /// How many addresses are known, which is how often a connection is worth trying.
    #[must_use]
    pub fn known(&self) -> usize {
        self.members.load().len()
    }

    /// Whether there is a server that checks say nothing against, beside those that were tried.
    #[must_use]
    pub fn has_others(&self, tried: &[Arc<Member>]) -> bool {
        let members = self.members.load();
        let mut up = members.iter().filter(|member| self.is_up(member));
        up.any(|member| tried.iter().all(|tried| !Arc::ptr_eq(tried, member)))
    }

    /// Every server under every address that it has just now.
    #[must_use]
    pub fn members(&self) -> Arc<Vec<Arc<Member>>> {
        self.members.load_full()
    }

    /// Whether its servers have names, whose addresses may change.
    #[must_use]
    pub fn has_names(&self) -> bool {
        names::any(&self.servers)
    }

    /// Whether one of its servers has no address.
    #[must_use]
    pub fn misses_any(&self) -> bool {
        let members = self.members.load();
        names::missing(&self.servers, &members).next().is_some()
    }

    /// Looks the servers' names up, each for no longer than the limit.
    pub async fn refresh(&self, limit: Duration) {
        let found = names::look_up(&self.servers, limit).await;
        let before = self.members.load_full();
        let after = names::merge(&before, found);
        let same = before.len() == after.len()
            && before.iter().zip(&after).all(|(a, b)| Arc::ptr_eq(a, b));
        if !same {
            let addresses: Vec<_> = after.iter().map(|member| &*member.label).collect();
            tracing::info!(
                upstream = &*self.name,
                ?addresses,
                "an upstream has other addresses"
            );
            self.members.store(Arc::new(after));
        }
    }

    /// The server for the next try.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn next(&self, ask: Ask<'_>) -> Result<Next, Nobody> {
        match self.choose(ask) {
            Err(Nobody::Known) => {
                // As when the gateway started before its service's name existed. One looks for all who wait, and none for
                // longer than a connection may take: a name server may be silent, and each look holds a thread.
                let looked = async {
                    let mut last = self.looking.lock().await;
                    let recently = last.is_some_and(|at| at.elapsed() < LOOK_AGAIN);
                    if self.members.load().is_empty() && !recently {
                        *last = Some(Instant::now());
                        self.refresh(Duration::MAX).await;
                    }
                };
                let limit = self.settings.timeouts.connect;
                let limit = ask.left.map_or(limit, |left| left.min(limit));
                // Whether in time or not: what there is now is what there is.
                let _ = timeout(limit, Box::pin(looked)).await;
                self.choose(ask)
            }
            next => next,
        }
    }

    /// Where there is only one, nobody has to take turns.
    fn choose(&self, ask: Ask<'_>) -> Result<Next, Nobody> {
        let members = self.members.load();
        match members.as_slice() {
            [] => Err(Nobody::Known),
            [only] if !self.tells_apart() => {
                Ok((self.manner.peer(only, ask.plain, ask.left), None))
            }
            members => {
                let (member, trial) = self.among(members, ask).ok_or(Nobody::Healthy)?;
                let peer = self.manner.peer(member, ask.plain, ask.left);
                Ok((peer, Some(Serving::by(member, trial))))
            }
        }
    }

    /// Whether something depends on which server it is, even if there is one only.
    fn tells_apart(&self) -> bool {
        self.settings.host == HostSent::Upstream || self.settings.health.is_some()
    }

    /// One that is up, if possible one that is not left alone, if possible one that was not tried yet.
    fn among<'a>(
        &self,
        members: &'a [Arc<Member>],
        ask: Ask<'_>,
    ) -> Option<(&'a Arc<Member>, Option<Trial>)> {
        let (choice, turn) = (self.choice(ask), self.turn(ask));
        let among = |fit: &dyn Fn(&Member) -> bool| choose(members, choice, turn, fit);
        let up = |member: &Member| self.is_up(member);
        let span = self
            .settings
            .eject
            .map_or(Duration::ZERO, |eject| eject.span);
        let in_use = |member: &Member| match member.health.standing(Instant::now) {
            Standing::In => true,
            // A request with a body may fail with its trial, and for nothing else. Where there are no others, it has to.
            Standing::Due(since) => ask.tries_out || since >= span,
            Standing::Out => false,
        };
        let fresh = |member: &Member| {
            ask.tried
                .iter()
                .all(|tried| !std::ptr::eq(tried.as_ref(), member))
        };
        let usual = || among(&|member| up(member) && in_use(member) && fresh(member));
        // One request tries a server whose time alone is over, and the others go elsewhere until it is answered.
        for _ in 0..=members.len() {
            let Some(member) = usual() else { break };
            if let Ok(trial) = member.health.begin(span, Instant::now) {
                return Some((member, trial));
            }
        }
        among(&|member| up(member) && fresh(member))
            .or_else(|| among(&up))
            .map(|member| (member, None))
    }

    /// Whether checks, if there are any, say nothing against a member.
    #[must_use]
    pub fn is_up(&self, member: &Member) -> bool {
        self.settings.health.is_none() || member.health.is_up()
    }

    /// Asks every member whether it is well.
    pub async fn check(&self) {
        if let Some(check) = &self.settings.health {
            let members = self.members();
            join_all(members.iter().map(|member| self.check_one(member, check))).await;
        }
    }

    async fn check_one(&self, member: &Member, check: &HealthCheck) {
        let asked = probe::ask(member, &self.manner, check).await;
        let (upstream, address) = (&*self.name, &*member.label);
        match (member.health.checked(asked.is_ok(), check), asked) {
            (Some(true), _) => tracing::info!(upstream, address, "a server is healthy again"),
            (Some(false), Err(why)) => {
                tracing::warn!(upstream, address, %why, "a server is unhealthy, and sent nothing");
            }
            _ => {}
        }
    }

    /// A request to a member failed, for which the member is to blame.
    pub fn failed(&self, member: &Member) {
        let Some(eject) = self.settings.eject.filter(|_| self.known() > 1) else {
            return;
        };
        if member.health.failed(&eject, Instant::now()) {
            tracing::warn!(
                upstream = &*self.name,
                address = &*member.label,
                "requests to a server fail; it is left alone for a while"
            );
        }
    }

    /// A member answered.
    pub fn served(&self, member: &Member) {
        let back = self
            .settings
            .eject
            .is_some_and(|eject| member.health.served(&eject));
        if back {
            tracing::info!(
                upstream = &*self.name,
                address = &*member.label,
                "a server that was left alone answers again"
            );
        }
    }

    /// Every address, and whether requests go there just now; and every name that has none.
    #[must_use]
    pub fn shown(&self) -> Vec<(Box<str>, bool)> {
        let in_use = |member: &Member| member.health.standing(Instant::now) != Standing::Out;
        let healthy = |member: &Member| self.is_up(member) && in_use(member);
        let members = self.members.load();
        let label = |member: &Arc<Member>| {
            // Two names of one address are two servers.
            let same = members.iter().filter(|other| other.label == member.label);
            if same.count() == 1 {
                return member.label.clone();
            }
            let Server { scheme, .. } = *member.server;
            format!(
                "{} ({scheme}://{})",
                member.label,
                member.server.authority()
            )
            .into()
        };
        let shown = |member: &Arc<Member>| (label(member), healthy(member));
        let unknown = names::missing(&self.servers, &members);
        let unknown = unknown.map(|server| (server.authority().into(), false));
        members.iter().map(shown).chain(unknown).collect()
    }

    /// A request takes one turn, however many tries it needs.
    fn turn(&self, ask: Ask<'_>) -> usize {
        if ask.tried.is_empty() {
            self.turn.fetch_add(1, Ordering::Relaxed)
        } else {
            self.turn.load(Ordering::Relaxed)
        }
    }

    fn choice(&self, ask: Ask<'_>) -> Choice {
        match (self.settings.balance, ask.user) {
            (Balance::RoundRobin, _) => Choice::Turn,
            (Balance::LeastConnections, _) => Choice::Least,
            (Balance::ByUser, Some(user)) => Choice::Key(key(user)),
            (Balance::ByUser, None) | (Balance::ByAddress, _) => Choice::Key(key(ask.address)),
        }
    }
}
