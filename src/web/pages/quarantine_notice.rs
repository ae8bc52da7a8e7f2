//! What the list of quarantined events says of a replay or a deletion.

use crate::web::format::{Count, Plural};
use crate::web::ingest::replay::{Action, JobState, Progress, ReplayJob};

/// What the list says of a job.
pub struct Notice(String);

impl Notice {
    /// A running job is always shown; the last one only to whoever comes from its form.
    pub fn read(query: &[(String, String)], job: Option<ReplayJob>) -> Option<Notice> {
        let came_from =
            query.iter().find(|(key, _)| key == "job").map(|(_, value)| &**value).filter(|it| !it.is_empty());
        match (came_from, job) {
            (Some("busy"), _) => Some(Notice("Not started: another replay or deletion is still running.".into())),
            (came_from, Some(job)) if came_from.is_some() || job.state == JobState::Running => Some(Notice(text(job))),
            _ => None,
        }
    }

    pub fn text(&self) -> &str {
        &self.0
    }
}

fn text(ReplayJob { action, progress, state }: ReplayJob) -> String {
    let Progress { rows, released, truncated } = progress;
    let count = |n: u64| Count(n as i64);
    if rows == 0 && state == JobState::Done {
        return "Nothing left to do: these events are no longer in quarantine.".into();
    }
    let mut text = match action {
        Action::Dismiss => format!("Deleted {} of {}.", count(released), Plural(rows as i64, "event", "events")),
        Action::Replay => format!("Replayed {}: {} succeeded", count(rows), count(released)),
    };
    if action == Action::Replay {
        let failing = rows.saturating_sub(released).saturating_sub(truncated);
        if failing > 0 {
            text += &format!(", {} still failing", count(failing));
        }
        if truncated > 0 {
            text += &format!(", {} can't be replayed because the body was truncated", count(truncated));
        }
        text += ".";
    }
    match state {
        JobState::Done => text,
        JobState::Running => format!("Running. {text} Reload for progress."),
        JobState::Failed => format!("Stopped early: the database could not be read or written. {text} Try again."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_counts_what_a_job_did() {
        use {Action::*, JobState::*};
        for (action, state, [rows, released, truncated], expected) in [
            (Replay, Done, [5, 3, 0], "Replayed 5: 3 succeeded, 2 still failing."),
            (Replay, Done, [1, 1, 0], "Replayed 1: 1 succeeded."),
            (
                Replay,
                Done,
                [1_200, 0, 1],
                "Replayed 1,200: 0 succeeded, 1,199 still failing, 1 can't be replayed because the body was truncated.",
            ),
            (Replay, Done, [0, 0, 0], "Nothing left to do: these events are no longer in quarantine."),
            (Replay, Running, [5, 5, 0], "Running. Replayed 5: 5 succeeded. Reload for progress."),
            (Dismiss, Done, [2, 2, 0], "Deleted 2 of 2 events."),
            (
                Dismiss,
                Failed,
                [1, 1, 0],
                "Stopped early: the database could not be read or written. Deleted 1 of 1 event. Try again.",
            ),
        ] {
            let progress = Progress { rows, released, truncated };
            assert_eq!(text(ReplayJob { action, progress, state }), expected);
        }
    }
}
