//! What an operator does with quarantined events: replay and dismiss, and the page that asks first.

use std::time::Duration;

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::layout::{self, Layout, Pages};
use super::quarantine::{is_replayed_plainly, title};
use crate::store::query::quarantine::{self, Stretch};
use crate::web::error::Error;
use crate::web::format::{Count, Plural};
use crate::web::ingest::replay::{Action, ReplayQueue};
use crate::web::same_origin;

/// How long the page waits for a job; a longer one goes on, and the list shows its progress.
const WAIT: Duration = Duration::from_secs(5);

type Fields = Vec<(String, String)>;

fn action_of(name: &str) -> Option<Action> {
    [Action::Replay, Action::Dismiss].into_iter().find(|action| name_of(*action) == name)
}

fn name_of(action: Action) -> &'static str {
    match action {
        Action::Replay => "replay",
        Action::Dismiss => "dismiss",
    }
}

fn get<'f>(fields: &'f [(String, String)], key: &str) -> Option<&'f str> {
    fields.iter().find(|(name, _)| name == key).map(|(_, value)| &**value).filter(|value| !value.is_empty())
}

/// The number of a row.
fn id_of(fields: &[(String, String)], key: &str) -> Result<Option<i64>, Error> {
    let wrong = |text: &str| Error::BadRequest(format!("`{key}={text}` is not a quarantine ID."));
    get(fields, key).map(|text| text.parse().map_err(|_| wrong(text))).transpose()
}

fn no_selection() -> Error {
    Error::BadRequest("Select events: `id` of one, or `reason` of all that have it.".into())
}

type Form = Result<web::Form<Fields>, actix_web::Error>;

pub async fn replay(
    request: HttpRequest,
    form: Form,
    pages: web::Data<Pages>,
    queue: web::Data<ReplayQueue>,
) -> Result<HttpResponse, Error> {
    start(Action::Replay, &request, form, &pages, &queue).await
}

pub async fn dismiss(
    request: HttpRequest,
    form: Form,
    pages: web::Data<Pages>,
    queue: web::Data<ReplayQueue>,
) -> Result<HttpResponse, Error> {
    start(Action::Dismiss, &request, form, &pages, &queue).await
}

/// Starts what a form of the page asks for, and goes back to the list, which shows the result.
async fn start(
    action: Action,
    request: &HttpRequest,
    form: Form,
    pages: &Pages,
    queue: &ReplayQueue,
) -> Result<HttpResponse, Error> {
    same_origin::check(request)?;
    let fields = form.map_err(|error| Error::BadRequest(format!("The form cannot be read: {error}.")))?.into_inner();
    let parts = match (id_of(&fields, "id")?, get(&fields, "reason"), get(&fields, "all")) {
        (Some(id), ..) => {
            let row = pages.read(move |connection| quarantine::row(connection, id)).await?;
            row.map(|row| Stretch { reason: row.reason, after: id - 1, up_to: id }).into_iter().collect()
        }
        (None, Some(reason), _) => {
            // later arrivals were not meant
            let up_to = match id_of(&fields, "up_to")? {
                Some(up_to) => up_to,
                None => pages.read(quarantine::latest).await?,
            };
            vec![Stretch { reason: reason.into(), after: 0, up_to }]
        }
        // every event that neither needs a person to vouch for it nor waits for its time
        (None, None, Some(_)) if action == Action::Replay => {
            let (counts, up_to) =
                pages.read(|connection| Ok((quarantine::counts(connection)?, quarantine::latest(connection)?))).await?;
            let reasons = counts.into_iter().map(|(reason, _)| reason).filter(|reason| is_replayed_plainly(reason));
            reasons.map(|reason| Stretch { reason, after: 0, up_to }).collect()
        }
        (None, None, _) => return Err(no_selection()),
    };
    let back = match queue.start(action, parts) {
        None => "busy",
        Some(job) => {
            // a longer job goes on: it is a task
            let _ = tokio::time::timeout(WAIT, job).await;
            name_of(action)
        }
    };
    let address = list(pages, get(&fields, "list")).with("job", back).to_string();
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, address)).finish())
}

/// The list, narrowed to a reason.
fn list(pages: &Pages, reason: Option<&str>) -> crate::web::address::Address {
    let address = pages.address("/quarantine");
    match reason {
        Some(reason) => address.with("reason", reason),
        None => address,
    }
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

const VOUCH: &str = "The delivery is created as if a sender with a full key had reported it: its channel and campaign \
    stay unknown until another event names them, and every report that waits for it is applied. Anyone can report on a \
    delivery ID they made up, so apply only reports on messages you know.";
const UNDONE: &str = "This can't be undone.";
const UNDONE_FOR_ALL: &str = "This can't be undone. Events that arrived after this page was loaded stay.";

/// Asks before what cannot be undone.
pub async fn confirm(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let query = layout::pairs(request.query_string())?;
    let action = get(&query, "act").and_then(action_of);
    let action = action.ok_or_else(|| Error::BadRequest("`act` must be replay or dismiss.".into()))?;
    let reason = get(&query, "reason").map(str::to_owned);
    let mut fields: Vec<_> = get(&query, "list").map(|list| ("list", list.to_owned())).into_iter().collect();
    let gone = || Error::NotFound("This is no longer in quarantine.".into());
    let (question, what, button, body) = match (id_of(&query, "id")?, reason) {
        (Some(id), _) => {
            let row = pages.read(move |connection| quarantine::row(connection, id)).await?.ok_or_else(gone)?;
            fields.push(("id", id.to_string()));
            let body = Some(String::from_utf8_lossy(&row.body).into_owned());
            match action {
                Action::Dismiss => ("Delete this event?".to_owned(), UNDONE.to_owned(), "Delete".to_owned(), body),
                Action::Replay => {
                    let delivery_id = row.delivery_id.as_deref().unwrap_or_default();
                    let what = format!("No event of delivery {delivery_id} is known. {VOUCH}");
                    let question = "Apply this report and create its delivery?".to_owned();
                    (question, what, "Apply and create the delivery".to_owned(), body)
                }
            }
        }
        (None, Some(reason)) => {
            let (counts, up_to) =
                pages.read(|connection| Ok((quarantine::counts(connection)?, quarantine::latest(connection)?))).await?;
            let rows = counts.iter().find(|(name, _)| *name == reason).map(|(_, rows)| *rows).ok_or_else(gone)?;
            let (all, title) = (Count(rows), title(&reason));
            fields.extend([("reason", reason), ("up_to", up_to.to_string())]);
            match action {
                Action::Dismiss => {
                    let question = format!("Delete {} (“{title}”)?", Plural(rows, "event", "events"));
                    (question, UNDONE_FOR_ALL.to_owned(), format!("Delete {all}"), None)
                }
                Action::Replay => {
                    let question = format!("Apply all {all} reports and create their deliveries?");
                    let what = format!("No event of these deliveries is known. {VOUCH}");
                    (question, what, format!("Apply all {all} and create the deliveries"), None)
                }
            }
        }
        (None, None) => return Err(no_selection()),
    };
    layout::html(&ConfirmPage {
        page: pages.layout("health"),
        question,
        what,
        button,
        action: pages.address("/quarantine").segment(name_of(action)).to_string(),
        fields,
        back: list(&pages, get(&query, "list")).to_string(),
        body,
    })
}
