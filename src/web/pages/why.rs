//! Why deliveries failed: the most frequent reasons, each with its log.

use super::parts::Linked;
use crate::store::query::reasons::Reasons;
use crate::web::address::Address;
use crate::web::format::{Iso, ToMinute};

/// The most frequent reasons of the newest deliveries with one.
pub struct Why {
    pub rows: Vec<Reason>,
    /// "newest", "all".
    pub of: &'static str,
    pub deliveries: Linked,
    /// What limits them: since when, and how many are not shown.
    pub more: String,
}

pub struct Reason {
    pub text: String,
    pub deliveries: Linked,
}

impl Why {
    /// Up to `shown` reasons of what the log finds. `None`: none was given.
    pub fn new(reasons: &Reasons, log: &Address, shown: usize) -> Option<Why> {
        let Reasons { deliveries, since_ms, grouped, .. } = reasons;
        let log = match since_ms {
            Some(since_ms) => log.clone().set("since", Iso(*since_ms)),
            None => log.clone(),
        };
        let of = |reason: &str| log.clone().set("reason", reason).to_string();
        let row = |(text, n): &(String, i64)| Reason { text: text.clone(), deliveries: Linked::new(*n, of(text)) };
        let mut more = since_ms.map_or(String::new(), |since_ms| format!(", created since {}", ToMinute(since_ms)));
        if let rarer @ 1.. = grouped.len().saturating_sub(shown) {
            more.push_str(&format!("; + {rarer} less common"));
        }
        (!grouped.is_empty()).then(|| Why {
            rows: grouped.iter().take(shown).map(row).collect(),
            of: if since_ms.is_some() { "newest" } else { "all" },
            deliveries: Linked::new(*deliveries, of("*")),
            more,
        })
    }
}
