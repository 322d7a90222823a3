//! A folder with a gateway.yaml in it, built from a sensible default.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::postgres::Database;
use super::process::{self, Said};
use super::recorder::Recorder;
use super::tls::Identity;
use super::{Gateway, gateway};

/// The rules a setup has unless told otherwise.
pub const RULES: &str = r"
  - { path: /public/**, allow: anyone }
  - { path: /app/**, allow: signed_in }
  - { path: /admin/**, allow: { role: admin } }
";

/// The store of a setup that is about SQLite's files, and of all others unless `PORTCULLIS_TEST_STORE=postgres`.
const SQLITE: &str = "sqlite:data/portcullis.db";

/// The store of the others then: the address of a database of their own, in a file beside the configuration.
const POSTGRES: &str = "file:store.url";

/// What a configuration is made of before it is written. Every key is YAML text; see [`Setup::set`].
#[derive(Clone)]
pub struct Setup {
    keys: BTreeMap<String, String>,
    upstreams: BTreeMap<String, String>,
    users: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    recorder: Recorder,
    identity: Option<Identity>,
    assets: Vec<(String, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// Site `http://localhost`, a recorder as upstream `web`, users alice (role user) and root (role
    /// admin), and [`RULES`].
    pub fn new() -> Self {
        Self::before(Recorder::start())
    }

    /// The same, in front of this recorder.
    pub fn before(recorder: Recorder) -> Self {
        let setup = Self {
            keys: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            users: Vec::new(),
            environment: Vec::new(),
            recorder,
            identity: None,
            assets: Vec::new(),
        };
        let url = setup.recorder.url();
        setup
            .set("site", "http://localhost")
            .set("listen", r#"{ http: "127.0.0.1:0", admin: "127.0.0.1:0" }"#)
            .store()
            .threads()
            .set(
                "login",
                "{ password: { argon2: { memory: 8MiB, passes: 1, lanes: 1 } } }",
            )
            .set("roles", "{ user: [], admin: [user] }")
            .set("defaults", "{ to: web, auth: [session] }")
            .rules(RULES)
            .upstream("web", &format!("{{ to: \"{url}\" }}"))
            .user("alice", "user")
            .user("root", "admin")
    }

    /// Sets a top-level key to this YAML (on one line, or a block that begins with a line break).
    #[must_use]
    pub fn set(mut self, key: &str, yaml: &str) -> Self {
        self.keys.insert(key.into(), yaml.into());
        self
    }

    /// Keeps everything in SQLite, whatever the other tests are run on: for what looks into its files.
    #[must_use]
    pub fn on_sqlite(self) -> Self {
        self.set("store", SQLITE).without("key")
    }

    fn store(self) -> Self {
        match std::env::var("PORTCULLIS_TEST_STORE").as_deref() {
            Ok("postgres") => self.set("store", POSTGRES).set("key", "file:store.key"),
            Ok("sqlite") | Err(_) => self.on_sqlite(),
            Ok(other) => {
                panic!("PORTCULLIS_TEST_STORE is '{other}', and neither postgres nor sqlite")
            }
        }
    }

    /// As many as `PORTCULLIS_TEST_THREADS` says: one alone has a scheduler of its own.
    fn threads(self) -> Self {
        match std::env::var("PORTCULLIS_TEST_THREADS") {
            Ok(threads) => self.set("threads", &threads),
            Err(_) => self,
        }
    }

    /// Removes a top-level key.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.keys.remove(key);
        self
    }

    /// Replaces the rules: lines `  - { … }`.
    #[must_use]
    pub fn rules(self, rules: &str) -> Self {
        let block = format!("\n{}", rules.trim_matches('\n'));
        self.set("rules", &block)
    }

    /// Adds (or replaces) an upstream.
    #[must_use]
    pub fn upstream(mut self, name: &str, yaml: &str) -> Self {
        self.upstreams.insert(name.into(), yaml.into());
        self
    }

    /// Adds a user, made by the command line before the gateway starts. E-mail: `NAME@example.test`;
    /// password: [`password`].
    #[must_use]
    pub fn user(mut self, name: &str, roles: &str) -> Self {
        self.users.push((name.into(), roles.into()));
        self
    }

    /// Starts with nobody in the store.
    #[must_use]
    pub fn nobody(mut self) -> Self {
        self.users.clear();
        self
    }

    /// Puts a file beside the configuration, readable by everybody.
    #[must_use]
    pub fn asset(mut self, name: &str, text: &str) -> Self {
        self.assets.push((name.into(), text.into()));
        self
    }

    /// Adds an environment variable for the gateway.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Lets the gateway have so many files open and no more.
    #[must_use]
    pub fn descriptors(self, most: u32) -> Self {
        self.wrapped(&format!("ulimit -n {most}; exec \"$@\""))
    }

    /// Has the gateway started by a shell script, whose arguments are the program and its arguments.
    #[must_use]
    pub fn wrapped(self, script: &str) -> Self {
        self.env(process::WRAPPER, script)
    }

    /// Serves TLS too, with a certificate for `names`; the sites become `https://NAME`.
    #[must_use]
    pub fn tls(mut self, names: &[&str]) -> Self {
        self.identity = Some(Identity::new(names));
        let sites: Vec<String> = names
            .iter()
            .map(|name| format!("\"https://{name}\""))
            .collect();
        self.set("site", &format!("[{}]", sites.join(", ")))
            .set("tls", "{ certificate: tls.crt, key: tls.key }")
            .set(
                "listen",
                r#"{ http: "127.0.0.1:0", https: "127.0.0.1:0", admin: "127.0.0.1:0" }"#,
            )
    }

    /// The recorder behind upstream `web`.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The file's text.
    pub fn yaml(&self) -> String {
        let mut text = String::new();
        for (key, value) in &self.keys {
            let gap = if value.starts_with('\n') { "" } else { " " };
            let _ = writeln!(text, "{key}:{gap}{value}");
        }
        let _ = writeln!(text, "upstreams:");
        for (name, value) in &self.upstreams {
            let _ = writeln!(text, "  {name}: {value}");
        }
        text
    }

    /// Writes the folder and stops there: for `check`, `test` and the like.
    pub fn folder(&self) -> Folder {
        let on_postgres = self
            .keys
            .get("store")
            .is_some_and(|store| store == POSTGRES);
        let folder = Folder {
            folder: TempDir::with_prefix("portcullis-it-").unwrap(),
            database: on_postgres.then(Database::new),
        };
        if let Some(database) = &folder.database {
            folder.write("store.url", &database.url());
            folder.write("store.key", &"a7".repeat(32));
        }
        folder.write("gateway.yaml", &self.yaml());
        for (name, text) in &self.assets {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        if let Some(identity) = &self.identity {
            folder.write("tls.crt", &identity.certificate);
            folder.write("tls.key", &identity.key);
        }
        folder
    }

    /// Writes the folder, adds the users, starts the gateway and waits until it is ready.
    pub fn start(self) -> Gateway {
        self.try_start().unwrap_or_else(|output| panic!("{output}"))
    }

    /// The same, but answers with all output when the gateway does not come up.
    pub fn try_start(self) -> Result<Gateway, String> {
        let folder = self.folder();
        for (name, roles) in &self.users {
            folder.add_user(name, roles).fine();
        }
        Gateway::launch(folder, self.recorder, self.identity, &self.environment)
    }
}

/// The password of a test's user.
pub fn password(name: &str) -> String {
    format!("the password of {name} is long")
}

/// A gateway's folder on disk, and its database where that is elsewhere; they go away with this value.
pub struct Folder {
    folder: TempDir,
    database: Option<Database>,
}

impl Folder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.path().join("gateway.yaml")
    }

    /// Writes a file into the folder, readable by the owner alone.
    pub fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Runs a command on this folder's configuration.
    pub fn cli(&self, arguments: &[&str], input: &str) -> Said {
        let config = self.config();
        let mut all = vec!["-c", config.to_str().unwrap()];
        all.extend_from_slice(arguments);
        process::run(self.path(), &all, input)
    }

    /// The same, with these environment variables besides ours.
    pub fn cli_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
        let config = self.config();
        let mut all = vec!["-c", config.to_str().unwrap()];
        all.extend_from_slice(arguments);
        process::run_with(self.path(), &all, "", environment)
    }

    /// The one value that a `SELECT` finds, wherever this folder's store is.
    pub fn stored(&self, select: &str) -> String {
        if let Some(database) = &self.database {
            return database.sql(select);
        }
        let store = rusqlite::Connection::open(self.path().join("data/portcullis.db")).unwrap();
        store.query_row(select, [], |row| row.get(0)).unwrap()
    }

    /// Adds a user as an administrator would.
    pub fn add_user(&self, name: &str, roles: &str) -> Said {
        let email = format!("{}@example.test", gateway::plain(name));
        let mut arguments = vec!["user", "add", name, "--email", &email];
        if !roles.is_empty() {
            arguments.extend_from_slice(&["--roles", roles]);
        }
        arguments.push("--password-stdin");
        self.cli(&arguments, &format!("{}\n", password(name)))
    }
}
