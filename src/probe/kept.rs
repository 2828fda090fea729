//! One URL that is asked again and again: over a connection that is kept, and now and then a new
//! one, because a server that takes no new connections would not be seen over an old one.

use std::time::Duration;

use tokio::time::Instant;

use super::fault::Fault;
use super::http::{Answer, Line, Question};
use super::known::Known;
use super::outcome::with_line;
use super::url::HttpUrl;
use crate::model::AvailabilityState;

/// So many questions are asked over one connection.
const QUESTIONS: u32 = 10;

/// The URL, and its connection.
pub(crate) struct Kept {
    url: HttpUrl,
    line: Option<Line>,
    asked: u32,
}

impl Kept {
    pub(crate) fn new(url: HttpUrl) -> Self {
        Self { url, line: None, asked: 0 }
    }

    /// Asks; in words what came back. A status of 200 to 399 is available; what a known server says
    /// while it loads is starting.
    pub(crate) async fn ask(&mut self, limit: Duration) -> (AvailabilityState, String) {
        match self.get(limit).await {
            Ok(answer) if (200..400).contains(&answer.status) => {
                (AvailabilityState::Available, answer.status.to_string())
            }
            Ok(answer) if says_loading(&answer) => (AvailabilityState::Starting, with_line(&answer)),
            Ok(answer) => (AvailabilityState::Unavailable, with_line(&answer)),
            Err(fault) => (AvailabilityState::Unavailable, fault.to_string()),
        }
    }

    async fn get(&mut self, limit: Duration) -> Result<Answer, Fault> {
        let deadline = Instant::now() + limit;
        self.asked += 1;
        let last = self.asked >= QUESTIONS;
        let question = Question { url: &self.url, deadline, limit, last };
        if let Some(mut line) = self.line.take() {
            let answer = line.ask(&question, |_| true).await;
            // One that the server has closed meanwhile says nothing of the server.
            if !matches!(answer, Err(ref fault) if !matches!(fault, Fault::TimedOut { .. })) {
                return self.keep(line, last, answer);
            }
        }
        let mut line = Line::open(&question).await?;
        let answer = line.ask(&question, |_| true).await;
        self.keep(line, last, answer)
    }

    fn keep(&mut self, line: Line, last: bool, answer: Result<Answer, Fault>) -> Result<Answer, Fault> {
        if last {
            self.asked = 0;
        } else if answer.is_ok() && line.is_open() {
            self.line = Some(line);
        }
        answer
    }
}

/// Whether any known server means "not ready yet" by this answer. A status alone says too little
/// where it is not known which server it is.
fn says_loading(answer: &Answer) -> bool {
    answer.status >= 400 && Known::builtin().says_loading(answer.status, &answer.body)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// A server that answers each request of a connection with the next of these, and tells how many
    /// requests each connection had.
    fn server(answers: Vec<&'static str>, per_connection: usize) -> (HttpUrl, std::thread::JoinHandle<Vec<usize>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/health", listener.local_addr().unwrap()).parse().unwrap();
        let thread = std::thread::spawn(move || {
            let (mut answers, mut counts) = (answers.into_iter().peekable(), Vec::new());
            while answers.peek().is_some() {
                let (stream, _) = listener.accept().unwrap();
                let (mut lines, mut count) = (BufReader::new(&stream).lines(), 0);
                while count < per_connection && answers.peek().is_some() {
                    // A request ends with an empty line.
                    if !lines.by_ref().map_while(Result::ok).any(|line| line.is_empty()) {
                        break;
                    }
                    let (status, body) = answers.next().unwrap().split_once('|').unwrap();
                    let length = body.len();
                    write!(&stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
                    count += 1;
                }
                counts.push(count);
            }
            counts
        });
        (url, thread)
    }

    const LIMIT: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_connection_is_kept_and_every_tenth_time_a_new_one_is_made() {
        let (url, server) = server(vec!["200 OK|ok"; 25], usize::MAX);
        let mut kept = Kept::new(url);
        for _ in 0..25 {
            assert_eq!(kept.ask(LIMIT).await, (AvailabilityState::Available, "200".to_owned()));
        }
        drop(kept);
        assert_eq!(server.join().unwrap(), [10, 10, 5]);
    }

    #[tokio::test]
    async fn a_connection_that_the_server_closed_is_no_failure() {
        let (url, server) = server(vec!["200 OK|"; 6], 2);
        let mut kept = Kept::new(url.clone());
        for _ in 0..6 {
            assert_eq!(kept.ask(LIMIT).await.0, AvailabilityState::Available);
        }
        assert_eq!(server.join().unwrap(), [2, 2, 2]);
        let (state, why) = Kept::new(url).ask(LIMIT).await;
        assert_eq!(
            (state, why.as_str()),
            (AvailabilityState::Unavailable, "connection refused: nothing listens there")
        );
    }

    #[tokio::test]
    async fn answers_have_their_meaning() {
        let loading = "503 Service Unavailable|{\"error\":{\"message\":\"Loading model\"}}";
        let (url, server) = server(vec!["302 Found|", loading, "503 Busy|no slot", "404 No|x"], usize::MAX);
        let mut kept = Kept::new(url);
        let mut said = Vec::new();
        for _ in 0..4 {
            said.push(kept.ask(LIMIT).await);
        }
        assert_eq!(said[0].0, AvailabilityState::Available);
        assert_eq!(said[1].0, AvailabilityState::Starting);
        assert_eq!(said[2], (AvailabilityState::Unavailable, "503: no slot".to_owned()));
        assert_eq!(said[3], (AvailabilityState::Unavailable, "404: x".to_owned()));
        server.join().unwrap();
    }
}
