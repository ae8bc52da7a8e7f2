//! The columns of a delivery's row that move with its events.
//!
//! SQLite leaves the pages of new rows full, and a row that then grows splits its page in two. So these take the same
//! bytes from the first event on: one number of six bytes and three of four. The view `deliveries_read` unpacks the same.

use crate::domain::{Delivery, Metric, Millis, Reached, Standing};

/// A time after creation is stored less this, so that up to 24 days of them take four bytes.
const AFTER_FROM: i64 = i32::MAX as i64;

/// It is not decided.
const NEVER: i64 = -1 - AFTER_FROM;

/// Makes the number large, and leaves room below for what is not the count of events.
const LARGE: i64 = 1 << 46;
const OUTCOME_FROM: u32 = 21;
const ENGAGEMENT_FROM: u32 = 26;
const EVENTS_FROM: u32 = 31;

/// As the columns have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// From the lowest bit: 21 bits of what was reached, five each for the metrics of outcome and engagement (0: none),
    /// then how many events.
    pub standing: i64,
    pub updated_after: i64,
    pub outcome_after: i64,
    pub engagement_after: i64,
}

/// What the columns say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpacked {
    pub updated_at_ms: Millis,
    pub outcome: Option<Standing>,
    pub engagement: Option<Standing>,
    pub reached: Reached,
    pub events: u32,
}

impl Progress {
    pub fn of(delivery: &Delivery) -> Progress {
        let code = |standing: Option<Standing>| standing.map_or(0, |standing| i64::from(standing.metric.code()));
        let after = |at_ms: Millis| at_ms - delivery.created_at_ms - AFTER_FROM;
        let decided = |standing: Option<Standing>| standing.map_or(NEVER, |standing| after(standing.at_ms));
        Progress {
            standing: LARGE
                + (i64::from(delivery.reached.0)
                    | code(delivery.outcome) << OUTCOME_FROM
                    | code(delivery.engagement) << ENGAGEMENT_FROM
                    | i64::from(delivery.events) << EVENTS_FROM),
            updated_after: after(delivery.updated_at_ms),
            outcome_after: decided(delivery.outcome),
            engagement_after: decided(delivery.engagement),
        }
    }

    pub fn unpack(self, created_at_ms: Millis) -> Unpacked {
        let (reached, outcome, engagement) = standing(self.standing);
        let decided = |after: i64, code: u8| {
            let metric = Metric::from_code(code)?;
            Some(Standing { metric, at_ms: created_at_ms + after + AFTER_FROM })
        };
        Unpacked {
            updated_at_ms: updated_at_ms(created_at_ms, self.updated_after),
            outcome: decided(self.outcome_after, outcome),
            engagement: decided(self.engagement_after, engagement),
            reached: Reached(reached),
            events: ((self.standing - LARGE) >> EVENTS_FROM) as u32,
        }
    }
}

/// What was reached, and the codes of outcome and engagement (0: none), of a `standing`.
pub fn standing(standing: i64) -> (u32, u8, u8) {
    let standing = standing - LARGE;
    let code = |from: u32| (standing >> from & 31) as u8;
    ((standing & ((1 << OUTCOME_FROM) - 1)) as u32, code(OUTCOME_FROM), code(ENGAGEMENT_FROM))
}

/// How long after creation, of a time as it is stored.
pub fn after(stored: i64) -> Millis {
    stored + AFTER_FROM
}

/// When a delivery was updated.
pub fn updated_at_ms(created_at_ms: Millis, updated_after: i64) -> Millis {
    created_at_ms + after(updated_after)
}

const _: () = assert!(crate::domain::Counted::COUNT as u32 <= OUTCOME_FROM);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Event, EventTime, MetricName};

    const AT: Millis = 1_790_000_000_000;
    const DAY: Millis = 86_400_000;

    fn delivery() -> Delivery {
        let event = Event::new("d", MetricName::parse("drafted"), "e", EventTime::given(AT), AT);
        Delivery::of([&event]).unwrap()
    }

    /// How many bytes SQLite stores a number in.
    fn bytes(number: i64) -> u32 {
        [8, 16, 24, 32, 48].into_iter().find(|bits| (-1 << (bits - 1)..1 << (bits - 1)).contains(&number)).unwrap() / 8
    }

    fn standing() -> impl Strategy<Value = Option<Standing>> {
        proptest::option::of((prop::sample::select(&Metric::ALL[..]), 0..40 * DAY))
            .prop_map(|found| found.map(|(metric, after)| Standing { metric, at_ms: AT + after }))
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(
            updated in prop_oneof![0..DAY, 0..400 * DAY], outcome in standing(), engagement in standing(),
            reached in 0..1u32 << 21, events in prop_oneof![1..9u32, any::<u32>().prop_map(|n| n >> 1)],
        ) {
            let delivery = Delivery {
                updated_at_ms: AT + updated, outcome, engagement, reached: Reached(reached), events, ..delivery()
            };
            let said = Unpacked { updated_at_ms: AT + updated, outcome, engagement, reached: Reached(reached), events };
            prop_assert_eq!(Progress::of(&delivery).unpack(AT), said);
        }

        #[test]
        fn a_row_does_not_grow(after in 0..24 * DAY, reached in 0..1u32 << 21, events in 1..32_768u32) {
            let standing = Some(Standing { metric: Metric::Undeliverable, at_ms: AT + after });
            let late = Delivery {
                updated_at_ms: AT + after, outcome: standing, engagement: standing, reached: Reached(reached), events,
                ..delivery()
            };
            for Progress { standing, updated_after, outcome_after, engagement_after } in
                [delivery(), late].map(|delivery| Progress::of(&delivery))
            {
                let widths = [standing, updated_after, outcome_after, engagement_after].map(bytes);
                prop_assert_eq!(widths, [6, 4, 4, 4]);
            }
        }
    }
}
