//! What a service writes in its present run, as it comes, for who waits for a word of it within
//! the daemon.

use std::io;
use std::path::Path;
use std::rc::Rc;

use regex_lite::Regex;
use tokio::sync::Notify;

use super::super::Line;
use super::super::read::{Place, Reader};

/// Lines of one run. They are read from the files, so that a reader that is slow misses nothing
/// and takes no memory.
#[derive(Debug)]
pub(crate) struct Lines {
    reader: Reader,
    news: Rc<Notify>,
}

impl Lines {
    pub(super) fn new(dir: &Path, first: Place, news: Rc<Notify>) -> io::Result<Self> {
        Ok(Self { reader: Reader::from_place(dir, first)?, news })
    }

    /// The next line; it may never come. It can be dropped and called again.
    ///
    /// # Errors
    /// The files cannot be read.
    pub(crate) async fn next(&mut self) -> io::Result<Line> {
        loop {
            tokio::task::consume_budget().await;
            // Heard from now on: what comes between the reading and the waiting is not missed.
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            if let Some(line) = self.reader.next()? {
                return Ok(line);
            }
            news.await;
        }
    }
}

/// Waits for a line that matches, of either stream.
///
/// # Errors
/// The pattern is none, or the lines cannot be read.
pub(crate) async fn matching(mut lines: Lines, pattern: &str) -> Result<(), String> {
    let pattern = Regex::new(pattern).map_err(|error| format!("not a regular expression: {error}"))?;
    loop {
        let line = lines.next().await.map_err(|error| format!("its output cannot be read: {error}"))?;
        if line.stream != super::super::Stream::Note && pattern.is_match(&String::from_utf8_lossy(&line.text)) {
            return Ok(());
        }
    }
}
