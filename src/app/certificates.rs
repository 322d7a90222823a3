//! Certificates, those we show and those we are shown: read at the start, and kept where a reload, the watch and the
//! listeners find them.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::base::time::{Clock, Timestamp};
use crate::config::Tls;
use crate::crypto::keyring::Keyring;
use crate::identity::session::Sessions;
use crate::proxy::tls::{Clients, Files, Handshakes, TlsFault};

/// All of them. Clones share it.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// What is shown to clients.
    pub keyring: Arc<Keyring>,
    /// What of it is in files.
    pub files: Arc<Files>,
    /// Who vouches for what clients show.
    pub clients: Arc<Clients>,
    /// Held while files are read and put in force: by a reload, which does other things in between, or by the watch.
    pub changing: Arc<Mutex<()>>,
}

impl Certificates {
    /// Reads what a configuration names, and puts it in force.
    ///
    /// # Errors
    /// When something cannot be used.
    pub fn read(tls: &Tls, sessions: &Sessions, now: Timestamp) -> Result<Self, TlsFault> {
        let keyring = Arc::new(Keyring::default());
        let files = Arc::new(Files::new(Arc::clone(&keyring)));
        files.install(files.read(&tls.certificates, now)?);
        let clients = Arc::new(Clients::new(Arc::clone(sessions.roots())));
        clients.install(clients.read(tls.clients.as_ref())?);
        Ok(Self {
            keyring,
            files,
            clients,
            changing: Arc::default(),
        })
    }

    /// How the https listener shakes hands.
    #[must_use]
    pub fn handshakes(&self, sessions: &Sessions, clock: Clock) -> Handshakes {
        let roots = Arc::clone(sessions.roots());
        Handshakes::new(Arc::clone(&self.keyring), roots, clock)
    }
}
