//! The file that is open, told from another one that lies at its path.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, fstat, stat};
use rustix::io::Errno;

/// A file at its path. Held by a descriptor that is good for nothing else (`O_PATH`, `open(2)`): as long as there is one, no
/// file system gives the file's number to another one, and closing any other kind would drop the locks that SQLite has.
pub(super) struct Held {
    path: PathBuf,
    file: OwnedFd,
}

impl Held {
    pub(super) fn new(path: PathBuf) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        #[cfg(not(target_os = "linux"))]
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, Mode::empty())?;
        Ok(Self { path, file })
    }

    /// Whether what others find at the path, such as the command line, is not this file any more.
    pub(super) fn is_gone(&self) -> bool {
        match (fstat(&self.file), stat(&self.path)) {
            (Ok(held), Ok(found)) => (held.st_dev, held.st_ino) != (found.st_dev, found.st_ino),
            (_, Err(Errno::NOENT)) | (Err(_), _) => true,
            // What cannot be looked at now may be there all the same.
            (_, Err(_)) => false,
        }
    }
}
