//! How long certificates are still good for: a gauge for each, and a line of the log when one comes to its end. Whoever
//! renews them may have stopped to, and nobody else would tell before clients turn away.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::time::Timestamp;
use crate::crypto::certificate::life;
use crate::crypto::client_roots::InForce;
use crate::crypto::keyring::Keyring;
use crate::proxy::running::Running;
use crate::proxy::settings::Trust;
use crate::telemetry::metrics::Metrics;

/// What an end is the end of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A certificate that is shown to clients.
    Shown,
    /// The last authority that vouches for clients' certificates.
    Authority,
    /// The list of those that it has revoked.
    Revocations,
    /// A certificate that is shown to a service.
    Upstream,
    /// The last authority that vouches for a service.
    UpstreamAuthority,
}

impl Kind {
    /// The label of the metric.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::Authority => "client_ca",
            Self::Revocations => "crl",
            Self::Upstream => "upstream",
            Self::UpstreamAuthority => "upstream_ca",
        }
    }

    /// What follows from its end.
    const fn consequence(self) -> &'static str {
        match self {
            Self::Shown => "clients refuse it",
            Self::Authority => "no client's certificate is believed",
            Self::Revocations => "no client's certificate is believed until there is a new list",
            Self::Upstream => "services refuse it",
            Self::UpstreamAuthority => {
                "servers are still believed by it here, and by others no more"
            }
        }
    }
}

/// Something that comes to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Life {
    kind: Kind,
    /// The first name of a certificate that is shown, or an upstream's.
    name: String,
    until: Timestamp,
    /// How long before its end it should have been renewed; lists of revocations are renewed at the last moment.
    notice: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Good,
    Ending,
    Ended,
}

/// The longest notice. Who renews does so at two thirds of a lifetime, or a month before its end.
const LONGEST_NOTICE: Duration = Duration::from_hours(15 * 24);

/// What was told of each end, so that it is told once.
#[derive(Debug, Default)]
pub struct Expiries(BTreeMap<(Kind, String), (Timestamp, Stage)>);

impl Expiries {
    /// Notes what is in force, and tells of what has come closer to its end.
    pub fn note(
        &mut self,
        keyring: &Keyring,
        (roots, running): (&InForce, &Running),
        now: Timestamp,
        metrics: &Metrics,
    ) {
        let known: Vec<_> = self.0.keys().cloned().collect();
        let news = self.news(lives(keyring, roots, running), now);
        let gauge = &metrics.certificate_expiry;
        for (kind, name) in known.iter().filter(|key| !self.0.contains_key(key)) {
            // It is there, or was removed by nobody else.
            let _ = gauge.remove_label_values(&[kind.as_str(), name]);
        }
        for ((kind, name), (until, _)) in &self.0 {
            gauge
                .with_label_values(&[kind.as_str(), name])
                .set(until.seconds());
        }
        for life in news {
            let Life {
                kind, name, until, ..
            } = &life;
            let (what, follows) = (kind.as_str(), kind.consequence());
            if *until <= now {
                tracing::error!(what, name, %until, "a certificate has come to its end: {follows}");
            } else {
                tracing::warn!(what, name, %until, "a certificate ends soon and was not renewed; then {follows}");
            }
        }
    }

    /// Those of which something is to be told that was not told before.
    fn news(&mut self, lives: Vec<Life>, now: Timestamp) -> Vec<Life> {
        let before = std::mem::take(&mut self.0);
        let mut news = Vec::new();
        for life in lives {
            let (key, stage) = ((life.kind, life.name.clone()), life.stage(now));
            let told = before.get(&key).filter(|(until, _)| *until == life.until);
            let told = told.map_or(Stage::Good, |(_, stage)| *stage);
            self.0.insert(key, (life.until, stage));
            if stage > told {
                news.push(life);
            }
        }
        news
    }
}

impl Life {
    fn of(kind: Kind, name: &str, from: Timestamp, until: Timestamp) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            until,
            notice: (until.since(from) / 6).min(LONGEST_NOTICE),
        }
    }

    fn stage(&self, now: Timestamp) -> Stage {
        if self.until <= now {
            Stage::Ended
        } else if self.until.since(now) < self.notice {
            Stage::Ending
        } else {
            Stage::Good
        }
    }
}

/// What is in force, each name once: of two certificates of one name the one that ends first.
fn lives(keyring: &Keyring, roots: &InForce, running: &Running) -> Vec<Life> {
    let mut all: BTreeMap<String, Life> = BTreeMap::new();
    for identity in keyring.all() {
        let name = identity.names().next().unwrap_or_default();
        let life = Life::of(Kind::Shown, name, identity.from(), identity.until());
        let known = all.entry(life.name.clone()).or_insert_with(|| life.clone());
        if life.until < known.until {
            *known = life;
        }
    }
    let mut lives: Vec<_> = all.into_values().collect();
    if let Some(roots) = roots.load_full() {
        let authority = roots.life();
        lives.extend(authority.map(|(from, until)| Life::of(Kind::Authority, "", from, until)));
        let lists = roots.lists_until();
        lives.extend(lists.map(|until| Life::of(Kind::Revocations, "", until, until)));
    }
    for pool in running.pools.values() {
        lives.extend(of_service(&pool.name, &pool.settings.trust));
    }
    lives
}

/// What is shown to a service, and who vouches for it.
fn of_service(name: &str, trust: &Trust) -> impl Iterator<Item = Life> {
    let shown = trust.client.as_ref().and_then(|it| life(it.chain.first()?));
    let vouching = trust.authorities.iter().flatten();
    let last = vouching
        .filter_map(|der| life(der))
        .max_by_key(|(_, until)| *until);
    let ends = [(Kind::Upstream, shown), (Kind::UpstreamAuthority, last)];
    ends.into_iter()
        .filter_map(move |(kind, life)| life.map(|(from, until)| Life::of(kind, name, from, until)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn each_end_is_told_once_before_and_once_when_it_comes() {
        let mut expiries = Expiries::default();
        let life = |days| Life::of(Kind::Shown, "a.test", START, START.plus(DAY * days));
        let mut told = |lives: Vec<Life>, days: u32| {
            let now = START.plus(DAY * days);
            expiries.news(lives, now).len()
        };
        assert_eq!(told(vec![life(90)], 75), 0, "fifteen days are left");
        assert_eq!(told(vec![life(90)], 76), 1);
        assert_eq!(told(vec![life(90)], 77), 0, "it was told");
        assert_eq!(told(vec![life(90)], 90), 1);
        assert_eq!(told(vec![life(90)], 91), 0);
        assert_eq!(told(vec![life(180)], 91), 0, "it was renewed");
        assert_eq!(
            told(vec![life(180)], 200),
            1,
            "once, though it was not looked at between"
        );
        // What was gone and comes back is news.
        assert_eq!(told(Vec::new(), 200), 0);
        assert_eq!(told(vec![life(180)], 200), 1);
    }

    #[test]
    fn notice_is_a_sixth_of_a_life_and_half_a_month_at_most() {
        for (days, notice) in [(6, DAY), (90, DAY * 15), (3650, DAY * 15)] {
            let life = Life::of(Kind::Shown, "", START, START.plus(DAY * days));
            assert_eq!(life.notice, notice, "{days}");
        }
        // Lists are renewed at the last moment.
        let list = Life::of(Kind::Revocations, "", START.plus(DAY), START.plus(DAY));
        assert_eq!(list.stage(START), Stage::Good);
        assert_eq!(list.stage(START.plus(DAY)), Stage::Ended);
    }
}
