//! What goes to stderr; stdout is for results.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// The framework logs every worker and every malformed request; what matters of it comes as a warning.
const LEVELS: &str = "info,actix_server=warn,actix_http=off,rusqlite_migration=warn";

/// One line for each request, at level debug. They name the pattern of the route, and nobody.
const REQUESTS: &str = "waybill::web::request_log=debug";

const HEADING: &str = "Log options";

#[derive(Args)]
pub struct Log {
    /// What is logged: error, warn, info, debug, or a list such as info,waybill::web=debug
    #[arg(
        long,
        help_heading = HEADING,
        env = "WAYBILL_LOG",
        default_value = LEVELS,
        hide_default_value = true,
        global = true,
        value_name = "LEVELS",
        value_parser = levels
    )]
    log: String,

    /// How lines are written
    #[arg(long, help_heading = HEADING, env = "WAYBILL_LOG_FORMAT", default_value = "text", global = true, value_name = "FORMAT")]
    log_format: Format,

    /// Log every request: method, route, status and duration
    #[arg(long, help_heading = HEADING, env = "WAYBILL_LOG_REQUESTS", global = true)]
    log_requests: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    /// An object a line
    Json,
}

fn levels(text: &str) -> Result<String, ParseError> {
    EnvFilter::builder().parse(text).map(|_| text.to_owned())
}

impl Log {
    /// Logs from here on.
    pub fn start(&self) {
        let mut filter = EnvFilter::new(&self.log);
        if self.log_requests {
            filter = filter.add_directive(REQUESTS.parse().expect("invariant: a directive"));
        }
        // what cannot be logged is not reported there either: on a full disk that would panic
        let lines = tracing_subscriber::fmt().log_internal_errors(false);
        let lines = lines.with_env_filter(filter).with_writer(std::io::stderr);
        match self.log_format {
            Format::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
            // the span of a request says what its line says
            Format::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
        }
    }
}
