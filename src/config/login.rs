//! How people log in and stay logged in: `login:`, `session:`, `bootstrap:` and `key:`.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::name::Username;
use crate::base::site::Sites;
use crate::crypto::access::Algorithm;
use crate::crypto::key::GatewayKey;
use crate::crypto::password::{self, Context, Password, Word};
use crate::identity::account::Demands;
use crate::identity::settings::{Register, SessionSettings, Settings};
use crate::identity::tokens::TokenSettings;
use crate::store::{self, DbUrl};
use crate::web::brand::Brand;

use super::raw::{At, Object};
use super::report::Fault;
use super::{Bootstrap, KeySource, secrets, values};

/// From a moment to ten years.
const SESSION: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_hours(24 * 3650);

/// What an access token says is believed without asking for a day at most; the session behind it is asked
/// every time.
const ACCESS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

/// Hashes below this are broken on a gaming card within days.
const LEAST_MEMORY_KIB: u64 = 8 * 1024;

/// More memory for one hash is a way to stop one's own machine.
const MOST_MEMORY_KIB: u64 = 4 * 1024 * 1024;

/// The gateway key where the file names none: beside the database.
const KEY_NAME: &str = "gateway.key";

/// Where it lies with the default database, relative to the file. One that is there is the one, wherever the database is.
const DEFAULT_KEY: &str = "data/gateway.key";

/// Passwords and sessions.
pub fn settings(file: &Object<'_>) -> Settings {
    let (tokens, algorithm) = tokens(file);
    let login = file.section("login", "login");
    let object = login.and_then(|login| login.section("password", "password"));
    let (register, verified_email) = object.as_ref().map_or_else(Default::default, |object| {
        doors(object, file.get("mail").is_some())
    });
    Settings {
        session: SessionSettings {
            demands: Demands { verified_email },
            ..session(file)
        },
        password: object
            .as_ref()
            .map_or(password::Settings::DEFAULT, password),
        register,
        tokens,
        algorithm,
    }
}

/// Who may make an account, and whether its address must be proved.
fn doors(object: &Object<'_>, has_mail: bool) -> (Register, bool) {
    let register = object
        .get("register")
        .and_then(|at| at.choice("kind of registration", &Register::ALL));
    let verify = object
        .get("verify_email")
        .and_then(|at| match at.boolean()? {
            true if !has_mail => at.refuse_with(
                "needs a way to send letters",
                "mail: { url: smtps://…, from: … }, or url: file:data/outbox to try it",
            ),
            verify => Some(verify),
        });
    (register.unwrap_or_default(), verify.unwrap_or(false))
}

fn tokens(file: &Object<'_>) -> (TokenSettings, Algorithm) {
    let mut settings = TokenSettings::DEFAULT;
    let Some(object) = file.section("tokens", "tokens") else {
        return (settings, Algorithm::default());
    };
    let span = |key, range| object.get(key).and_then(|at| values::duration(&at, range));
    settings.access = span("access", ACCESS).unwrap_or(settings.access);
    settings.refresh = span("refresh", SESSION).unwrap_or(settings.refresh);
    if settings.refresh < settings.access {
        object.at().warn(
            "refresh tokens end before access tokens do",
            "tokens: { access: 30m, refresh: 7d }",
        );
    }
    let algorithm = object
        .get("algorithm")
        .and_then(|at| at.choice("signing algorithm", &Algorithm::ALL));
    (settings, algorithm.unwrap_or_default())
}

fn session(file: &Object<'_>) -> SessionSettings {
    let default = SessionSettings::DEFAULT;
    let Some(object) = file.section("session", "session") else {
        return default;
    };
    let span = |key| {
        object
            .get(key)
            .and_then(|at| values::duration(&at, SESSION))
    };
    let (idle, max) = (span("idle"), span("max"));
    if let (Some(idle), Some(max)) = (idle, max)
        && idle > max
    {
        object.at().warn(
            "idle is longer than max, so it never ends a session",
            "lower idle, or raise max",
        );
    }
    let per_user = object.get("per_user").and_then(|at| at.integer(1..=1000));
    SessionSettings {
        idle: idle.unwrap_or(default.idle),
        max: max.unwrap_or(default.max),
        per_user,
        demands: default.demands,
    }
}

fn password(object: &Object<'_>) -> password::Settings {
    let mut settings = password::Settings::DEFAULT;
    if let Some(at) = object.get("min_length") {
        settings.min_length = at
            .integer(1..=128)
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(settings.min_length);
        if settings.min_length < password::Settings::DEFAULT.min_length {
            at.warn(
                "passwords this short are guessed",
                "NIST SP 800-63B asks for at least 8 characters",
            );
        }
    }
    if let Some(at) = object.get("blocklist") {
        settings.blocklist = at.boolean().unwrap_or(settings.blocklist);
        if !settings.blocklist {
            at.warn(
                "passwords that everybody tries first are accepted",
                "NIST SP 800-63B asks for a list of passwords that are refused",
            );
        }
    }
    if let Some(cost) = object.section("argon2", "argon2") {
        argon2(&cost, &mut settings);
    }
    settings
}

fn argon2(object: &Object<'_>, settings: &mut password::Settings) {
    let number = |key, most, default| {
        object
            .get(key)
            .and_then(|at| at.integer(1..=most))
            .unwrap_or(default)
    };
    if let Some(kib) = object.get("memory").and_then(|at| memory(&at)) {
        settings.memory_kib = kib;
    }
    settings.passes = number("passes", 64, settings.passes);
    settings.lanes = number("lanes", 16, settings.lanes);
    if settings.is_weak() {
        object.at().warn(
            "hashes are cheaper to guess than OWASP advises",
            "memory: 19MiB, passes: 2",
        );
    }
}

fn memory(at: &At<'_>) -> Option<u32> {
    match values::size(at)? / 1024 {
        kib if (LEAST_MEMORY_KIB..=MOST_MEMORY_KIB).contains(&kib) => u32::try_from(kib).ok(),
        _ => at.refuse("must be from 8MiB to 4GiB"),
    }
}

/// The first superuser.
pub fn bootstrap(
    file: &Object<'_>,
    passwords: password::Settings,
    words: Context,
) -> Option<Bootstrap> {
    let object = file.section("bootstrap", "bootstrap")?;
    let username: Option<Username> = object
        .require("username")
        .and_then(|at| at.parse("a username"));
    let at = object.require("password")?;
    let password = secrets::text(&at)?;
    let words = match &username {
        Some(username) => words.of_user(username, None),
        None => words,
    };
    if let Err(fault) = Password::chosen(password.expose(), &passwords, &words) {
        return at.refuse(format!("the password {fault}"));
    }
    Some(Bootstrap {
        username: username?,
        password,
    })
}

/// The words that make no password here: the names of the sites and of the brand.
pub fn words(sites: Option<&Sites>, brand: &Brand) -> Context {
    let context = Context::default().with(Word::Site, &brand.name);
    let hosts = sites.into_iter().flat_map(Sites::iter);
    hosts.fold(context, |context, site| {
        context.with(Word::Site, &site.host.to_string())
    })
}

/// The key beside a database. Where a database has none beside it, it may have been sealed with the usual one, which was
/// the default wherever the database was; a new database never is, or its secrets would go with what belongs to another.
fn key_beside(database: &Path, file: &At<'_>) -> PathBuf {
    let beside = database.with_file_name(KEY_NAME);
    let usual = file.reading().resolve(DEFAULT_KEY);
    if beside != usual && !beside.exists() && database.exists() && usual.exists() {
        file.reading().warning(Fault {
            path: "key".into(),
            hint: Some(format!("move {} to {}", usual.display(), beside.display())),
            ..Fault::of_file("the gateway key does not lie beside its database".to_owned())
        });
        return usual;
    }
    beside
}

/// The gateway key.
pub fn key(file: &Object<'_>, store: Option<&store::Settings>) -> Option<KeySource> {
    match file.get("key") {
        None => kept_key(file.at(), store),
        Some(at) => match GatewayKey::parse(secrets::bytes(&at)?.expose()) {
            Ok(key) => Some(KeySource::Given(key)),
            Err(error) => at.refuse_with("not a gateway key", error.to_string()),
        },
    }
}

/// The default key is made at the first start, beside the database whose secrets it seals: that is a place to write to.
/// Once it is there, it must be one.
fn kept_key(file: &At<'_>, store: Option<&store::Settings>) -> Option<KeySource> {
    let path = match store.map(|store| &store.url) {
        Some(DbUrl::SqliteFile(database)) => key_beside(database, file),
        _ => file.reading().resolve(DEFAULT_KEY),
    };
    let wrong = |message: String| {
        file.reading().fault(Fault {
            path: "key".into(),
            ..Fault::of_file(message)
        });
        None
    };
    match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(KeySource::Kept(path)),
        Err(error) => wrong(format!(
            "cannot read {}: {}",
            path.display(),
            secrets::reason(&error)
        )),
        Ok(bytes) => match GatewayKey::parse(&bytes) {
            Err(error) => wrong(format!("{}: {error}", path.display())),
            Ok(_) => {
                secrets::warn_if_public(file, &path);
                Some(KeySource::Kept(path))
            }
        },
    }
}
