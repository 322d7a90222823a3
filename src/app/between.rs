//! Who stands for a moment between a gateway and the one that relieves it, so that the one is no child of the other.
//!
//! systemd waits for a main process that is a child of its own, and so is whoever is orphaned. Of a child of the process
//! before it hears no end: it takes such a unit for ended with the first word of a stop, and kills what is in it. So this
//! is done twice, as daemons do it that fork: the gateway starts its own program, which starts that once more and ends;
//! the second tells its id, waits for leave, and becomes the program that takes over. Arguments, descriptors and whatever
//! else a process has pass through, and nothing else is done here: no settings, no log, no threads.

use std::convert::Infallible;
use std::env;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{self, Command, ExitCode};

/// Has this program leave somebody behind who becomes the program of this path.
pub const LEAVES: &str = "PORTCULLIS_LEAVES";

/// Has it become the program of this path.
const BECOMES: &str = "PORTCULLIS_BECOMES";

/// The program that is running, also where its file has been replaced.
pub const ITSELF: &str = "/proc/self/exe";

/// Does what a process between two has to do; `None` in one that is none. Called before anything else.
#[must_use]
pub fn stand() -> Option<ExitCode> {
    let outcome = if let Some(program) = env::var_os(LEAVES) {
        leave(&program)
    } else if let Some(program) = env::var_os(BECOMES) {
        turn_into(&program).map(|never| match never {})
    } else {
        return None;
    };
    Some(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portcullis: the new process could not be started: {error}");
            ExitCode::FAILURE
        }
    })
}

fn leave(program: &OsStr) -> io::Result<()> {
    let mut next = Command::new(ITSELF);
    next.args(env::args_os().skip(1))
        .env_remove(LEAVES)
        .env(BECOMES, program);
    // Not waited for: it is to be an orphan.
    next.spawn().map(drop)
}

/// Whoever gives leave knows by then which process this is, for as long as it is there.
fn turn_into(program: &OsStr) -> io::Result<Infallible> {
    let mut line = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    line.write_all(&process::id().to_be_bytes())?;
    line.read_exact(&mut [0])?;
    let mut next = Command::new(program);
    Err(next.args(env::args_os().skip(1)).env_remove(BECOMES).exec())
}
