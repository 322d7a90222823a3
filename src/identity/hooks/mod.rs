//! Webhooks: other programs, told what happened here.
//!
//! `event` says what can be told, [`settings`] to whom, `signature` how they know that it was us. What is
//! told waits in the outbox and is sent through [`crate::outbound`]: at least once, in no promised order, again
//! for a day until the receiver answers 2xx. A receiver tells repetitions by the id.

mod event;
pub mod settings;
mod signature;

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::base::id::PublicId;
use crate::base::random::Random;
use crate::base::secret::Secret;
use crate::base::time::{Clock, Timestamp};
use crate::outbound::{Outbound, OutboundFault, Question};
use crate::store::outbox::Kind;

use super::IdentityFault;
use super::outbox::worker::{Courier, Delivery};
use super::outbox::{Outbox, Parcel};

pub use event::{Event, Invited, Person, Topic};
pub use settings::{Hook, HookSecret};

/// Tells events to the hooks of the file. Clones share the settings in force.
#[derive(Clone)]
pub struct Hooks {
    outbox: Outbox,
    random: Random,
    list: Arc<ArcSwap<Vec<Hook>>>,
}

/// Brings events from the outbox to the hooks.
#[derive(Clone)]
pub struct Messenger {
    list: Arc<ArcSwap<Vec<Hook>>>,
    outbound: Outbound,
    clock: Clock,
}

/// An event for one hook, as it waits in the outbox. The hook's URL and secret stay in the file.
#[derive(Serialize, Deserialize)]
struct Call {
    hook: String,
    id: String,
    body: String,
}

/// What every hook is sent.
#[derive(Serialize)]
struct Told<'a> {
    id: String,
    event: &'static str,
    at: Timestamp,
    data: &'a Event,
}

/// A hook did not take an event.
#[derive(Debug, thiserror::Error)]
pub enum HookFault {
    /// There was no answer.
    #[error("hook '{0}': {1}")]
    Silent(String, OutboundFault),
    /// The answer was not 2xx.
    #[error("hook '{0}' answered {1}")]
    Answered(String, StatusCode),
}

impl Hooks {
    /// Over the hooks of the file.
    #[must_use]
    pub fn new(outbox: Outbox, random: Random, hooks: Vec<Hook>) -> Self {
        Self {
            outbox,
            random,
            list: Arc::new(ArcSwap::from_pointee(hooks)),
        }
    }

    /// Puts other hooks in force, for events that wait as well.
    pub fn install(&self, hooks: Vec<Hook>) {
        self.list.store(Arc::new(hooks));
    }

    /// Tells every hook that wants to know. Returns when that is safely kept, not when they have been told.
    ///
    /// # Errors
    /// When the store does not answer; no hook is told then.
    pub async fn tell(&self, event: &Event, now: Timestamp) -> Result<(), IdentityFault> {
        let parcels = self.parcels(event, now)?;
        self.outbox.put(Kind::Hook, parcels, now).await
    }

    fn parcels(&self, event: &Event, now: Timestamp) -> Result<Vec<Parcel>, IdentityFault> {
        let hooks = self.list.load_full();
        let mut wanting = hooks
            .iter()
            .filter(|hook| hook.wants(event.topic))
            .peekable();
        if wanting.peek().is_none() {
            return Ok(Vec::new());
        }
        let id = PublicId::generate(&self.random).to_string();
        let body = body(&id, event, now)?;
        wanting.map(|hook| parcel(hook, &id, &body)).collect()
    }

    /// Tells the hook of this name, whether it wants to know or not. Says whether there is one.
    ///
    /// # Errors
    /// As [`Hooks::tell`].
    pub async fn tell_one(
        &self,
        name: &str,
        event: &Event,
        now: Timestamp,
    ) -> Result<bool, IdentityFault> {
        let hooks = self.list.load_full();
        let Some(hook) = hooks.iter().find(|hook| hook.name == name) else {
            return Ok(false);
        };
        let id = PublicId::generate(&self.random).to_string();
        let parcel = parcel(hook, &id, &body(&id, event, now)?)?;
        self.outbox.put(Kind::Hook, vec![parcel], now).await?;
        Ok(true)
    }

    /// Who brings events to the hooks.
    #[must_use]
    pub fn messenger(&self, outbound: Outbound, clock: Clock) -> Messenger {
        Messenger {
            list: Arc::clone(&self.list),
            outbound,
            clock,
        }
    }
}

impl Courier for Messenger {
    const KIND: Kind = Kind::Hook;
    // Of several receivers, one may hang for seconds each time.
    const AT_ONCE: usize = 64;

    async fn deliver(&self, body: &[u8]) -> Delivery {
        let Ok(call) = serde_json::from_slice::<Call>(body) else {
            return Delivery::Never("the stored event cannot be read".into());
        };
        let hooks = self.list.load_full();
        let Some(hook) = hooks.iter().find(|hook| hook.name == call.hook) else {
            // That of another node may have it, or of the next process: it is a day's time that ends this.
            return Delivery::Later(format!(
                "the file of this gateway has no hook '{}'",
                call.hook
            ));
        };
        match send(&self.outbound, hook, &call, self.clock.now()).await {
            Ok(_) => Delivery::Done,
            Err(fault) => Delivery::Later(fault.to_string()),
        }
    }
}

/// Tells one hook one event at once, without the outbox, and gives its answer: for trying it out.
///
/// # Errors
/// When it did not take it.
pub async fn tell_now(
    outbound: &Outbound,
    hook: &Hook,
    event: &Event,
    random: &Random,
    now: Timestamp,
) -> Result<StatusCode, HookFault> {
    let id = PublicId::generate(random).to_string();
    let body = body(&id, event, now).unwrap_or_default();
    let hook_name = hook.name.clone();
    let call = Call {
        hook: hook_name,
        id,
        body,
    };
    send(outbound, hook, &call, now).await
}

async fn send(
    outbound: &Outbound,
    hook: &Hook,
    call: &Call,
    now: Timestamp,
) -> Result<StatusCode, HookFault> {
    let question = Question {
        method: Method::POST,
        url: hook.url.clone(),
        reach: hook.reach,
        headers: headers(hook, call, now),
        body: Bytes::from(call.body.clone()),
    };
    match outbound.ask(question).await {
        Ok(answer) if answer.status.is_success() => Ok(answer.status),
        Ok(answer) => Err(HookFault::Answered(hook.name.clone(), answer.status)),
        Err(fault) => Err(HookFault::Silent(hook.name.clone(), fault)),
    }
}

/// The three headers of Standard Webhooks 1.0; the time is that of the attempt.
fn headers(hook: &Hook, call: &Call, now: Timestamp) -> HeaderMap {
    let seconds = now.seconds();
    let signature = signature::of(&hook.secret, &call.id, seconds, &call.body);
    let fields = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (HeaderName::from_static("webhook-id"), call.id.clone()),
        (
            HeaderName::from_static("webhook-timestamp"),
            seconds.to_string(),
        ),
        (HeaderName::from_static("webhook-signature"), signature),
    ];
    let valid = |(name, value): (_, String)| Some((name, HeaderValue::try_from(value).ok()?));
    fields.into_iter().filter_map(valid).collect()
}

fn body(id: &str, event: &Event, at: Timestamp) -> Result<String, IdentityFault> {
    let told = Told {
        id: id.to_owned(),
        event: event.topic.as_str(),
        at,
        data: event,
    };
    serde_json::to_string(&told).map_err(|error| IdentityFault::Outbox(error.to_string()))
}

fn parcel(hook: &Hook, id: &str, body: &str) -> Result<Parcel, IdentityFault> {
    let call = Call {
        hook: hook.name.clone(),
        id: id.to_owned(),
        body: body.to_owned(),
    };
    let bytes =
        serde_json::to_vec(&call).map_err(|error| IdentityFault::Outbox(error.to_string()))?;
    Ok(Parcel {
        key: format!("{id}/{}", hook.name),
        body: Secret::new(bytes),
    })
}

#[cfg(test)]
mod tests;
