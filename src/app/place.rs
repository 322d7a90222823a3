//! Where this process stands: whether something would end with it, or be started again, that is not to.

use std::env;
use std::ffi::OsString;
use std::fs::metadata;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::process;

use super::hand_over::relieves;

/// The namespace of ids that a machine begins with (`PROC_PID_INIT_INO` of the kernel).
const FIRST_NAMESPACE: u64 = 0xEFFF_FFFC;

/// Where this process stands.
#[derive(Clone, Copy)]
pub struct Place {
    id: u32,
    parent: u32,
    /// Ids are given out anew where it is.
    contained: bool,
    /// It has relieved another, and is an orphan: nobody waits for its end who has not heard of it.
    relieves: bool,
    /// systemd hears who serves now.
    told: bool,
    manager: Option<Manager>,
}

/// Who has started this process, and waits for its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    Systemd,
    Supervisord,
}

/// Why this process cannot go and leave another behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bound {
    /// The first process of a container takes the container with it, and that waits for the one that it has started.
    #[error(
        "this is the first process of a container, or the one it was started for, and the container would end with it: \
         replace the container"
    )]
    Container,
    /// systemd takes a unit for ended with its main process, kills what is in it, and starts nothing again after a success.
    #[error(
        "systemd would take the unit for ended with this process, and end the new one: restart the unit, which has to \
         say `Type=notify` for a hand-over"
    )]
    Systemd,
    /// supervisord would start the program again beside the new process, which is nobody's.
    #[error(
        "supervisord waits for this process, and would start another one beside the new one: restart it by supervisorctl"
    )]
    Supervisord,
}

impl Place {
    /// That of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        let first = metadata("/proc/self/ns/pid").is_ok_and(|it| it.ino() == FIRST_NAMESPACE);
        let id = process::id();
        Self {
            id,
            parent: parent_id(),
            contained: !first,
            relieves: relieves(),
            told: is_of_systemd(env::var_os("NOTIFY_SOCKET")),
            manager: Manager::of(id, |name| env::var_os(name)),
        }
    }

    /// Whether this process may go, and leave another behind.
    ///
    /// # Errors
    /// When something would end with it, or be started again.
    pub const fn may_be_left(self) -> Result<(), Bound> {
        match self.manager {
            _ if self.id == 1 => Err(Bound::Container),
            Some(Manager::Systemd) if !self.told && !self.relieves => Err(Bound::Systemd),
            // Also where a socket of systemd's has come down to its children: it is told of supervisord alone.
            Some(Manager::Supervisord) if !self.relieves => Err(Bound::Supervisord),
            _ if self.falls_with_it() => Err(Bound::Container),
            _ => Ok(()),
        }
    }

    /// Whether a container ends with this process: with its first one, and, where that is one of the small ones that do
    /// nothing but start another and wait for it (`tini`, `docker --init`, a script), with this other one. One whose ids are
    /// given out by others has no parent there. systemd hears who serves now, and whoever relieves another is an orphan.
    const fn falls_with_it(self) -> bool {
        let free = self.relieves || self.told;
        self.id == 1 || self.parent <= 1 && self.contained && !free
    }
}

impl Manager {
    /// By what they say to those that they start. Both say it to all that come of these, too: systemd says for whom it is
    /// meant, and supervisord waits for the first of them, which waits for the others.
    fn of(id: u32, said: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        if said("SUPERVISOR_ENABLED").is_some() {
            return Some(Self::Supervisord);
        }
        let meant = said("SYSTEMD_EXEC_PID")?;
        (meant.to_str()?.parse() == Ok(id)).then_some(Self::Systemd)
    }
}

/// Whether systemd itself listens there. Others pass on what they hear (podman), and wait for the first one all the same.
fn is_of_systemd(socket: Option<OsString>) -> bool {
    socket.is_some_and(|socket| Path::new(&socket).ends_with("systemd/notify"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUPERVISED: Option<Bound> = Some(Bound::Supervisord);

    #[test]
    fn g_13_what_waits_for_a_process_falls_with_it() {
        let (systemd, supervisord) = (Some(Manager::Systemd), Some(Manager::Supervisord));
        let ends = Some(Bound::Container);
        for (id, parent, contained, relieves, told, manager, bound) in [
            (1, 0, true, false, false, None, ends),
            (1, 0, true, false, true, None, ends),
            (1, 0, true, true, false, None, ends),
            (7, 0, true, false, false, None, ends),
            (7, 1, true, false, false, None, ends),
            (7, 1, true, false, true, None, None),
            (7, 1, true, true, false, None, None),
            (7, 1, false, false, false, None, None),
            (7, 1, false, false, true, None, None),
            (7, 5, true, false, false, None, None),
            // systemd in a container, and the one that a container was started for.
            (7, 1, true, false, false, systemd, Some(Bound::Systemd)),
            (7, 1, true, false, false, supervisord, SUPERVISED),
            (1, 0, true, false, false, systemd, ends),
            (7, 1, false, false, false, systemd, Some(Bound::Systemd)),
            (7, 5, false, false, false, systemd, Some(Bound::Systemd)),
            (7, 1, false, false, true, systemd, None),
            (7, 1, true, false, true, systemd, None),
            (7, 1, false, true, false, systemd, None),
            (7, 5, false, false, false, supervisord, SUPERVISED),
            (7, 5, false, false, true, supervisord, SUPERVISED),
            (7, 1, false, true, false, supervisord, None),
        ] {
            let place = Place {
                id,
                parent,
                contained,
                relieves,
                told,
                manager,
            };
            let case = (id, parent, contained, relieves, told, manager);
            assert_eq!(place.may_be_left().err(), bound, "{case:?}");
        }
    }

    #[test]
    fn g_13_who_waits_is_known_by_what_they_say() {
        const SYSTEMD: &str = "SYSTEMD_EXEC_PID";
        const SUPERVISORD: &str = "SUPERVISOR_ENABLED";
        for (said, manager) in [
            (vec![], None),
            (vec![(SYSTEMD, "7")], Some(Manager::Systemd)),
            // Said to whoever has started this one.
            (vec![(SYSTEMD, "5")], None),
            (vec![(SYSTEMD, "")], None),
            (vec![(SYSTEMD, "seven")], None),
            (vec![(SUPERVISORD, "1")], Some(Manager::Supervisord)),
            (
                vec![(SUPERVISORD, "1"), (SYSTEMD, "5")],
                Some(Manager::Supervisord),
            ),
            (vec![("SUPERVISOR_PROCESS_NAME", "portcullis")], None),
        ] {
            let find = |name: &str| {
                let found = said.iter().find(|(other, _)| *other == name);
                found.map(|(_, value)| OsString::from(value))
            };
            assert_eq!(Manager::of(7, find), manager, "{said:?}");
        }
    }

    #[test]
    fn g_13_podman_waits_although_it_listens() {
        for (socket, systemd) in [
            (None, false),
            (Some("/run/systemd/notify"), true),
            (Some("/run/user/1000/systemd/notify"), true),
            (Some("/run/notify/notify.sock"), false),
            (Some("@notify"), false),
            (Some(""), false),
        ] {
            assert_eq!(is_of_systemd(socket.map(Into::into)), systemd, "{socket:?}");
        }
    }
}
