//! Which of several servers a request goes to. Pure: whose turn it is, is told.
//!
//! What belongs together by user or address is placed by rendezvous hashing: every server is given a score for
//! the key, and the highest wins. When a server goes, only its own keys move, each to its next best; nothing is
//! built, and nothing kept. Gateways of one version agree on the scores; another compiler may bring others.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::member::Member;

/// How to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Each in turn.
    Turn,
    /// The one with the fewest requests under way; among equals, each in turn.
    Least,
    /// The one that this key belongs to.
    Key(u64),
}

/// Chooses among the members that are `fit`; none when none is. `turn` counts requests, not tries: a request that
/// fails at its first server must not keep the next one from beginning elsewhere.
pub fn choose(
    members: &[Arc<Member>],
    choice: Choice,
    turn: usize,
    fit: impl Fn(&Member) -> bool,
) -> Option<&Arc<Member>> {
    let fitting = || members.iter().filter(|member| fit(member));
    match choice {
        Choice::Key(key) => fitting().max_by_key(|member| score(key, member)),
        Choice::Turn => {
            let count = fitting().count();
            let at = turn.checked_rem(count)?;
            // A server may have become unfit between counting and taking.
            fitting().nth(at).or_else(|| fitting().next())
        }
        Choice::Least => {
            let start = turn.checked_rem(members.len())?;
            let (before, after) = members.split_at(start);
            after
                .iter()
                .chain(before)
                .filter(|member| fit(member))
                .min_by_key(|member| member.under_way())
        }
    }
}

/// The key of whatever belongs together.
#[must_use]
pub fn key(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// By the address and the name: two names of one address are two servers.
fn score(key: u64, member: &Member) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, &member.label, &member.host, member.server.scheme).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::proxy::settings::{Place, Scheme, Server};
    use crate::proxy::upstream::member::Serving;

    fn members(count: u16) -> Vec<Arc<Member>> {
        let member = |port| {
            let server = Server {
                place: Place::Network {
                    host: "127.0.0.1".into(),
                    port,
                },
                scheme: Scheme::Http,
            };
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
            Arc::new(Member::new(Arc::new(server), address.into()))
        };
        (1..=count).map(member).collect()
    }

    fn name(member: Option<&Arc<Member>>) -> String {
        member.map_or_else(String::new, |member| member.label.to_string())
    }

    #[test]
    fn each_in_turn_and_the_unfit_left_out_evenly() {
        let members = members(4);
        let count = |fit: &dyn Fn(&Member) -> bool| {
            let mut found = BTreeMap::new();
            for turn in 0..120 {
                *found
                    .entry(name(choose(&members, Choice::Turn, turn, fit)))
                    .or_insert(0) += 1;
            }
            found.into_values().collect::<Vec<_>>()
        };
        assert_eq!(count(&|_| true), [30; 4]);
        assert_eq!(count(&|member| !member.label.ends_with(":2")), [40; 3]);
        assert_eq!(count(&|member| member.label.ends_with(":2")), [120]);
        assert!(choose(&members, Choice::Turn, 7, |_| false).is_none());
        assert!(choose(&[], Choice::Least, 7, |_| true).is_none());
        assert!(choose(&[], Choice::Key(1), 7, |_| true).is_none());
    }

    #[test]
    fn the_least_busy_one_and_equals_in_turn() {
        let members = members(3);
        let next = |turn| choose(&members, Choice::Least, turn, |_| true).unwrap();
        let mut busy: Vec<Serving> = (0..9).map(|turn| Serving::by(next(turn), None)).collect();
        assert!(members.iter().all(|member| member.under_way() == 3));
        let free = Arc::clone(busy.pop().unwrap().member());
        assert_eq!(free.under_way(), 2);
        assert!((0..5).all(|turn| Arc::ptr_eq(next(turn), &free)));
        drop(busy);
        assert!(members.iter().all(|member| member.under_way() == 0));
    }

    #[test]
    fn a_key_keeps_its_server_and_only_the_keys_of_a_lost_one_move() {
        let members = members(5);
        let at = |user: u32, fit: &dyn Fn(&Member) -> bool| {
            name(choose(&members, Choice::Key(key(user)), 0, fit))
        };
        let mut load: BTreeMap<String, u32> = BTreeMap::new();
        for user in 0..5000 {
            let usual = at(user, &|_| true);
            assert_eq!(usual, at(user, &|_| true));
            let without = at(user, &|member| !member.label.ends_with(":3"));
            assert_eq!(usual == without, !usual.ends_with(":3"));
            *load.entry(usual).or_default() += 1;
        }
        assert_eq!(load.len(), 5);
        assert!(
            load.values().all(|count| (800..1200).contains(count)),
            "{load:?}"
        );
    }
}
