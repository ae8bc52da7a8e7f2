//! What an operator does with what is kept aside: replay, dismiss, and the page that asks first.

use std::time::Duration;

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::layout::{self, Layout, Pages};
use super::quarantine::{is_replayed_plainly, title};
use crate::store::quarantine::{self, Stretch};
use crate::web::error::Error;
use crate::web::format::{Count, Plural};
use crate::web::ingest::again::{Act, Desk, Rows, State, Tally};
use crate::web::same_origin;

/// How long the page waits for the end; what takes longer goes on by itself.
const WAIT: Duration = Duration::from_secs(5);

type Fields = Vec<(String, String)>;

/// What is said after an act.
pub enum Notice {
    Done(Act, Tally),
    /// It goes on.
    Running(Act, Tally),
    /// It ended before its end.
    Stopped(Act, Tally),
    /// Something else goes on, and this was not begun.
    Busy,
}

impl Notice {
    pub fn read(query: &[(String, String)], state: &State) -> Result<Option<Notice>, Error> {
        let number = |key: &str| match get(query, key) {
            None => Ok(0),
            Some(text) => text.parse().map_err(|_| Error::BadRequest(format!("`{key}={text}` is no number."))),
        };
        let done = get(query, "done");
        Ok(match (done, state.running, state.last) {
            (Some("busy"), ..) => Some(Notice::Busy),
            (_, Some((act, tally)), _) => Some(Notice::Running(act, tally)),
            (Some("running"), None, Some((act, tally, true))) => Some(Notice::Done(act, tally)),
            (Some("running"), None, Some((act, tally, false))) => Some(Notice::Stopped(act, tally)),
            (Some(name), ..) => {
                let tally = Tally { rows: number("rows")?, gone: number("gone")?, cut: number("cut")? };
                act_of(name).map(|act| Notice::Done(act, tally))
            }
            (None, ..) => None,
        })
    }

    pub fn text(&self) -> String {
        match self {
            Notice::Done(act, tally) => done_text(*act, *tally),
            Notice::Running(act, tally) => {
                let looked = Plural(tally.rows as i64, "body", "bodies");
                let word = if *act == Act::Replay { "applied" } else { "dismissed" };
                let gone = Count(tally.gone as i64);
                format!(
                    "Under way: {looked} looked at, {gone} {word} so far. Load the page again to see how far it is."
                )
            }
            Notice::Stopped(act, tally) => {
                let done = done_text(*act, *tally);
                format!("It ended early, since the file could not be read or written. {done} Try again for the rest.")
            }
            Notice::Busy => "Nothing was begun: another replay or dismissal is still under way.".into(),
        }
    }
}

fn done_text(act: Act, tally: Tally) -> String {
    let Tally { rows, gone, cut } = tally;
    let still = rows.saturating_sub(gone).saturating_sub(cut);
    let count = |n: u64| Count(n as i64);
    let mut text = match (act, rows) {
        (_, 0) => return "There was nothing left to do: it has gone already.".into(),
        (Act::Dismiss, _) => return format!("{} of {} dismissed.", count(gone), count(rows)),
        (Act::Replay, _) => format!("{} of {} applied", count(gone), count(rows)),
    };
    if still > 0 {
        text += &format!("; {} still not understood", count(still));
    }
    if cut > 0 {
        text += &format!("; {} cannot be read again, as not all of it was kept", count(cut));
    }
    text + "."
}

fn act_of(name: &str) -> Option<Act> {
    match name {
        "replay" => Some(Act::Replay),
        "dismiss" => Some(Act::Dismiss),
        _ => None,
    }
}

fn name_of(act: Act) -> &'static str {
    match act {
        Act::Replay => "replay",
        Act::Dismiss => "dismiss",
    }
}

fn get<'f>(fields: &'f [(String, String)], key: &str) -> Option<&'f str> {
    fields.iter().find(|(name, _)| name == key).map(|(_, value)| &**value).filter(|value| !value.is_empty())
}

/// A row, by its number.
fn id_of(fields: &[(String, String)], key: &str) -> Result<Option<i64>, Error> {
    let wrong = |text: &str| Error::BadRequest(format!("`{key}={text}` is no place in the quarantine."));
    get(fields, key).map(|text| text.parse().map_err(|_| wrong(text))).transpose()
}

fn neither() -> Error {
    Error::BadRequest("Say which: `id` of one, or `reason` of all that have it.".into())
}

type Form = Result<web::Form<Fields>, actix_web::Error>;

pub async fn replay(
    request: HttpRequest,
    form: Form,
    pages: web::Data<Pages>,
    desk: web::Data<Desk>,
) -> Result<HttpResponse, Error> {
    do_it(Act::Replay, &request, form, &pages, &desk).await
}

pub async fn dismiss(
    request: HttpRequest,
    form: Form,
    pages: web::Data<Pages>,
    desk: web::Data<Desk>,
) -> Result<HttpResponse, Error> {
    do_it(Act::Dismiss, &request, form, &pages, &desk).await
}

/// Does what a form of the page says, and goes back to the list with what came of it.
async fn do_it(act: Act, request: &HttpRequest, form: Form, pages: &Pages, desk: &Desk) -> Result<HttpResponse, Error> {
    same_origin::check(request)?;
    let fields = form.map_err(|error| Error::BadRequest(format!("The form cannot be read: {error}.")))?.into_inner();
    let parts = match (id_of(&fields, "id")?, get(&fields, "reason"), get(&fields, "all")) {
        (Some(id), ..) => vec![Rows::One(id)],
        (None, Some(reason), _) => {
            // what comes in from now on was not meant
            let up_to = match id_of(&fields, "up_to")? {
                Some(up_to) => up_to,
                None => pages.read(quarantine::latest).await?,
            };
            vec![Rows::Of(Stretch { reason: reason.into(), after: 0, up_to })]
        }
        // all that need not be vouched for, and does not wait for its time
        (None, None, Some(_)) if act == Act::Replay => {
            let found = |connection: &_| Ok((quarantine::counts(connection)?, quarantine::latest(connection)?));
            let (counts, up_to) = pages.read(found).await?;
            let reasons = counts.into_iter().map(|(reason, _)| reason).filter(|reason| is_replayed_plainly(reason));
            reasons.map(|reason| Rows::Of(Stretch { reason, after: 0, up_to })).collect()
        }
        (None, None, _) => return Err(neither()),
    };
    let mut back = pages.address("/quarantine");
    if let Some(list) = get(&fields, "list") {
        back = back.with("reason", list);
    }
    let back = match desk.begin(act) {
        None => back.with("done", "busy"),
        // a task of its own: it goes on when nobody waits for it any more
        Some(running) => match tokio::time::timeout(WAIT, actix_web::rt::spawn(running.run(parts))).await {
            Ok(Ok(Ok(Tally { rows, gone, cut }))) => {
                back.with("done", name_of(act)).with("rows", rows).with("gone", gone).with("cut", cut)
            }
            Ok(Ok(Err(error))) => {
                tracing::warn!(%error, "what an operator began with the quarantine ended early");
                back.with("done", "running")
            }
            Ok(Err(_)) | Err(_) => back.with("done", "running"),
        },
    };
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, back.to_string())).finish())
}

#[derive(Template)]
#[template(path = "quarantine_confirm.html")]
struct ConfirmPage {
    page: Layout,
    question: String,
    what: String,
    button: String,
    action: String,
    fields: Vec<(&'static str, String)>,
    back: String,
    body: Option<String>,
}

/// Asks before what cannot be taken back.
pub async fn confirm(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let query = layout::pairs(request.query_string())?;
    let act = get(&query, "act").and_then(act_of);
    let act = act.ok_or_else(|| Error::BadRequest("`act` is replay or dismiss.".into()))?;
    let list = get(&query, "list").map(str::to_owned);
    let mut back = pages.address("/quarantine");
    if let Some(list) = &list {
        back = back.with("reason", list);
    }
    let mut page = ConfirmPage {
        page: pages.layout("quarantine"),
        question: String::new(),
        what: String::new(),
        button: String::new(),
        action: pages.address("/quarantine").segment(name_of(act)).to_string(),
        fields: list.map(|list| ("list", list)).into_iter().collect(),
        back: back.to_string(),
        body: None,
    };
    let gone = || Error::NotFound("What this asks about is no longer kept aside.".into());
    match (id_of(&query, "id")?, get(&query, "reason").map(str::to_owned)) {
        (Some(id), _) => {
            let row = pages.read(move |connection| quarantine::row(connection, id)).await?.ok_or_else(gone)?;
            let delivery_id = row.delivery_id.as_deref().unwrap_or_default();
            (page.question, page.what, page.button) = one_text(act, &title(&row.reason), delivery_id);
            page.fields.push(("id", id.to_string()));
            page.body = Some(String::from_utf8_lossy(&row.body).into_owned());
        }
        (None, Some(reason)) => {
            let (counts, up_to) =
                pages.read(|connection| Ok((quarantine::counts(connection)?, quarantine::latest(connection)?))).await?;
            let rows = counts.iter().find(|(name, _)| *name == reason).map(|(_, rows)| *rows).ok_or_else(gone)?;
            (page.question, page.what, page.button) = all_text(act, &title(&reason), rows);
            page.fields.extend([("reason", reason), ("up_to", up_to.to_string())]);
        }
        (None, None) => return Err(neither()),
    }
    layout::html(&page)
}

const VOUCH: &str = "It is then as if a sender with a full key had said it: the delivery is created, its channel and \
    source unknown until an event says, and all that waits for it is taken in. Anybody can report on a delivery that \
    they made up, so do this only where you know the message.";
const DISMISS: &str = "The body is deleted and cannot be brought back.";

fn one_text(act: Act, title: &str, delivery_id: &str) -> (String, String, String) {
    match act {
        Act::Dismiss => (format!("Dismiss this “{title}”?"), DISMISS.into(), "Dismiss it".into()),
        Act::Replay => (
            "Apply this report and create its delivery?".into(),
            format!("No event of delivery {delivery_id} is known. {VOUCH}"),
            "Apply it and create the delivery".into(),
        ),
    }
}

fn all_text(act: Act, title: &str, rows: i64) -> (String, String, String) {
    if rows == 1 && act == Act::Dismiss {
        return (
            format!("Dismiss the one of “{title}”?"),
            format!("{DISMISS} What comes in after this page was made stays."),
            "Dismiss it".into(),
        );
    }
    let all = Count(rows);
    match act {
        Act::Dismiss => (
            format!("Dismiss all {all} of “{title}”?"),
            format!("{DISMISS} What comes in after this page was made stays."),
            format!("Dismiss all {all}"),
        ),
        Act::Replay => (
            format!("Apply all {all} reports and create their deliveries?"),
            format!("No event of these deliveries is known. {VOUCH}"),
            format!("Apply all {all} and create the deliveries"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_it_is_said_in_numbers() {
        for (rows, gone, cut, said) in [
            (5, 3, 0, "3 of 5 applied; 2 still not understood."),
            (1, 1, 0, "1 of 1 applied."),
            (
                1_200,
                0,
                1,
                "0 of 1,200 applied; 1,199 still not understood; 1 cannot be read again, as not all of it was kept.",
            ),
            (0, 0, 0, "There was nothing left to do: it has gone already."),
        ] {
            assert_eq!(done_text(Act::Replay, Tally { rows, gone, cut }), said);
        }
        assert_eq!(done_text(Act::Dismiss, Tally { rows: 2, gone: 2, cut: 0 }), "2 of 2 dismissed.");
    }
}
