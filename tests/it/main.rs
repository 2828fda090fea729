//! The integration tests: one program, so that they share one rig.
//!
//! Each file is an area and registers its trials. Those that need the rig boot it when the first of them runs; where no
//! container is possible they are not run, which the end of the output says, and which is a failure where `CI` is `true`.

// Tests start programs, read the environment and wait: that is what they are for.
#![allow(clippy::disallowed_methods, missing_docs, unreachable_pub)]

#[macro_use]
mod trial;
mod helper;
mod http;
mod install;
#[path = "../rig/mod.rs"]
#[allow(dead_code, reason = "a helper is there for the trials to come, too")]
mod rig;
mod rig_itself;
mod services;
mod soak;
mod truth;
mod verbs;

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::var_os(verbs::reuse::ROLE).is_some() {
        return verbs::reuse::driver();
    }
    if std::env::var_os(helper::attacker::ROLE).is_some() {
        return helper::attacker::main();
    }
    if let Some(code) = soak::main() {
        return code;
    }
    if let Some(code) = rig::fakes::main() {
        return code;
    }
    if std::env::var_os(rig::keeper::ROLE).is_some() {
        return rig::keeper::main();
    }
    let args = libtest_mimic::Arguments::from_args();
    let mut trials = trial::Trials::new();
    rig_itself::register(&mut trials);
    // The longest first, so that nothing waits for them at the end; and not all of the tables at the same time, which keep
    // the machine busy.
    truth::register_first(&mut trials);
    soak::register(&mut trials);
    http::register(&mut trials);
    services::register(&mut trials);
    truth::register(&mut trials);
    helper::register(&mut trials);
    install::register(&mut trials);
    verbs::register(&mut trials);
    let (trials, not_run) = trials.into_parts();
    let conclusion = libtest_mimic::run(&args, trials);
    rig::shut_down();
    if std::env::var_os("PROVOST_TIMES").is_some() {
        println!("{}", trial::longest(usize::MAX));
    }
    if let Some((count, reason)) = not_run {
        println!("{count} tests need the rig and were NOT RUN: {reason}");
    }
    conclusion.exit_code()
}
