//! How many files the process may hold open: as many as it is allowed, and what that leaves for clients.
//!
//! Apart, because it is the one thing that is asked of the kernel about the process as a whole.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for the store, the log, listeners, the admin port and whatever is opened for a moment.
const OTHERS: u64 = 64;

/// The fewest connections there is room for, however little is left.
const FEWEST: u64 = 16;

/// How many clients there are file descriptors for, after asking for as many as there may be; `written` is what the file
/// says, which counts whatever there are.
pub fn for_clients(written: Option<usize>) -> usize {
    let room = room(raise());
    if let Some(written) = written.filter(|written| *written > room) {
        let key = "limits.connections";
        tracing::warn!(
            key,
            written,
            room,
            "more than there are file descriptors for"
        );
    }
    room
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

/// How many clients may be connected with so many descriptors: each may need one more, towards its service.
fn room(descriptors: u64) -> usize {
    let clients = descriptors.saturating_sub(OTHERS) / 2;
    usize::try_from(clients.max(FEWEST)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b_14_half_of_the_descriptors_are_for_clients() {
        assert_eq!([0, 128, 1024, 20_064].map(room), [16, 32, 480, 10_000]);
        assert!(room(u64::MAX) > 1_000_000_000);
    }

    #[test]
    fn b_14_the_limit_is_raised_as_far_as_it_goes() {
        let before = getrlimit(Resource::Nofile);
        assert_eq!(Some(raise()), before.maximum.or(Some(u64::MAX)));
        assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
    }
}
