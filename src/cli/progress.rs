//! A line on standard error while something takes long, if that is a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// After this time without a result, people want to know.
const AFTER: Duration = Duration::from_millis(500);

/// Runs the work; if it takes longer than half a second, `words` stand on the terminal until it
/// is done.
pub(super) async fn while_waiting<T>(quiet: bool, words: &str, work: impl Future<Output = T>) -> T {
    let terminal = !quiet && std::io::stderr().is_terminal();
    tokio::pin!(work);
    let mut shown = false;
    let mut seconds = 0u64;
    let mut delay = AFTER;
    loop {
        tokio::select! {
            result = &mut work => {
                if shown {
                    // The line is taken away again.
                    let _ = write!(std::io::stderr(), "\r\x1b[K");
                }
                return result;
            }
            () = tokio::time::sleep(delay), if terminal => {
                shown = true;
                delay = Duration::from_secs(1);
                let words = crate::text::clip_to(words, 60);
                let _ = write!(std::io::stderr(), "\r\x1b[K{words} … {seconds} s");
                seconds += 1;
            }
        }
    }
}
