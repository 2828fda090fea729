//! `completions` and `man`: made from the one definition of the command line.

use std::fs;
use std::io::Write as _;
use std::process::ExitCode;

use clap::CommandFactory as _;

use super::super::args::{Cli, Completions, Man};
use super::super::exit::Exit;
use super::Context;
use crate::error::Error;

pub(in crate::cli) fn completions(args: &Completions) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "provost", &mut script);
    let _ = std::io::stdout().write_all(&script);
    Exit::Done.into()
}

pub(in crate::cli) fn man(ctx: &Context<'_>, args: &Man) -> ExitCode {
    let command = Cli::command();
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        let _ = clap_mangen::Man::new(command).render(&mut page);
        let _ = std::io::stdout().write_all(&page);
        return Exit::Done.into();
    };
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        clap_mangen::generate_to(command, folder)
    };
    match write() {
        Ok(()) => Exit::Done.into(),
        Err(source) => ctx.say.error(&Error::Io { what: folder.display().to_string(), source }),
    }
}
