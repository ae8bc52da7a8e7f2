//! Events that came without an id of their own from a list of messages, which says when each metric first happened.
//!
//! Such a list and the feed tell of the same events, one without their ids. So a pulled event stands only where none that
//! came by another way says the same. Which ones stand is a function of the set of the delivery's events, like all else.

use super::{Event, Millis};

/// The ids of pulled events begin so. No sender makes such an id.
pub const PREFIX: &str = "pulled-";

/// How far apart the two may put one event, in milliseconds.
pub const NEAR_MS: Millis = 60_000;

/// Whether an event was pulled.
pub fn is_pulled(event: &Event) -> bool {
    event.id.starts_with(PREFIX)
}

/// For each event of a delivery, whether it is a pulled one that another makes superfluous: an event of the same metric
/// within a minute of it; or an earlier one, since a pulled time is that of the first. An open or click that the list gives to
/// a person or to a machine is the first of that kind.
pub fn absorbed(events: &[Event]) -> Vec<bool> {
    let says = |event: &Event, pulled: &Event| {
        let after = event.time.ms.saturating_sub(pulled.time.ms);
        let is_of_kind = pulled.flags.machine.is_none_or(|machine| machine == (event.flags.machine == Some(true)));
        event.metric == pulled.metric && (after.abs() <= NEAR_MS || (after < 0 && is_of_kind))
    };
    let own = || events.iter().filter(|event| !is_pulled(event));
    events.iter().map(|event| is_pulled(event) && own().any(|own| says(own, event))).collect()
}

#[cfg(test)]
mod tests {
    use crate::domain::{EventTime, MetricName};

    use super::*;

    fn event(metric: &str, id: &str, minutes: f64, machine: Option<bool>) -> Event {
        let ms = (minutes * 60_000.0) as Millis;
        let mut event = Event::new("d", MetricName::parse(metric), id, EventTime::given(ms), ms);
        event.flags.machine = machine;
        event
    }

    #[test]
    fn a_pulled_event_stands_where_no_other_says_it() {
        let (by_person, by_machine) = (Some(false), Some(true));
        for (metric, minutes, machine, pulled, is_absorbed) in [
            ("opened", 10.0, None, None, true),
            ("opened", 11.0, None, None, true),
            ("opened", 9.0, None, None, true),
            // the feed missed the first
            ("opened", 11.1, None, None, false),
            ("opened", 3.0, None, None, true),
            ("clicked", 10.0, None, None, false),
            // a machine's open says nothing of a later one by a person, but one of the same moment is the same
            ("opened", 3.0, by_machine, by_person, false),
            ("opened", 10.0, by_machine, by_person, true),
            ("opened", 3.0, by_person, by_person, true),
            ("opened", 3.0, None, by_person, true),
            ("opened", 3.0, None, by_machine, false),
            ("opened", 3.0, by_machine, by_machine, true),
        ] {
            let events = [event("opened", "pulled-600", 10.0, pulled), event(metric, "a", minutes, machine)];
            assert_eq!(absorbed(&events), [is_absorbed, false], "{metric} {minutes} {machine:?} {pulled:?}");
        }
        let pulled = [event("opened", "pulled-1", 10.0, None), event("opened", "pulled-2", 10.0, None)];
        assert_eq!(absorbed(&pulled), [false, false]);
    }
}
