use std::time::Duration;

/// How often somebody is told something (the API's rules for webhooks).
pub(crate) const TELLINGS: i32 = 8;

/// Why an attempt to tell somebody something came to nothing.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// One sentence for people; holds no secret.
    pub why: String,
    /// The HTTP status that was answered.
    pub status: Option<u16>,
    /// There is no sense in trying again.
    pub lasting: bool,
    /// How long the receiver asked to wait.
    pub asked: Option<Duration>,
}

impl Trouble {
    pub(crate) fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), status: None, lasting: true, asked: None }
    }

    pub(crate) fn passing(why: impl Into<String>) -> Self {
        Self { lasting: false, ..Self::lasting(why) }
    }

    /// An attempt that began after the last one.
    pub(crate) fn worn() -> Self {
        Self::lasting("whoever was at it ended before the answer came, in the last attempt too")
    }

    /// Whether another attempt follows this one.
    pub(super) fn passes(&self, attempt: i32) -> bool {
        !self.lasting && attempt < TELLINGS
    }
}
