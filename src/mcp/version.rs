//! The revisions of the protocol, and what differs between them.

use std::fmt;

/// A revision of the protocol that this server speaks, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtocolVersion {
    /// 2025-03-26: batches, no structured content, no version header.
    V2025_03_26,
    /// 2025-06-18: the version header, titles and structured content; no batches.
    V2025_06_18,
    /// 2025-11-25: the last revision with a handshake.
    V2025_11_25,
    /// 2026-07-28: no handshake, no session, metadata on each request.
    V2026_07_28,
}

impl ProtocolVersion {
    /// All revisions, newest first: the order in which they are offered.
    pub const ALL: [Self; 4] = [Self::V2026_07_28, Self::V2025_11_25, Self::V2025_06_18, Self::V2025_03_26];
    /// What `initialize` answers when it is asked for a revision that has no handshake, or for an unknown one.
    pub const NEWEST_LEGACY: Self = Self::V2025_11_25;
    /// What a request without any sign of a version speaks (2025-11-25, basic/transports, "Protocol Version Header").
    pub const ASSUMED: Self = Self::V2025_03_26;

    /// The revision of this date.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == text)
    }

    /// The revision's date, as it stands in messages and headers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// Does every request carry its own metadata, with no handshake before it?
    #[must_use]
    pub fn is_modern(self) -> bool {
        self >= Self::V2026_07_28
    }

    /// May one body carry several messages?
    #[must_use]
    pub fn has_batches(self) -> bool {
        self == Self::V2025_03_26
    }

    /// May content be a link to a resource?
    #[must_use]
    pub fn has_resource_links(self) -> bool {
        self >= Self::V2025_06_18
    }

    /// May the server close a connection in the middle of a stream, for the client to come back?
    #[must_use]
    pub fn polls_streams(self) -> bool {
        self == Self::V2025_11_25
    }

    /// Do tools, prompts and resources have titles, tools output schemas, and results structured content?
    #[must_use]
    pub fn has_structured_content(self) -> bool {
        self >= Self::V2025_06_18
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
