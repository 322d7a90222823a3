//! The gateway key and the signing key: found, or made at the first start.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::id::PublicId;
use crate::base::random::{NoRandomness, Random};
use crate::base::secret::Secret;
use crate::base::time::Timestamp;
use crate::config::{Config, KeySource};
use crate::crypto::access::{AccessFault, AccessKey, Algorithm};
use crate::crypto::jwt::{SigningFault, SigningKey};
use crate::crypto::key::{GatewayKey, KeyFault};
use crate::store::{DbError, Observer, Store};

/// A key that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeysFault {
    /// The key file.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// No key file, and a store that needs the one there was: a new one would open nothing of it.
    #[error("the store was sealed with a key that is not at {}: put it back", .0.display())]
    Missing(PathBuf),
    /// What is in it, or what it should open.
    #[error("{0}: {1}")]
    Key(String, KeyFault),
    /// The signing key.
    #[error(transparent)]
    Signing(#[from] SigningFault),
    /// The key of access tokens.
    #[error(transparent)]
    Access(#[from] AccessFault),
    /// The store.
    #[error(transparent)]
    Store(#[from] DbError),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// The name of the signing key in the store, and the context it is sealed for.
const SIGNING: &str = "signing/es256/1";

/// The gateway key, if there is one already.
///
/// # Errors
/// When it cannot be read.
pub fn kept(source: &KeySource) -> Result<Option<GatewayKey>, KeysFault> {
    match source {
        KeySource::Given(key) => Ok(Some(key.clone())),
        KeySource::Kept(path) => read(path),
    }
}

/// The store, its tables brought up to date. A key that cannot be read, opens nothing of it or is not there any more leaves it as it is: a start
/// that comes to nothing must not have changed what other nodes stand on, which may be of the version before.
///
/// # Errors
/// When the key cannot be read, the store cannot be opened or is not one this version may change, or the key is another one.
pub async fn store(config: &Config, observer: Observer, now: Timestamp) -> anyhow::Result<Store> {
    let key = kept(&config.key)?;
    let store = Store::unmigrated(&config.store, Some(observer)).await?;
    if store.keys.is_there().await? {
        try_key(&config.key, key, &store).await?;
    }
    store.migrate(now).await?;
    Ok(store)
}

/// Whether a key, or that there is none, goes with what is sealed in the store.
async fn try_key(
    source: &KeySource,
    key: Option<GatewayKey>,
    store: &Store,
) -> Result<(), KeysFault> {
    match (key, source) {
        (Some(key), _) => {
            if let Some(sealed) = store.keys.get(SIGNING).await? {
                open(SIGNING, &sealed, &key)?;
            }
        }
        (None, KeySource::Kept(path)) => {
            // Unless another process has made the one and sealed the other since.
            if store.keys.any().await? && read(path)?.is_none() {
                return Err(KeysFault::Missing(path.clone()));
            }
        }
        (None, KeySource::Given(_)) => {}
    }
    Ok(())
}

/// The gateway key, made and written (mode 0600) where the file does not name one, there is none yet and nothing in the
/// store was sealed with one.
///
/// # Errors
/// When it cannot be read, is not there any more, or cannot be written.
pub async fn gateway_key(
    source: &KeySource,
    store: &Store,
    random: &Random,
) -> Result<GatewayKey, KeysFault> {
    let path = match source {
        KeySource::Given(key) => return Ok(key.clone()),
        KeySource::Kept(path) => path,
    };
    if let Some(key) = read(path)? {
        return Ok(key);
    }
    if store.keys.any().await? {
        // Unless another process has made the one and sealed the other since.
        return read(path)?.ok_or_else(|| KeysFault::Missing(path.clone()));
    }
    let key = GatewayKey::generate(random)?;
    write_new(path, &key, random).map_err(|error| KeysFault::File(path.clone(), error))?;
    tracing::info!(path = %path.display(), "made a gateway key");
    // Two processes that start at once: whoever wrote first is right.
    read(path)?.ok_or_else(|| KeysFault::Missing(path.clone()))
}

fn read(path: &Path) -> Result<Option<GatewayKey>, KeysFault> {
    match fs::read(path) {
        Ok(bytes) => match GatewayKey::parse(&bytes) {
            Ok(key) => Ok(Some(key)),
            Err(fault) => Err(KeysFault::Key(path.display().to_string(), fault)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(KeysFault::File(path.to_owned(), error)),
    }
}

/// Writes the file whole or not at all: to a name of its own first, then linked to where it belongs unless
/// somebody was there before.
fn write_new(path: &Path, key: &GatewayKey, random: &Random) -> io::Result<()> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    // A name of its own each time: one that was left behind, as by a full disk, stands in nobody's way.
    let draft = path.with_extension(format!("{}.new", PublicId::generate(random)));
    let written = write_draft(&draft, key);
    if let Err(error) = written {
        // Whether it can be removed or not, this is what went wrong.
        let _ = fs::remove_file(&draft);
        return Err(error);
    }
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn write_draft(draft: &Path, key: &GatewayKey) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)?;
    file.write_all(key.to_hex().expose().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// The key that signs assertions, the same on every node: sealed in the store, made at the first start.
///
/// # Errors
/// When the store does not answer, or what it holds does not open with this gateway key.
pub async fn signing_key(
    store: &Store,
    key: &GatewayKey,
    random: &Random,
    now: Timestamp,
) -> Result<Arc<SigningKey>, KeysFault> {
    let make = || Ok(SigningKey::generate_pkcs8()?);
    let opened = sealed(SIGNING, make, (store, key), random, now).await?;
    Ok(Arc::new(SigningKey::from_pkcs8(&opened)?))
}

/// The key that signs access tokens. Each algorithm has its own, so that a change of mind can be taken back.
///
/// # Errors
/// As [`signing_key`].
pub async fn access_key(
    algorithm: Algorithm,
    store: &Store,
    key: &GatewayKey,
    random: &Random,
    now: Timestamp,
) -> Result<AccessKey, KeysFault> {
    let name = format!("access/{}/1", algorithm.as_str().to_lowercase());
    let make = || Ok(algorithm.generate(random)?);
    let opened = sealed(&name, make, (store, key), random, now).await?;
    Ok(AccessKey::new(algorithm, &opened)?)
}

/// A key of this name, opened; made and kept if there is none.
async fn sealed(
    name: &str,
    make: impl FnOnce() -> Result<Secret<Vec<u8>>, KeysFault>,
    (store, key): (&Store, &GatewayKey),
    random: &Random,
    now: Timestamp,
) -> Result<Secret<Vec<u8>>, KeysFault> {
    let sealed = match store.keys.get(name).await? {
        Some(sealed) => sealed,
        None => {
            let sealed = key
                .seal(name, make()?.expose(), random)
                .map_err(|fault| KeysFault::Key(name.to_owned(), fault))?;
            store.keys.keep(name, sealed, now).await?
        }
    };
    open(name, &sealed, key)
}

fn open(name: &str, sealed: &[u8], key: &GatewayKey) -> Result<Secret<Vec<u8>>, KeysFault> {
    key.open(name, sealed)
        .map_err(|fault| KeysFault::Key(format!("the stored key {name}"), fault))
}
