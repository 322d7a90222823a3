//! The account at an authority: made once, and kept sealed for every node.

use instant_acme::{Account, AccountCredentials, Error, NewAccount};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::base::secret::Secret;

use super::Settings;
use super::client::Client;
use super::order::OrderFault;
use super::worker::Inner;

/// What is read of the account's credentials.
#[derive(Deserialize)]
struct Named {
    id: String,
}

impl Inner {
    /// The account at the authority, made where there is none yet.
    pub(super) async fn account(
        &self,
        settings: &Settings,
        client: &Client,
    ) -> Result<Account, OrderFault> {
        let name = account_name(settings);
        let _alone = self.account.lock().await;
        let sealed = match self.store.keys.get(&name).await? {
            Some(sealed) => sealed,
            None => {
                let made = self.register(settings, client).await?;
                let sealed = self.key.seal(&name, made.expose(), &self.random)?;
                self.store
                    .keys
                    .keep(&name, sealed, self.clock.now())
                    .await?
            }
        };
        let opened = self.key.open(&name, &sealed)?;
        let credentials: AccountCredentials = serde_json::from_slice(opened.expose())?;
        let builder = Account::builder_with_http(Box::new(client.clone()));
        Ok(builder.from_credentials(credentials).await?)
    }

    async fn register(
        &self,
        settings: &Settings,
        client: &Client,
    ) -> Result<Secret<Vec<u8>>, OrderFault> {
        let contact = contact(settings);
        let wanted = NewAccount {
            contact: &[&contact],
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let builder = Account::builder_with_http(Box::new(client.clone()));
        let directory = settings.directory.to_string();
        let (_, credentials) = builder.create(&wanted, directory, None).await?;
        Ok(Secret::new(serde_json::to_vec(&credentials)?))
    }

    /// Whether the account is why an order failed: the authority has lost it, or closed it (RFC 8555 section 7.3.6).
    ///
    /// "Unauthorized" may be about a name as well, and the account as good as ever: only where it may not say either where
    /// its letters go, which is what it said before, is it closed.
    pub(super) async fn is_without_account(
        &self,
        settings: &Settings,
        account: &Account,
        fault: &OrderFault,
    ) -> bool {
        if is(fault, "unauthorized") {
            let said = account.update_contacts(&[&contact(settings)]).await;
            let said = said.map_err(OrderFault::Authority);
            said.is_err_and(|fault| is(&fault, "unauthorized") || is(&fault, "accountDoesNotExist"))
        } else {
            is(fault, "accountDoesNotExist")
        }
    }

    /// An authority that has lost the account, or closed it, gets a new one next time. Of several orders that found it
    /// so the last must not forget the one that was made meanwhile.
    pub(super) async fn forget_account(
        &self,
        settings: &Settings,
        lost: &Account,
    ) -> Result<(), OrderFault> {
        let name = account_name(settings);
        let Some(sealed) = self.store.keys.get(&name).await? else {
            return Ok(());
        };
        let opened = self.key.open(&name, &sealed)?;
        let kept: Named = serde_json::from_slice(opened.expose())?;
        if kept.id == lost.id() {
            self.store.keys.forget(&name, &sealed).await?;
        }
        Ok(())
    }
}

/// Whether an authority's problem is of this kind (RFC 8555 section 6.7).
fn is(fault: &OrderFault, kind: &str) -> bool {
    let OrderFault::Authority(Error::Api(problem)) = fault else {
        return false;
    };
    let own = problem.r#type.as_deref();
    own.and_then(|own| own.strip_prefix("urn:ietf:params:acme:error:")) == Some(kind)
}

fn contact(settings: &Settings) -> String {
    format!("mailto:{}", settings.email)
}

/// Another address or authority is another account.
fn account_name(settings: &Settings) -> String {
    let whose = format!("{}\n{}", settings.directory, settings.email);
    format!("acme/account/{}", hex::encode(Sha256::digest(whose)))
}
