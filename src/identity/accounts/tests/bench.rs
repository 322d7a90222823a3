//! Accounts over a real store, with a clock that is moved by hand and dice that are known.

use crate::crypto::access::{AccessKey, Algorithm};
use crate::crypto::key::GatewayKey;
use crate::identity::accounts::*;
use crate::identity::login::Notices;
use crate::identity::outbox::Outbox;
use crate::identity::session::{Begun, Opening};
use crate::identity::settings::SessionSettings;
use crate::identity::tokens::{TokenSettings, Tokens};
use crate::store::users::{NewUser, User};
use crate::store::{DbUrl, Settings as StoreSettings, VolatileKind};

pub(super) const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
pub(super) const NEW: &str = "orchard lantern 58 quay";

pub(super) struct Bench {
    pub(super) accounts: Accounts,
    pub(super) clock: Clock,
    /// Throws what the accounts throw next.
    pub(super) twin: Random,
    pub(super) user: User,
}

pub(super) fn links() -> Links {
    Links {
        origin: "https://app.test".into(),
        prefix: "/auth".into(),
    }
}

pub(super) fn address() -> IpAddr {
    "10.0.0.1".parse().unwrap()
}

pub(super) fn email() -> Email {
    "alice@example.test".parse().unwrap()
}

pub(super) fn password() -> Secret<String> {
    Secret::new(NEW.to_owned())
}

pub(super) async fn bench() -> Bench {
    let settings = StoreSettings {
        url: DbUrl::SqliteMemory,
        volatile: VolatileKind::Store,
    };
    let store = Store::open(&settings, START, None).await.unwrap();
    let (clock, random) = (Clock::manual(START), Random::seeded(1));
    let new = NewUser {
        subject: PublicId::generate(&random),
        username: "alice".parse().unwrap(),
        may_reuse_name: true,
        email: Some(email()),
        password_hash: None,
        is_active: true,
        is_superuser: true,
        is_verified: false,
        must_change_password: false,
        roles: BTreeSet::new(),
    };
    let user = store.users.insert(&new, START).await.unwrap();
    let accounts = accounts(store, &clock, &random);
    Bench {
        accounts,
        clock,
        twin: Random::seeded(7),
        user,
    }
}

fn accounts(store: Store, clock: &Clock, random: &Random) -> Accounts {
    let cheap = password::Settings {
        memory_kib: 8,
        passes: 1,
        ..password::Settings::DEFAULT
    };
    let key = GatewayKey::generate(random).unwrap();
    let outbox = Outbox::new(store.outbox.clone(), key.clone(), random.clone());
    let notices = Notices {
        mailer: Mailer::new(outbox.clone(), random.clone(), None),
        hooks: Hooks::new(outbox, random.clone(), Vec::new()),
    };
    let both = || (clock.clone(), random.clone());
    let sessions = Sessions::new(
        store.clone(),
        clock.clone(),
        random.clone(),
        SessionSettings::DEFAULT,
    );
    let made = Algorithm::Es256.generate(random).unwrap();
    let tokens = Tokens::new(
        (sessions.clone(), Arc::clone(&store.volatile)),
        (AccessKey::new(Algorithm::Es256, &made).unwrap(), &key),
        both(),
        "https://app.test".into(),
        TokenSettings::DEFAULT,
    );
    let hashing = Hashing::new(1);
    let doors = (sessions.clone(), tokens);
    let logins = Logins::new(
        store.clone(),
        doors,
        (hashing.clone(), notices.clone()),
        both(),
        cheap,
    );
    let parts = Parts {
        store,
        sessions,
        logins: logins.unwrap(),
        hashing,
        mailer: notices.mailer,
        hooks: notices.hooks,
        clock: clock.clone(),
        random: Random::seeded(7),
    };
    let terms = Terms {
        password: cheap,
        words: Context::default(),
        register: Register::Open,
        named: Named::default(),
    };
    Accounts::new(parts, terms)
}

impl Bench {
    /// What stands behind the next link.
    pub(super) fn next_token(&self) -> String {
        Token::generate(&self.twin).unwrap().expose().to_owned()
    }

    pub(super) async fn session(&self) -> Begun {
        let opening = Opening {
            user: &self.user,
            ip: address(),
            user_agent: "test",
        };
        let sessions = &self.accounts.parts().sessions;
        sessions.begin(&opening, None).await.unwrap()
    }

    /// Changes what is theirs, in this session and without the current password.
    pub(super) async fn change(
        &self,
        begun: &Begun,
        change: MeChange,
    ) -> Result<Changed, AccountFault> {
        let live = self
            .accounts
            .parts()
            .sessions
            .find(&begun.token)
            .await
            .unwrap()
            .unwrap();
        let actor = Actor {
            who: &live.identity,
            sid: live.sid,
            since: live.began_at,
            password_version: live.password_version,
            ip: address(),
        };
        self.accounts.change_me(&actor, &change, &links()).await
    }
}
