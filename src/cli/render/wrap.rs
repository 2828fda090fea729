//! Labelled text, broken at the width of the terminal with a hanging indent.

use std::fmt::Write as _;

use anstyle::Style;

use super::DIM;

/// The width of the terminal on standard output; `None` if it is none: then nothing is broken.
pub(in crate::cli) fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|w| *w >= 40)
}

/// Lines with a label in front, all labels equally wide.
pub(in crate::cli) struct Block {
    indent: usize,
    label_width: usize,
    width: Option<usize>,
    out: String,
}

impl Block {
    /// Labels are padded to `label_width`.
    pub(in crate::cli) fn new(indent: usize, label_width: usize) -> Self {
        Self { indent, label_width, width: columns(), out: String::new() }
    }

    /// One entry: the label, then the text over as many lines as it takes.
    pub(in crate::cli) fn line(&mut self, label: &str, style: Style, text: &str) {
        self.entry(label, style, text, false);
    }

    /// The same for what ends in a command after a colon: that stands alone and whole, to be copied.
    pub(in crate::cli) fn with_command(&mut self, label: &str, text: &str) {
        match text.split_once(": provost ").filter(|_| self.width.is_some_and(|w| text.chars().count() > w)) {
            Some((words, command)) => {
                self.line(label, Style::new(), &format!("{words}:"));
                let indent = self.indent;
                let _ = writeln!(self.out, "{:indent$}provost {command}", "");
            }
            None => self.line(label, Style::new(), text),
        }
    }

    /// The same on one line, its end cut off where it does not fit.
    pub(in crate::cli) fn cut(&mut self, label: &str, style: Style, text: &str) {
        self.entry(label, style, text, true);
    }

    fn entry(&mut self, label: &str, style: Style, text: &str, cut: bool) {
        let margin = self.indent + self.label_width;
        let room = self.width.map_or(usize::MAX, |w| w.saturating_sub(margin).max(20));
        let lines = if cut { vec![crate::text::clip_to(text, room)] } else { wrap(text, room) };
        for (i, line) in lines.iter().enumerate() {
            let label = if i == 0 { label } else { "" };
            let (indent, width) = (self.indent, self.label_width);
            let _ = writeln!(self.out, "{:indent$}{DIM}{label:width$}{DIM:#}{style}{line}{style:#}", "");
        }
    }

    /// An empty line.
    pub(in crate::cli) fn gap(&mut self) {
        self.out.push('\n');
    }

    /// All of it.
    pub(in crate::cli) fn finish(self) -> String {
        self.out
    }
}

/// Breaks at spaces; a word longer than the room stands alone.
pub(in crate::cli) fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    // A command to copy keeps its two spaces in front.
    for word in text.split(' ') {
        let len = word.chars().count();
        if used > 0 && used + 1 + len > room {
            lines.push(String::new());
            used = 0;
        }
        let Some(line) = lines.last_mut() else { break };
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += len;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrap("aaaaaaaa b", 5), ["aaaaaaaa", "b"]);
        assert_eq!(wrap("", 5), [""]);
    }
}
