//! What several tables show in the same way.

use serde_json::{Value, json};

use crate::identity::session::SessionInfo;

use super::visit::Member;
use super::{device, moment};

/// A session; `base` is where forms that end one are sent.
#[must_use]
pub fn session(member: &Member, info: &SessionInfo, base: &str) -> Value {
    let now = member.visit.web.clock.now();
    json!({
        "action": format!("{base}/{}/end", info.sid),
        "device": device::name(&info.user_agent),
        "ip": info.ip,
        "seen": moment::ago(info.seen_at, now),
        "began": moment::minute(info.created_at),
        "fixed": false,
        "current": info.sid == member.proved.live.sid.to_string(),
    })
}

/// Which part of a list a page shows, and the way to the pages before and after it.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// From 1.
    pub number: u32,
    /// How many rows there are.
    pub total: u64,
}

/// Rows on one page.
pub const ROWS: u32 = 50;

impl Page {
    /// The page of this number in a query.
    #[must_use]
    pub fn new(asked: Option<&str>, total: u64) -> Self {
        let last = u32::try_from(total.div_ceil(ROWS.into()))
            .unwrap_or(u32::MAX)
            .max(1);
        let asked: u32 = asked.and_then(|text| text.parse().ok()).unwrap_or(1);
        Self {
            number: asked.clamp(1, last),
            total,
        }
    }

    /// Rows before it.
    #[must_use]
    pub const fn skip(self) -> u32 {
        (self.number - 1).saturating_mul(ROWS)
    }

    /// What a page shows of it; `place` ends where the number of a page is to be put.
    #[must_use]
    pub fn shown(self, place: &str) -> Value {
        let first = u64::from(self.skip()) + 1;
        let last = (u64::from(self.skip()) + u64::from(ROWS)).min(self.total);
        let range = if first == 1 && last == self.total {
            format!("{} in all", self.total)
        } else {
            format!("{first} to {last} of {}", self.total)
        };
        let to = |number: u32| format!("{place}page={number}");
        json!({
            "range": range,
            "previous": (self.number > 1).then(|| to(self.number - 1)),
            "following": (last < self.total).then(|| to(self.number + 1)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ad_11_pages_stay_within_the_list() {
        for (asked, total, number, range) in [
            (None, 0, 1, "0 in all"),
            (None, 50, 1, "50 in all"),
            (Some("1"), 51, 1, "1 to 50 of 51"),
            (Some("2"), 51, 2, "51 to 51 of 51"),
            (Some("99999999999"), 51, 1, "1 to 50 of 51"),
            (Some("4000000000"), 51, 2, "51 to 51 of 51"),
            (Some("-1"), 51, 1, "1 to 50 of 51"),
            (Some("0"), 51, 1, "1 to 50 of 51"),
            (Some("<b>"), 51, 1, "1 to 50 of 51"),
        ] {
            let page = Page::new(asked, total);
            let shown = page.shown("?");
            assert_eq!(
                (page.number, &shown["range"]),
                (number, &json!(range)),
                "{asked:?}"
            );
            assert_eq!(shown["previous"].is_null(), number == 1);
        }
    }
}
