use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match waybill::cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("waybill: {}", waybill::cli::one_line(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}
