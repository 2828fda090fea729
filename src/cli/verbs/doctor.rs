//! `doctor`.
use super::Context;
use crate::model::Instance;
use std::process::ExitCode;
pub(in crate::cli) async fn run(_ctx: &Context<'_>, _instance: Instance) -> ExitCode {
    ExitCode::SUCCESS
}
