//! A PostgreSQL server for tests, and databases in it: Debian's programs, started by the first test that asks.
//!
//! One server serves a whole test process; every test has a database of its own. A shell holds the server and
//! waits for our end (its standard input closes, however we end), then stops it and removes its files. The
//! library's own tests include this file as well, so it knows nothing of either side.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "shared by tests that each use a part of it; a test that cannot go on has failed"
)]

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The password of the account that owns the databases.
pub const PASSWORD: &str = "a test's own";

const PATIENCE: Duration = Duration::from_mins(1);

/// As root, the server runs as `postgres`, since it refuses to run as root.
const KEEPER: &str = r#"
trap '' INT TERM HUP
folder=$1 programs=$2 port=$3 leader=$4 leaders_port=$5 as=
if [ "$(id -u)" = 0 ]; then
    chown -R postgres "$folder"
    as='setpriv --reuid=postgres --regid=postgres --clear-groups'
fi
if [ "$leader" ]; then
    $as "$programs/pg_basebackup" --no-sync --username=postgres --host="$leader" --port="$leaders_port" \
        --checkpoint=fast --write-recovery-conf --pgdata="$folder/data" >"$folder/log" 2>&1
else
    $as "$programs/initdb" --no-sync --username=postgres --auth-local=trust --auth-host=scram-sha-256 \
        --pwfile="$folder/password" --encoding=UTF8 --locale=C "$folder/data" >"$folder/log" 2>&1
fi
$as "$programs/postgres" -D "$folder/data" -p "$port" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories="$folder" -c fsync=off -c full_page_writes=off -c max_connections=400 \
    -c ssl=on -c ssl_cert_file="$folder/tls.crt" -c ssl_key_file="$folder/tls.key" >>"$folder/log" 2>&1 &
server=$!
cat >/dev/null
kill -QUIT "$server" 2>/dev/null
wait "$server"
rm -rf -- "$folder"
"#;

/// A running server.
pub struct Server {
    folder: PathBuf,
    programs: PathBuf,
    port: u16,
    /// Waits for our end, so nobody waits for its own.
    keeper: Child,
    _life: ChildStdin,
}

/// A database that is dropped with this value.
pub struct Database {
    server: &'static Server,
    name: String,
}

impl Server {
    /// The server of this test process.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let server = Self::started(None);
        server.sql(
            "postgres",
            &format!(
                "CREATE ROLE gate LOGIN PASSWORD '{}'",
                PASSWORD.replace('\'', "''")
            ),
        );
        server
    }

    /// Another one that follows the shared one, with all its databases, and takes no changes.
    pub fn following() -> Self {
        Self::started(Some(Self::shared()))
    }

    /// Follows nobody any more, once it has all that the shared one has written by now. That one stays up.
    pub fn promote(&self) {
        let written = Self::shared().sql("postgres", "SELECT pg_current_wal_insert_lsn()");
        let has_all = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'");
        let end = Instant::now() + PATIENCE;
        while self.sql("postgres", &has_all) != "t" {
            assert!(Instant::now() < end, "it does not follow");
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(self.sql("postgres", "SELECT pg_promote()"), "t");
    }

    fn started(leader: Option<&Self>) -> Self {
        let programs = programs();
        // Somebody may take the port between our looking and the server's.
        let tries = (0..3).find_map(|_| Self::try_start(&programs, leader));
        tries.expect("no port for PostgreSQL")
    }

    fn try_start(programs: &Path, leader: Option<&Self>) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("portcullis-pg-").tempdir();
        let folder = folder.unwrap().keep();
        let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        write(&folder, "password", PASSWORD);
        write(&folder, "tls.crt", &identity.cert.pem());
        write(&folder, "tls.key", &identity.signing_key.serialize_pem());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        let port = port.unwrap().port();
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .args([folder.as_path(), programs])
            .arg(port.to_string())
            .args(leader.map(|leader| leader.folder.clone()))
            .args(leader.map(|leader| leader.port.to_string()))
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let server = Self {
            folder,
            programs: programs.to_owned(),
            port,
            _life: keeper.stdin.take().unwrap(),
            keeper,
        };
        server.wait().then_some(server)
    }

    /// Waits until it answers; `false` when its port was taken.
    fn wait(&self) -> bool {
        let end = Instant::now() + PATIENCE;
        while !self
            .try_sql("postgres", "SELECT 1")
            .is_ok_and(|said| said == "1")
        {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            if log.contains("could not create any TCP/IP sockets") {
                return false;
            }
            assert!(Instant::now() < end, "PostgreSQL does not start:\n{log}");
            thread::sleep(Duration::from_millis(20));
        }
        true
    }

    /// Where it listens, with TLS for those who ask for it.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate it shows, which is its own authority.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("tls.crt")
    }

    fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, sql)
            .unwrap_or_else(|said| panic!("{sql}: {said}"))
    }

    fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let output = Command::new(self.programs.join("psql"))
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "postgres",
            ])
            .arg("-h")
            .arg(&self.folder)
            .args(["-p", &self.port.to_string(), "-d", database, "-c", sql])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }
}

impl Database {
    /// A new one, empty, in the shared server.
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let server = Server::shared();
        let name = format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let make = format!("CREATE DATABASE {name} OWNER gate TEMPLATE template0");
        server.sql("postgres", &make);
        Self { server, name }
    }

    /// Its address over TCP, at this port of this machine: the server's, or that of something in between.
    pub fn url_at(&self, port: u16) -> String {
        let password = PASSWORD.replace(' ', "%20").replace('\'', "%27");
        format!("postgres://gate:{password}@127.0.0.1:{port}/{}", self.name)
    }

    /// Its address over TCP.
    pub fn url(&self) -> String {
        self.url_at(self.server.port)
    }

    /// Its address over the socket, where no password is asked for.
    pub fn socket_url(&self) -> String {
        self.socket_url_of(&[self.server])
    }

    /// Its address over the sockets of several servers.
    pub fn socket_url_of(&self, servers: &[&Server]) -> String {
        let all: Vec<String> = servers
            .iter()
            .map(|server| {
                let folder = server.folder.display().to_string();
                format!("{}:{}", folder.replace('/', "%2F"), server.port)
            })
            .collect();
        format!("postgres://gate@{}/{}", all.join(","), self.name)
    }

    /// Runs SQL as the server's superuser, and gives what it says, columns parted by `|`.
    pub fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.name, sql)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        // A test that has failed says more than this would.
        let _ = self.server.try_sql("postgres", &drop);
    }
}

/// The newest of Debian's programs. Without them there is no test, and that is a failure.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let number = |path: &PathBuf| -> Option<u32> { path.file_name()?.to_str()?.parse().ok() };
    versions
        .filter_map(|version| Some(version.ok()?.path()))
        .filter(|path| path.join("bin/initdb").exists())
        .max_by_key(number)
        .expect(
            "PostgreSQL's server is not installed: apt-get install postgresql (tests/run does it)",
        )
        .join("bin")
}

fn write(folder: &Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    fs::File::create(&path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}
