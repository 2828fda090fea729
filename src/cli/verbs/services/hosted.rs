//! A daemon in this very process: `up` in the foreground where none runs.

use std::path::Path;
use std::process::ExitCode;

use super::super::Context;
use super::watch::Interrupt;
use crate::config::HttpOptions;
use crate::control::Control;
use crate::daemon::{Daemon, Options};
use crate::error::Error;

/// Runs `work` beside a daemon that is hosted here, and stops all of its services at the end.
pub(super) async fn run(
    ctx: &Context<'_>,
    (path, http): (&Path, &HttpOptions),
    work: impl AsyncFnOnce(&Control, Interrupt) -> Result<ExitCode, Error>,
) -> Result<ExitCode, Error> {
    let mut options = Options::new(ctx.instance())?;
    options.foreground = true;
    // Its [http] counts, also when that changes.
    (options.config, options.http) = (Some(path.to_owned()), http.clone());
    tokio::task::LocalSet::new()
        .run_until(async {
            let socket = options.places.socket();
            let interrupt = Interrupt::new()?;
            let daemon = Daemon::start(options).await?;
            let mut daemon = tokio::task::spawn_local(daemon.run());
            let gone = || Error::Unreachable("the supervisor in this process ended at once".to_owned());
            let control = Control::connect_to(&socket).await?.ok_or_else(gone)?;
            let code = work(&control, interrupt).await;
            let _ = control.exit(crate::supervise::Stop::All).await;
            match (&mut daemon).await {
                Ok(Ok(_)) => code,
                Ok(Err(error)) => code.and(Err(error)),
                Err(error) => code.and(Err(Error::Unreachable(error.to_string()))),
            }
        })
        .await
}
