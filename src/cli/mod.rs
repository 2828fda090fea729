//! The command line: arguments in, text or JSON out, an exit code.

mod args;
mod exit;
mod progress;
mod render;
mod say;
mod verbs;

pub use args::Cli;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use crate::client::Client;
use crate::model::Instance;
use crate::observe::Units;
use args::{Color, Output, Verb};
use say::Say;
use verbs::services::ids::What;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // Before anything else is made: a keeper lives long, and is to be small.
    if let Some(code) = crate::logs::keeper::main() {
        return code;
    }
    if let Some(code) = crate::backend::stale_socket::main() {
        return code;
    }
    let args = signals_as_kill_has_them(std::env::args_os().collect());
    let cli = match Cli::try_parse_from(verbs::import::output_as_a_file(args)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; both go where clap sends them.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    color(cli.global.color);
    logging(cli.global.verbose, cli.global.color);
    // Threads that wait for the disk are needed rarely: none stays to look whether there is more.
    let threads = std::time::Duration::from_millis(100);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().thread_keep_alive(threads).build();
    let runtime = match runtime {
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

/// `kill -9` and `kill -HUP` as everybody types them: read as `-s 9` and `-s HUP`.
fn signals_as_kill_has_them(mut args: Vec<OsString>) -> Vec<OsString> {
    let end = args.iter().position(|a| a == "--").unwrap_or(args.len());
    if !args.iter().take(end).any(|a| a == "kill") {
        return args;
    }
    let signal = |a: &OsString| {
        let word = a.to_str()?.strip_prefix('-')?;
        let number = word.bytes().all(|b| b.is_ascii_digit());
        let name = word.len() > 1 && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'+');
        (!word.is_empty() && (number || name)).then(|| word.to_owned())
    };
    // What follows a flag that takes a value is that value.
    let value = |at: usize| at > 0 && (args[at - 1] == "-s" || args[at - 1] == "--signal");
    let found = (1..end).find_map(|at| Some((at, signal(&args[at]).filter(|_| !value(at))?)));
    if let Some((at, word)) = found {
        args[at] = OsString::from(format!("--signal={word}"));
    }
    args
}

async fn run(cli: Cli) -> ExitCode {
    let json = cli.global.json || cli.global.output == Output::Json;
    let say = Say { json, quiet: cli.global.quiet };
    let instance = match (cli.global.user, cli.global.system) {
        (true, _) => Instance::User,
        (_, true) => Instance::System,
        _ => Instance::usual(rustix::process::geteuid().as_raw()),
    };
    let ask = !cli.global.no_ask_password;
    if matches!(cli.global.output, Output::Short | Output::Cat) && !matches!(cli.verb, Some(Verb::Logs(_))) {
        let why = "-o short and -o cat are forms of 'provost logs'; here it is human or json";
        return say.error(&crate::model::Malformed::new(why).into());
    }
    match &cli.verb {
        Some(Verb::Daemon(args)) => return verbs::daemon::run(say, instance, args, !cli.global.no_ask_password).await,
        Some(Verb::Install(args)) => return verbs::install::run(say, instance, ask, args).await,
        Some(Verb::Uninstall(args)) => return verbs::uninstall::run(say, instance, ask, args).await,
        _ => {}
    }
    let units = match (cli.global.user, cli.global.system) {
        (true, _) => Units::User,
        (_, true) => Units::System,
        _ => Units::Both,
    };
    let client = match Client::with_units(units).await {
        Ok(client) => client,
        Err(error) => return say.error(&error),
    };
    let context = verbs::Context { client: &client, say, ask_password: ask };
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
        Some(Verb::Down(args)) => verbs::services::down::run(&context, &args).await,
        Some(Verb::List(args)) => verbs::services::list::run(&context, &args).await,
        Some(Verb::Status(args)) => verbs::services::status::run(&context, &args).await,
        Some(Verb::Events(args)) => verbs::services::events::run(&context, &args).await,
        Some(Verb::Enable(args)) => verbs::services::ids::run(&context, &args, What::Enable).await,
        Some(Verb::Disable(args)) => verbs::services::ids::run(&context, &args, What::Disable).await,
        Some(Verb::Remove(args)) => verbs::services::ids::run(&context, &args, What::Remove).await,
        Some(Verb::Up(args)) => verbs::services::up::run(&context, &args).await,
        Some(Verb::Run(args)) => verbs::services::run::run(&context, &args).await,
        Some(Verb::Logs(args)) => verbs::services::logs::run(&context, &args, cli.global.output).await,
        Some(Verb::Registry) => verbs::registry::run(&context).await,
        Some(Verb::Orphans(args)) => verbs::orphans::run(&context, &args).await,
        Some(Verb::Config(args::Config::Import(args))) => verbs::import::run(&context, &args, &cli.global),
        Some(Verb::Config(args)) => verbs::config::run(&context, &args, &cli.global),
        Some(Verb::Token(verb)) => verbs::token::run(&context, &verb),
        Some(Verb::Gpus(args)) => verbs::gpus::run(&context, &args).await,
        Some(Verb::Doctor) => verbs::doctor::run(&context, instance).await,
        Some(Verb::Daemon(_) | Verb::Install(_) | Verb::Uninstall(_)) => ExitCode::SUCCESS,
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

fn logging(verbose: u8, color: Color) {
    let level = match verbose {
        0 => return,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    let ansi = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never,
    };
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(ansi);
    let _ = log.with_target(false).without_time().try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> String {
        let args = line.split(' ').map(OsString::from).collect();
        signals_as_kill_has_them(args).join(" ".as_ref()).into_string().unwrap()
    }

    #[test]
    fn signals_may_be_typed_as_for_kill() {
        assert_eq!(read("provost kill -9 x"), "provost kill --signal=9 x");
        assert_eq!(read("provost -q kill x -HUP"), "provost -q kill x --signal=HUP");
        assert_eq!(read("provost kill -s RTMIN+1 x"), "provost kill -s RTMIN+1 x");
        assert_eq!(read("provost kill -s -1 x"), "provost kill -s -1 x");
        assert_eq!(read("provost stop -9 x"), "provost stop -9 x");
        assert_eq!(read("provost kill -q -v x"), "provost kill -q -v x");
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
