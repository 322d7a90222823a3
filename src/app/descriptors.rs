//! How many files the process may hold open: as many as it is allowed, and what that leaves for clients.
//!
//! Apart, because it is the one thing that is asked of the kernel about the process as a whole.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for the store, the log, listeners, the admin port and whatever is opened for a moment.
const OTHERS: u64 = 64;

/// The fewest connections there is room for, however little is left.
const FEWEST: u64 = 16;

/// The most connections to services that are kept for whoever comes next.
const MOST_KEPT: u64 = 1024;

/// What the descriptors are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// How many clients may be connected.
    pub clients: usize,
    /// How many connections to services are kept that nobody uses.
    pub kept: usize,
}

impl Room {
    /// What there is room for, after asking for as many descriptors as there may be; `written` is what the file says of
    /// clients, which counts whatever there are.
    pub fn take(written: Option<usize>) -> Self {
        let room = Self::of(raise());
        if let Some(written) = written.filter(|written| *written > room.clients) {
            let key = "limits.connections";
            tracing::warn!(
                key,
                written,
                room = room.clients,
                "more than there are file descriptors for"
            );
        }
        room
    }

    /// The room of so many descriptors: an eighth for connections that are kept, and of the rest one for each client and
    /// one more that it may need towards its service.
    fn of(descriptors: u64) -> Self {
        let left = descriptors.saturating_sub(OTHERS);
        let kept = (left / 8).clamp(1, MOST_KEPT);
        let clients = (left.saturating_sub(kept) / 2).max(FEWEST);
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            clients: count(clients),
            kept: count(kept),
        }
    }
}

/// Asks for as many descriptors as the process may have without anybody's leave; how many it has then.
fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: maximum,
        maximum,
    };
    if current == maximum || setrlimit(Resource::Nofile, wanted).is_ok() {
        maximum.unwrap_or(u64::MAX)
    } else {
        current.unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b_14_what_the_descriptors_are_for() {
        for (descriptors, clients, kept) in [
            (0, 16, 1),
            (128, 28, 8),
            (1024, 420, 120),
            (20_064, 9_488, 1_024),
        ] {
            assert_eq!(
                Room::of(descriptors),
                Room { clients, kept },
                "{descriptors}"
            );
            let used = u64::try_from(2 * clients + kept).unwrap() + OTHERS;
            assert!(used <= descriptors || clients == 16);
        }
        assert!(Room::of(u64::MAX).clients > 1_000_000_000);
    }

    #[test]
    fn b_14_the_limit_is_raised_as_far_as_it_goes() {
        let before = getrlimit(Resource::Nofile);
        assert_eq!(Some(raise()), before.maximum.or(Some(u64::MAX)));
        assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
    }
}
