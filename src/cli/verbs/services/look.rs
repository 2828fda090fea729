//! How lines of output are shown.

use std::io::{IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};

use super::super::super::args::Output as Form;
use super::super::super::render::{DIM, WARN};
use super::super::super::say::Say;
use super::super::Context;
use crate::logs::Stream;
use crate::services::{Piece, Source};
use crate::text::{escape_but_colours, escape_but_tabs};

/// Of names, one after the other; red and yellow say something else.
const COLOURS: [AnsiColor; 8] = [
    AnsiColor::Cyan,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
    AnsiColor::BrightGreen,
    AnsiColor::BrightMagenta,
    AnsiColor::BrightBlue,
];
/// So much is written at once where nobody waits for each line.
const MUCH: usize = 1 << 15;

/// What lines look like.
pub(super) struct Look {
    form: Form,
    /// Those whose lines are shown; none where it is clear whose they are.
    names: Vec<String>,
    width: usize,
    /// Colours are not wanted.
    plain: bool,
    /// A terminal obeys what it is sent.
    terminal: bool,
}

impl Look {
    /// With whose they are in front of them.
    pub(super) fn of_all<'a>(ctx: &Context<'_>, names: impl Iterator<Item = &'a str>) -> Self {
        let form = if ctx.say.json { Form::Json } else { Form::Human };
        let names: Vec<String> = names.map(str::to_owned).collect();
        let width = names.iter().map(String::len).max().unwrap_or(0);
        let out = std::io::stdout();
        let plain = anstream::AutoStream::choice(&out) == anstream::ColorChoice::Never;
        Self { form, names, width, plain, terminal: out.is_terminal() }
    }

    /// Of `logs`: with whose they are if that is not clear.
    pub(super) fn of_logs(ctx: &Context<'_>, form: Form, sources: &[Source]) -> Self {
        let named = sources.len() > 1 || form == Form::Short;
        let look = Self::of_all(ctx, sources.iter().filter(|_| named).map(Source::whose));
        Self { form: if look.form == Form::Json { Form::Json } else { form }, ..look }
    }

    /// Shows a line at once. False where nobody reads any more.
    pub(super) fn show(&self, piece: &Piece) -> bool {
        let mut out = Vec::new();
        self.line(&mut out, piece);
        write(&out)
    }

    /// Adds a line to what is to be shown, and shows that if it is much.
    pub(super) fn add(&self, out: &mut Vec<u8>, piece: &Piece) -> bool {
        self.line(out, piece);
        out.len() < MUCH || { write(&std::mem::take(out)) }
    }

    fn line(&self, out: &mut Vec<u8>, piece: &Piece) {
        match self.form {
            Form::Json => return Say::json_into(out, &piece.document()),
            Form::Cat if !self.terminal => out.extend_from_slice(&piece.line.text),
            _ => out.extend_from_slice(self.text(piece).as_bytes()),
        }
        out.push(b'\n');
    }

    fn text(&self, piece: &Piece) -> String {
        let text = String::from_utf8_lossy(&piece.line.text);
        if self.plain {
            return self.before(piece) + &escape_but_tabs(&anstream::adapter::strip_str(&text).to_string());
        }
        let style = if piece.line.stream == Stream::Out || self.form == Form::Cat { Style::new() } else { WARN };
        format!("{}{style}{}{style:#}", self.before(piece), escape_but_colours(&text))
    }

    /// When it came, and whose it is.
    fn before(&self, piece: &Piece) -> String {
        let mut before = String::new();
        let dim = if self.plain { Style::new() } else { DIM };
        if self.form == Form::Short {
            let at = humantime::format_rfc3339_millis(piece.line.at);
            before.push_str(&format!("{dim}{at}{dim:#} "));
        }
        if self.form != Form::Cat && !self.names.is_empty() {
            let (whose, width) = (piece.whose.as_str(), self.width);
            let at = self.names.iter().position(|name| name == whose).unwrap_or(0);
            let colour = if self.plain { Style::new() } else { COLOURS[at % COLOURS.len()].on_default() };
            before.push_str(&format!("{colour}{whose:width$}{colour:#} {dim}|{dim:#} "));
        }
        before
    }
}

/// False where nobody reads any more.
pub(super) fn write(text: &[u8]) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(text).and_then(|()| out.flush()).is_ok()
}
