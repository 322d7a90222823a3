//! What comes next for a request. Nearly always it is forwarded, and for that nothing is waited for; whatever else
//! happens is a future of its own, so that a request does not carry the room, nor its code the steps, of all of them.

use std::pin::Pin;

/// What is done with a request once it was looked at.
pub enum Next<'a> {
    /// It goes on to its upstream.
    Forward,
    /// It is answered here, by this.
    Answer(Answering<'a>),
}

/// An answer that is being made and sent. Whether there was one, as Pingora asks.
pub type Answering<'a> = Pin<Box<dyn Future<Output = pingora::Result<bool>> + Send + 'a>>;

impl<'a> Next<'a> {
    /// It is answered here. Few requests are, so that the code for it is kept out of the way of the others.
    #[cold]
    pub fn answer(answering: impl Future<Output = pingora::Result<bool>> + Send + 'a) -> Self {
        Self::Answer(Box::pin(answering))
    }

    /// Whether the request has been answered.
    ///
    /// # Errors
    /// When it could not be.
    pub async fn answered(self) -> pingora::Result<bool> {
        match self {
            Self::Forward => Ok(false),
            Self::Answer(answering) => answering.await,
        }
    }
}
