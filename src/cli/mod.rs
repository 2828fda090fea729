//! The command line: arguments in, text or JSON out, an exit code.

mod args;
mod exit;
mod progress;
mod render;
mod say;
mod verbs;

pub use args::Cli;

use std::process::ExitCode;

use clap::Parser as _;

use crate::client::Client;
use crate::observe::Units;
use args::{Color, Output, Verb};
use say::Say;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; both go where clap sends them.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    color(cli.global.color);
    logging(cli.global.verbose);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("provost: the runtime cannot be started: {error}");
            return ExitCode::from(1);
        }
    };
    let code = runtime.block_on(run(cli));
    // Nothing that still runs in the background may delay the exit.
    runtime.shutdown_background();
    code
}

async fn run(cli: Cli) -> ExitCode {
    let json = cli.global.json || cli.global.output == Output::Json;
    let say = Say { json, quiet: cli.global.quiet };
    let units = match (cli.global.user, cli.global.system) {
        (true, _) => Units::User,
        (_, true) => Units::System,
        _ => Units::Both,
    };
    let client = match Client::with_units(units).await {
        Ok(client) => client,
        Err(error) => return say.error(&error),
    };
    let context = verbs::Context { client: &client, say, ask_password: !cli.global.no_ask_password };
    match cli.verb {
        None => verbs::overview::run(&context).await,
        Some(Verb::Inspect(args)) => verbs::inspect::run(&context, &args).await,
        Some(Verb::Probe(args)) => verbs::probe::run(&context, &args).await,
        Some(Verb::Ensure(args)) => verbs::ensure::run(&context, &args).await,
        Some(Verb::Wait(args)) => verbs::wait::run(&context, &args).await,
        Some(Verb::Start(args)) => verbs::change::start(&context, &args).await,
        Some(Verb::Restart(args)) => verbs::change::restart(&context, &args).await,
        Some(Verb::Reload(args)) => verbs::change::reload(&context, &args).await,
        Some(Verb::Stop(args)) => verbs::change::stop(&context, &args).await,
        Some(Verb::Kill(args)) => verbs::change::kill(&context, &args).await,
        Some(Verb::Completions(args)) => verbs::generate::completions(&args),
        Some(Verb::Man(args)) => verbs::generate::man(&context, &args),
    }
}

fn color(color: Color) {
    match color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
}

fn logging(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    let _ = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).without_time().try_init();
}
