//! A line on standard error while something takes long, if that is a terminal.

use std::cell::RefCell;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// After this time without a result, people want to know.
const AFTER: Duration = Duration::from_millis(500);

/// Runs the work; if it takes longer than half a second, `words` stand on the terminal until it
/// is done.
pub(super) async fn while_waiting<T>(quiet: bool, words: &str, work: impl Future<Output = T>) -> T {
    let line = Line::new(quiet);
    line.say(words.to_owned());
    line.while_waiting(work).await
}

/// The line, whose words may change while the work goes on.
#[derive(Debug)]
pub(super) struct Line {
    terminal: bool,
    words: RefCell<String>,
}

impl Line {
    /// Nothing is shown yet.
    pub(super) fn new(quiet: bool) -> Self {
        Self { terminal: !quiet && std::io::stderr().is_terminal(), words: RefCell::default() }
    }

    /// Whether anybody sees it.
    pub(super) fn is_shown(&self) -> bool {
        self.terminal
    }

    /// From now on these words.
    pub(super) fn say(&self, words: String) {
        *self.words.borrow_mut() = words;
    }

    /// Runs the work, and shows the line after half a second; it is taken away again.
    pub(super) async fn while_waiting<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let mut shown = false;
        let mut seconds = 0u64;
        let mut delay = AFTER;
        loop {
            tokio::select! {
                result = &mut work => {
                    if shown {
                        let _ = write!(std::io::stderr(), "\r\x1b[K");
                    }
                    return result;
                }
                () = tokio::time::sleep(delay), if self.terminal => {
                    shown = true;
                    delay = Duration::from_secs(1);
                    let words = crate::text::clip_to(&self.words.borrow(), 60);
                    let _ = write!(std::io::stderr(), "\r\x1b[K{words} … {seconds} s");
                    seconds += 1;
                }
            }
        }
    }
}
