use std::io::IsTerminal;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The framework logs every worker and every malformed request; what matters of it comes as a warning.
const LOG: &str = "info,actix_server=warn,actix_http=off,rusqlite_migration=warn";

fn main() -> ExitCode {
    // stdout is for results; WAYBILL_LOG takes what RUST_LOG does
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_env("WAYBILL_LOG").unwrap_or_else(|_| EnvFilter::new(LOG)))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match waybill::cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("waybill: {}", waybill::cli::one_line(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}
