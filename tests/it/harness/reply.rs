//! What the service behind the gateway is told to do about a request.

use std::time::Duration;

/// What is done about a request, step by step.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub(super) steps: Vec<Step>,
    pub(super) early: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Send(Vec<u8>),
    Pause(Duration),
    Echo,
    Close,
}

impl Reply {
    /// 200 with this body and a length.
    pub fn ok(body: &str) -> Self {
        Self::raw(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// Exactly these bytes.
    pub fn raw(bytes: impl AsRef<[u8]>) -> Self {
        Self::default().then(bytes)
    }

    /// More bytes.
    #[must_use]
    pub fn then(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.steps.push(Step::Send(bytes.as_ref().to_vec()));
        self
    }

    /// Nothing for a while: how a slow service looks.
    #[must_use]
    pub fn pause(mut self, time: Duration) -> Self {
        self.steps.push(Step::Pause(time));
        self
    }

    /// 101, and from then on every byte comes back: what a WebSocket looks like to whoever does not look inside.
    pub fn tunnel() -> Self {
        Self::raw(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )
        .echo()
    }

    /// Sends back what comes, and keeps it (see [`Recorder::tunnelled`]), until the other side ends.
    #[must_use]
    pub fn echo(mut self) -> Self {
        self.steps.push(Step::Echo);
        self
    }

    /// Hang up.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.steps.push(Step::Close);
        self
    }

    /// Answer as soon as the head is there, before the body is read.
    #[must_use]
    pub fn early(mut self) -> Self {
        self.early = true;
        self
    }
}
