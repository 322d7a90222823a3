//! One certificate: ordered, the name shown to be ours, and fetched. What an authority says is believed in nothing
//! that can be looked at: the name it wants to see must be the one that was asked for, the token a token, and the
//! certificate one of the key that was made here, for that name, and valid now.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeType, Error, Identifier, NewOrder,
    Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use crate::base::secret::Secret;
use crate::base::time::Timestamp;
use crate::crypto::certificate::{CertificateFault, Identity};
use crate::store::DbError;
use crate::store::acme::{Answer, Kind};

use super::answers::{self, AnswerFault};

/// How long an authority may take to look, and then to sign. Between two questions the pauses grow, or are as
/// long as it asks for.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .timeout(Duration::from_mins(1));

/// A clock that is a little slow takes nothing for a certificate of tomorrow.
const SKEW: Duration = Duration::from_mins(5);

/// What was issued, as it is kept.
pub(super) struct Issued {
    /// Chain, leaf first, as PEM.
    pub chain: String,
    /// The key, as PEM.
    pub key: Secret<String>,
    /// Both, ready to be served.
    pub identity: Arc<Identity>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum OrderFault {
    /// The authority said no, or nothing that can be understood.
    #[error("{0}")]
    Authority(#[from] Error),
    /// It wants to see something that was not asked for.
    #[error("the authority wants to see another name: {0}")]
    Elsewhere(String),
    /// None of its ways to look is one of ours.
    #[error("the authority offers no way to look that is allowed here")]
    NoWay,
    /// What was to be put in a URL or a certificate cannot be.
    #[error("the authority's token is none")]
    Token,
    /// It looked, and did not find the answer.
    #[error("the authority did not find the answer: {0}")]
    NotFound(String),
    /// It came to no end.
    #[error("the order is {0:?}, and goes no further")]
    Stuck(OrderStatus),
    /// What came is no certificate of the key that was made.
    #[error("what the authority issued cannot be used: {0}")]
    Junk(#[from] CertificateFault),
    /// It is for another name.
    #[error("what the authority issued is not for this name")]
    OtherName,
    /// It is not valid now.
    #[error("what the authority issued is valid from {0} to {1}")]
    OtherTime(Timestamp, Timestamp),
    /// An answer could not be made.
    #[error(transparent)]
    Answer(#[from] AnswerFault),
    /// A key or a request could not be made.
    #[error("no request for a certificate: {0}")]
    Request(#[from] rcgen::Error),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] DbError),
    /// What is kept could not be sealed or opened.
    #[error(transparent)]
    Key(#[from] crate::crypto::key::KeyFault),
    /// What was kept is not what was sealed.
    #[error("what is kept of the account cannot be read: {0}")]
    Account(#[from] serde_json::Error),
    /// No end within the lease.
    #[error("no certificate within {}", humantime::format_duration(*.0))]
    TooSlow(Duration),
}

/// Where answers are put, to be found on every node.
pub(super) trait Place: Sync {
    /// Has the answer found from now on.
    fn put(&self, answer: &Answer) -> impl Future<Output = Result<(), OrderFault>> + Send;
}

/// Orders a certificate. Answers that were put down stand in `put`, also when it fails.
///
/// # Errors
/// Why there is none.
pub(super) async fn order(
    account: &Account,
    name: &str,
    ways: &[Kind],
    place: &impl Place,
    now: impl Fn() -> Timestamp,
) -> Result<Issued, OrderFault> {
    let identifiers = [Identifier::Dns(name.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    prove(&mut order, name, ways, place).await?;
    match order.poll_ready(&PATIENCE).await? {
        OrderStatus::Ready => {}
        OrderStatus::Invalid => return Err(reason(&mut order).await),
        other => return Err(OrderFault::Stuck(other)),
    }
    let (request, key) = request(name)?;
    order.finalize_csr(&request).await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    let identity = checked(&chain, &key, name, now())?;
    Ok(Issued {
        chain,
        key,
        identity,
    })
}

/// Puts an answer where the authority looks, for each thing that it wants to see, and tells it to look.
async fn prove(
    order: &mut Order,
    name: &str,
    ways: &[Kind],
    place: &impl Place,
) -> Result<(), OrderFault> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let authorization = authorization?;
        let seen = authorization.identifier().to_string();
        if !seen.eq_ignore_ascii_case(name) {
            return Err(OrderFault::Elsewhere(seen));
        }
        if authorization.status != AuthorizationStatus::Valid {
            respond(authorization, name, ways, place).await?;
        }
    }
    Ok(())
}

async fn respond(
    mut authorization: AuthorizationHandle<'_>,
    name: &str,
    ways: &[Kind],
    place: &impl Place,
) -> Result<(), OrderFault> {
    let offered = |way: &&Kind| {
        let challenges = &authorization.challenges;
        challenges.iter().any(|one| one.r#type == challenge(**way))
    };
    let way = ways.iter().find(offered).copied();
    let way = way.ok_or(OrderFault::NoWay)?;
    let challenge = authorization.challenge(challenge(way));
    let mut challenge = challenge.ok_or(OrderFault::NoWay)?;
    if !answers::is_token(&challenge.token) {
        return Err(OrderFault::Token);
    }
    let authorized = challenge.key_authorization();
    let answer = answers::answer(way, name, &challenge.token, authorized.as_str());
    place.put(&answer).await?;
    challenge.set_ready().await?;
    Ok(())
}

const fn challenge(way: Kind) -> ChallengeType {
    match way {
        Kind::Http => ChallengeType::Http01,
        Kind::Tls => ChallengeType::TlsAlpn01,
    }
}

/// What the authority says it saw instead of the answer.
async fn reason(order: &mut Order) -> OrderFault {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else {
            break;
        };
        let said = state.challenges.iter().find_map(|one| one.error.as_ref());
        if let Some(problem) = said {
            return OrderFault::NotFound(problem.to_string());
        }
    }
    OrderFault::Stuck(OrderStatus::Invalid)
}

/// A request for a certificate, and the new key that it is for.
fn request(name: &str) -> Result<(Vec<u8>, Secret<String>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key)?;
    Ok((request.der().to_vec(), Secret::new(key.serialize_pem())))
}

fn checked(
    chain: &str,
    key: &Secret<String>,
    name: &str,
    now: Timestamp,
) -> Result<Arc<Identity>, OrderFault> {
    let identity = Identity::from_pem(chain.as_bytes(), key.expose().as_bytes())?;
    if !identity.covers(name) {
        return Err(OrderFault::OtherName);
    }
    if identity.is_expired(now) || identity.from() > now.plus(SKEW) {
        return Err(OrderFault::OtherTime(identity.from(), identity.until()));
    }
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::certificate::tests::made;

    #[test]
    fn f_07_what_an_authority_issues_is_looked_at() {
        let (chain, key) = made(&["a.test"]);
        let (other, _) = made(&["a.test"]);
        let key = Secret::new(key);
        let now = Timestamp::from_millis(1_800_000_000_000);
        assert!(checked(&chain, &key, "a.test", now).is_ok());
        let fault = |chain: &str, name: &str, now| checked(chain, &key, name, now).unwrap_err();
        assert!(matches!(fault("", "a.test", now), OrderFault::Junk(_)));
        assert!(matches!(
            fault("<html>", "a.test", now),
            OrderFault::Junk(_)
        ));
        assert!(matches!(fault(&other, "a.test", now), OrderFault::Junk(_)));
        assert!(matches!(
            fault(&chain, "b.test", now),
            OrderFault::OtherName
        ));
        let [long_ago, far_ahead] = [0, 100_000_000_000_000].map(Timestamp::from_millis);
        for now in [long_ago, far_ahead] {
            let said = fault(&chain, "a.test", now);
            assert!(matches!(said, OrderFault::OtherTime(..)), "{said}");
        }
    }

    #[test]
    fn a_request_names_what_is_wanted_and_nothing_else() {
        let (request, key) = request("a.test").unwrap();
        assert!(key.expose().contains("PRIVATE KEY"));
        let holds = |needle: &[u8]| request.windows(needle.len()).any(|part| part == needle);
        assert!(holds(b"a.test") && !holds(b"rcgen"));
    }
}
