//! The judgement of one request: rule, identity, decision.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;

use crate::base::identity::Method;
use crate::base::secret::Secret;
use crate::base::token::TokenHash;
use crate::crypto::client::ClientCertificate;
use crate::identity::IdentityFault;
use crate::identity::session::{Live, Sessions};
use crate::identity::tokens::Tokens;
use crate::policy::decide::{Decision, Evidence, Verdict, decide};
use crate::policy::index::Selection;
use crate::policy::readings::{TwoReadings, settle};
use crate::policy::rule::Rule;
use crate::policy::target::{Target, Verb};

use super::snapshot::Snapshot;
use super::turn::Turns;

/// The engine. Clones share what it knows.
#[derive(Clone)]
pub struct Gate {
    sessions: Sessions,
    tokens: Tokens,
    turns: Arc<Turns>,
}

/// What a request presents, unproved.
#[derive(Debug)]
pub struct Presented {
    /// The client's address, after trusted proxies were taken off; none where they name nobody.
    pub ip: Option<IpAddr>,
    /// The hash of the token in its session cookie, if it has exactly one.
    pub session: Option<TokenHash>,
    /// What stands behind `Bearer` in its `Authorization` header.
    pub bearer: Option<Secret<String>>,
    /// The certificate that its connection was made with: the client's own, not that of a proxy in front.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// Whether it changes nothing: its method is safe (RFC 9110 section 9.2.1), and it opens no tunnel.
    pub safe: bool,
}

/// A decision, and the session it rests on.
#[derive(Debug)]
pub struct Judged {
    /// What is to be done.
    pub decision: Decision,
    /// The session that proved the identity; when it ends, so does the request.
    pub session: Option<Arc<Live>>,
    /// Whether the bearer token was spent here; a service is then not shown it.
    pub spent_bearer: bool,
}

/// No judgement was possible. The request is refused.
#[derive(Debug, thiserror::Error)]
pub enum JudgeFault {
    /// The path has two readings.
    #[error(transparent)]
    Path(#[from] TwoReadings),
    /// A credential is there, and is not good.
    #[error("the access token is not good, or no more")]
    Credential,
    /// A certificate was shown, and does not count.
    #[error("the client certificate does not count, or no more")]
    Certificate,
    /// Two credentials name different users.
    #[error("two credentials name two users")]
    TwoUsers,
    /// Nobody can say who asks.
    #[error(transparent)]
    Identity(#[from] IdentityFault),
}

/// Who asks, and how they prove it.
type Proof = (Method, Arc<Live>);

impl Gate {
    /// An engine over these sessions and tokens.
    #[must_use]
    pub const fn new(sessions: Sessions, tokens: Tokens, turns: Arc<Turns>) -> Self {
        Self {
            sessions,
            tokens,
            turns,
        }
    }

    /// Whether a judgement counts: one that rests on somebody's roles does not when a reload has begun since the snapshot
    /// was taken, and is to be made again by the new one.
    #[must_use]
    pub fn counts(&self, snapshot: &Snapshot, judged: &Judged) -> bool {
        judged.session.is_none() || self.turns.is(snapshot.turn)
    }

    /// Waits until no reload is under way.
    pub async fn settled(&self) {
        self.turns.settled().await;
    }

    /// The rules that a request is judged by.
    ///
    /// # Errors
    /// When the path is ambiguous; nothing may be forwarded then.
    pub fn select(&self, snapshot: &Snapshot, target: &Target) -> Result<Selection, JudgeFault> {
        let paths = |upstream: &str| snapshot.paths_of(upstream);
        Ok(settle(&snapshot.policy, target, paths)?)
    }

    /// Judges a request by what is known without asking anybody: of one whose session is remembered, or who proves
    /// nothing. That is nearly every request, so it waits for nothing and carries no room for waiting.
    #[must_use]
    pub fn judge_at_hand(&self, selection: &Selection, presented: &Presented) -> Option<Judged> {
        if !selection.reporting.is_empty() {
            return None;
        }
        let accepted = |method| selection.accepts(method);
        let token = presented.bearer.is_some() && accepted(Method::Jwt);
        let certificate = presented.certificate.is_some() && accepted(Method::Mtls);
        if token || certificate {
            return None;
        }
        let live = match presented.session.filter(|_| accepted(Method::Session)) {
            Some(hash) => usable(Some(self.sessions.find_at_hand(hash)?)),
            None => None,
        };
        let proof = live.map(|live| (Method::Session, live));
        let decision = decide(selection, &evidence(presented, proof.as_ref()));
        Some(Judged::of(decision, proof))
    }

    /// Judges a request.
    ///
    /// # Errors
    /// When a credential is no good, or the store does not answer; nothing may be forwarded then.
    pub async fn judge(
        &self,
        selection: &Selection,
        presented: &Presented,
    ) -> Result<Judged, JudgeFault> {
        let (accepted, preferred) = (
            |method| selection.accepts(method),
            |method| selection.all_accept(method),
        );
        let proof = match self.authenticate(accepted, preferred, presented).await {
            Err(JudgeFault::Identity(fault @ IdentityFault::Store(_)))
                if is_for_anybody(selection, presented) =>
            {
                tracing::warn!(%fault, "cannot tell who asks, who is let in as anybody is");
                None
            }
            proof => proof?,
        };
        let mut decision = decide(selection, &evidence(presented, proof.as_ref()));
        if !selection.reporting.is_empty() {
            decision.reports = self.reports(selection, presented).await;
        }
        Ok(Judged::of(decision, proof))
    }

    /// Whether a line of `Authorization` has a token of ours in it, in whatever way it is written: a service that is shown it
    /// could do with it what its user can.
    #[must_use]
    pub fn holds_token(&self, line: &HeaderValue) -> bool {
        let pieces = line.as_bytes().split(|byte| b" \t,;=\"".contains(byte));
        let mut texts = pieces.filter_map(|piece| std::str::from_utf8(piece).ok());
        texts.any(|text| self.tokens.made(text))
    }

    /// The rules that would decide on a request of another method: what a browser asks before it sends that request.
    /// Nothing is proved and nothing permitted by it.
    #[must_use]
    pub fn preview(&self, snapshot: &Snapshot, target: &Target, method: Verb) -> Option<Selection> {
        let paths = |upstream: &str| snapshot.paths_of(upstream);
        settle(&snapshot.policy, &target.with_method(method), paths).ok()
    }

    /// A tunnel that rests on this session is in use.
    pub fn note_use(&self, live: &Arc<Live>) {
        self.sessions.note_use(live);
    }

    /// What the reporting rules would have said, of what they accept: they do not decide, so that a credential
    /// which is only theirs is neither spent nor refused.
    async fn reports(
        &self,
        selection: &Selection,
        presented: &Presented,
    ) -> Vec<(Arc<Rule>, Verdict)> {
        let reporting = &selection.reporting;
        let accepted = |method| reporting.iter().any(|rule| rule.auth.contains(&method));
        let proof = match self.authenticate(accepted, accepted, presented).await {
            Err(JudgeFault::Credential | JudgeFault::Certificate | JudgeFault::TwoUsers) => None,
            Err(fault) => {
                tracing::warn!(%fault, "cannot say what the rules that only report would have said");
                return Vec::new();
            }
            Ok(proof) => proof,
        };
        decide(selection, &evidence(presented, proof.as_ref())).reports
    }

    /// Tries only what is accepted; a request without credentials touches no store.
    ///
    /// A token or a certificate that is there was chosen by somebody for this gateway, so it never falls through to
    /// a cookie or to nobody: what is wrong with it would else be found out late, or by the wrong person. A cookie
    /// is nobody's choice, and an old one counts as absent.
    async fn authenticate(
        &self,
        accepted: impl Fn(Method) -> bool + Send + Sync,
        preferred: impl Fn(Method) -> bool + Send + Sync,
        presented: &Presented,
    ) -> Result<Option<Proof>, JudgeFault> {
        let mut proofs: [Option<Proof>; 3] = [None, None, None];
        let [by_token, by_certificate, by_cookie] = &mut proofs;
        if let Some(hash) = presented.session.filter(|_| accepted(Method::Session)) {
            let found = usable(self.sessions.find_hash(hash).await?);
            *by_cookie = found.map(|live| (Method::Session, live));
        }
        if let Some(bearer) = presented.bearer.as_ref().filter(|_| accepted(Method::Jwt)) {
            let found = Box::pin(self.tokens.find(bearer.expose())).await?;
            let live = usable(found).ok_or(JudgeFault::Credential)?;
            *by_token = Some((Method::Jwt, live));
        }
        let shown = presented.certificate.as_ref();
        if let Some(shown) = shown.filter(|_| accepted(Method::Mtls)) {
            let found = Box::pin(self.sessions.find_certificate(shown)).await?;
            let live = usable(found).ok_or(JudgeFault::Certificate)?;
            *by_certificate = Some((Method::Mtls, live));
        }
        one_user(&proofs, preferred)
    }
}

/// Whether it makes no difference to the rule who asks, nor to the service who reads: then a cookie that may be of last week is
/// no reason to refuse what strangers are given. What changes something would be done in nobody's name.
fn is_for_anybody(selection: &Selection, presented: &Presented) -> bool {
    let token = presented.bearer.is_some() && selection.accepts(Method::Jwt);
    let certificate = presented.certificate.is_some() && selection.accepts(Method::Mtls);
    let open = |rule: &Arc<Rule>| rule.lets_everybody_in();
    let all_open = selection.rule.is_some() && selection.deciding().all(open);
    presented.safe && !token && !certificate && all_open
}

impl Judged {
    fn of(decision: Decision, proof: Option<Proof>) -> Self {
        Self {
            decision,
            spent_bearer: matches!(proof, Some((Method::Jwt, _))),
            session: proof.map(|(_, live)| live),
        }
    }
}

/// The first of what was proved, when all of it names one user: of what is `preferred`, if there is any.
fn one_user(
    proofs: &[Option<Proof>],
    preferred: impl Fn(Method) -> bool,
) -> Result<Option<Proof>, JudgeFault> {
    let mut ids = proofs.iter().flatten().map(|(_, live)| live.identity.id);
    let id = ids.next();
    if ids.any(|other| Some(other) != id) {
        return Err(JudgeFault::TwoUsers);
    }
    let is_preferred = |proof: &&Proof| preferred(proof.0);
    let found = proofs.iter().flatten().find(is_preferred);
    Ok(found.or_else(|| proofs.iter().flatten().next()).cloned())
}

fn evidence(presented: &Presented, proof: Option<&Proof>) -> Evidence {
    Evidence {
        ip: presented.ip,
        proof: proof.map(|(method, live)| (*method, Arc::clone(&live.identity))),
    }
}

/// A session that opens more than the way to another password.
fn usable(session: Option<Arc<Live>>) -> Option<Arc<Live>> {
    session.filter(|live| !live.must_change_password)
}
