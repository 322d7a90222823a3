//! A certificate authority for tests: Debian's pebble, and the DNS server that makes it look for every name on
//! this machine.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::process::Process;
use super::tls::Identity;
use super::within;

/// A running authority; dropping it ends it.
pub struct Pebble {
    server: Process,
    _names: Process,
    folder: TempDir,
    ports: [u16; 2],
    own: Identity,
}

/// Where it looks, and for how long what it issues is good.
#[derive(Clone, Copy)]
pub struct Looks {
    /// The port of requests in the clear.
    pub http: u16,
    /// The port of handshakes.
    pub tls: u16,
    /// Seconds.
    pub life: u64,
}

/// Ports of this machine that nobody listens on just now, and that the system gives to nobody who asks for any.
pub fn free_ports<const N: usize>() -> [u16; N] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    // Other test processes begin elsewhere.
    let begin = std::process::id().wrapping_mul(7919);
    [(); N].map(|()| {
        for _ in 0..COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let port = FIRST + begin.wrapping_add(step) % COUNT;
            let port = u16::try_from(port).unwrap();
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return port;
            }
        }
        panic!("no port is free");
    })
}

impl Pebble {
    /// Starts one.
    pub fn start(looks: Looks) -> Self {
        Self::start_at(free_ports(), Identity::new(&["localhost"]), looks)
    }

    /// Ends it and starts another in its place, which knows nothing of what was before.
    pub fn replaced(self, looks: Looks) -> Self {
        let (ports, own) = (self.ports, self.own.clone());
        drop(self);
        Self::start_at(ports, own, looks)
    }

    fn start_at(ports: [u16; 2], own: Identity, looks: Looks) -> Self {
        let folder = TempDir::with_prefix("portcullis-pebble-").unwrap();
        let (names, answers) = names(folder.path());
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("own.crt", &own.certificate);
        write("own.key", &own.key);
        let [port, management] = ports;
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": "own.crt",
            "privateKey": "own.key",
            "httpPort": looks.http,
            "tlsPort": looks.tls,
            "certificateValidityPeriod": looks.life,
        } });
        write("pebble.json", &config.to_string());
        let environment = [("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_VA_ALWAYS_VALID", "0")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let server = format!("127.0.0.1:{answers}");
        let pebble = Process::of(
            Path::new("pebble"),
            folder.path(),
            &["-config", "pebble.json", "-dnsserver", &server],
            &environment,
        );
        within(super::PATIENCE, || {
            pebble
                .out()
                .contains("ACME directory available")
                .then_some(())
        })
        .unwrap_or_else(|| panic!("pebble: {}{}", pebble.out(), pebble.err()));
        Self {
            server: pebble,
            _names: names,
            folder,
            ports,
            own,
        }
    }

    /// Where its directory is.
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.ports[0])
    }

    /// The certificate by which it is known itself.
    pub fn own(&self) -> &str {
        &self.own.certificate
    }

    /// What stands behind the certificates that it issues.
    pub fn root(&self) -> Identity {
        let own = self.folder.path().join("own.crt");
        let url = format!("https://localhost:{}/roots/0", self.ports[1]);
        let said = Command::new("curl")
            .args(["-sS", "--cacert", own.to_str().unwrap(), &url])
            .output()
            .unwrap();
        let certificate = String::from_utf8(said.stdout).unwrap();
        assert!(certificate.contains("BEGIN CERTIFICATE"), "{certificate}");
        Identity {
            certificate,
            key: String::new(),
        }
    }

    /// How many orders it was given.
    pub fn orders(&self) -> usize {
        self.log().matches("Added order").count()
    }

    /// Everything it said.
    pub fn log(&self) -> String {
        self.server.out() + &self.server.err()
    }
}

/// A server that knows every name to be this machine, and its port.
fn names(folder: &Path) -> (Process, u16) {
    let [port, management] = free_ports();
    let server = Process::of(
        Path::new("pebble-challtestsrv"),
        folder,
        &[
            "-dns01",
            &format!("127.0.0.1:{port}"),
            "-management",
            &format!("127.0.0.1:{management}"),
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
            "-defaultIPv6",
            "",
        ],
        &[],
    );
    (server, port)
}
