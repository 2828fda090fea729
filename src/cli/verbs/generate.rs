//! `completions` and `man`: made from the one definition of the command line.

use std::fs;
use std::io::Write as _;
use std::process::ExitCode;

use clap::CommandFactory as _;

use super::super::args::{Cli, Completions, Man};
use super::super::exit::Exit;
use super::Context;
use crate::error::Error;
use crate::install::Generated;

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
        all().pages.iter().try_for_each(|(name, page)| fs::write(folder.join(name), page))
    };
    match write() {
        Ok(()) => Exit::Done.into(),
        Err(source) => ctx.say.error(&Error::Io { what: folder.display().to_string(), source }),
    }
}

/// What an install writes: completions for the usual shells, and the pages of all verbs.
pub(super) fn all() -> Generated {
    use clap_complete::Shell;
    let script = |shell: Shell| {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "provost", &mut script);
        script
    };
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add_pages(command, &mut pages);
    Generated { completions: [Shell::Bash, Shell::Zsh, Shell::Fish].map(script), pages }
}

fn add_pages(command: clap::Command, pages: &mut Vec<(String, Vec<u8>)>) {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        add_pages(below.clone(), pages);
    }
    let page = clap_mangen::Man::new(command).source(concat!("provost ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    let _never_fails = page.render(&mut text);
    pages.push((page.get_filename(), text));
}
