//! The limits that a client can run into, as metrics name them.

/// What there was too much of, or what took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// A request head that was not there in time, or came in too many pieces.
    Head,
    /// A request body that came too slowly.
    Body,
    /// An answer that was not taken in time.
    Reader,
    /// A TLS handshake that was not done in time.
    Handshake,
    /// Connections from one address.
    Address,
    /// Requests of one address at a time.
    Requests,
    /// Connections altogether.
    Connections,
    /// File descriptors of the process.
    Descriptors,
    /// Answers that are compressed at a time.
    Compressed,
    /// Conversations that may run ahead, at a time.
    Conversations,
    /// HTTP/2 streams at a time.
    Streams,
    /// HTTP/2 streams that were reset, by the client or for its faults.
    Resets,
    /// HTTP/2 frames that belong to no request.
    Frames,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 13] = [
        Self::Head,
        Self::Body,
        Self::Reader,
        Self::Handshake,
        Self::Address,
        Self::Requests,
        Self::Connections,
        Self::Descriptors,
        Self::Compressed,
        Self::Conversations,
        Self::Streams,
        Self::Resets,
        Self::Frames,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Body => "body",
            Self::Reader => "reader",
            Self::Handshake => "handshake",
            Self::Address => "address",
            Self::Requests => "requests",
            Self::Connections => "connections",
            Self::Descriptors => "descriptors",
            Self::Compressed => "compressed",
            Self::Conversations => "conversations",
            Self::Streams => "streams",
            Self::Resets => "resets",
            Self::Frames => "frames",
        }
    }
}
