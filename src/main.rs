//! A few lines into the library.

fn main() -> std::process::ExitCode {
    provost::cli::main()
}
