//! `serve --watch`: whether the file is still the one that was read.
//!
//! By looking, twice a second: that works across links that are swapped, folders that are exchanged and file systems of
//! other machines, where the kernel's own watches end or see nothing, and it sees what has changed before the gateway was
//! ready to look.

use std::fs::metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use super::aside::aside;

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Editors write a file in several steps; it is read once two looks so far apart see the same.
const SETTLED: Duration = Duration::from_millis(200);

/// The file as it was when it was read last.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    read: Option<Stamp>,
}

/// Which file is there, and in what state: device, number, length, and when it was changed last (seconds and nanoseconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp([i128; 5]);

impl Watch {
    /// Begins to watch a file, which is read after this.
    #[must_use]
    pub fn begin(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            read: Stamp::of(path),
        }
    }

    /// The file is read after this: what changes from here on is news.
    pub fn begin_anew(&mut self) {
        self.read = Stamp::of(&self.path);
    }

    /// Waits until there is another file than was read. One that is gone is none.
    pub async fn changed(&self) {
        loop {
            sleep(LOOK_EVERY).await;
            let now = self.look().await;
            if now.is_none() || now == self.read {
                continue;
            }
            sleep(SETTLED).await;
            if self.look().await == now {
                return;
            }
        }
    }

    /// Whether it is still the one that was read.
    pub(super) async fn is_as_read(&self) -> bool {
        self.read.is_some() && self.look().await == self.read
    }

    async fn look(&self) -> Option<Stamp> {
        // A file system may take its time.
        let path = self.path.clone();
        aside(move || Stamp::of(&path)).await.ok()?
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = metadata(path).ok()?;
        Some(Self([
            found.dev().into(),
            found.ino().into(),
            found.len().into(),
            found.ctime().into(),
            found.ctime_nsec().into(),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_another_file() {
        let folder = tempfile::TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| fs::write(at(name), text).unwrap();
        fs::create_dir(at("one")).unwrap();
        write("one/file", "a");
        std::os::unix::fs::symlink("one", at("now")).unwrap();
        let path = at("now").join("file");
        let first = Stamp::of(&path).unwrap();
        write("one/other", "b");
        let _ = fs::read(&path).unwrap();
        assert_eq!(Stamp::of(&path), Some(first), "read, and another beside it");
        // What its link leads to is exchanged, and the folder that it lies in.
        fs::create_dir(at("two")).unwrap();
        write("two/file", "a");
        std::os::unix::fs::symlink("two", at("next")).unwrap();
        fs::rename(at("next"), at("now")).unwrap();
        let second = Stamp::of(&path).unwrap();
        assert_ne!(second, first);
        write("two/file", "longer");
        let third = Stamp::of(&path).unwrap();
        assert_ne!(third, second);
        write("two/new", "longer");
        fs::rename(at("two/new"), at("two/file")).unwrap();
        assert_ne!(Stamp::of(&path), Some(third));
        fs::remove_file(&path).unwrap();
        assert_eq!(Stamp::of(&path), None);
    }
}
