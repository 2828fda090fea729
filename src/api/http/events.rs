//! `/api/v1/events`: what happens, as server-sent events. Each has an id of this run of the daemon and
//! its number: who comes back with the last one (`Last-Event-ID`) misses nothing that is still kept.

use axum::http::Method;
use serde_json::json;
use tokio::sync::broadcast::{self, error::RecvError};

use super::call::{Answered, Call};
use super::endpoint::{Endpoint, Gives};
use super::stream::{ALIVE, EVENTS, Writer, answer, event};
use crate::api::dbus::Recent;
use crate::model::service::Event;
use crate::tokens::Scope;

pub(super) static ENDPOINTS: &[Endpoint] = &[Endpoint {
    method: Method::GET,
    path: "/api/v1/events",
    scope: Some(Scope::Read),
    system: true,
    about: "What happens to services, as server-sent events; with Last-Event-ID, from there on.",
    params: &[],
    body: None,
    gives: Gives::Text(
        &[EVENTS],
        "each event's data is one JSON object, as `provost events -o json` prints it; an \
                       event of type `missed` says how many are gone",
    ),
    fails: &[503],
    handler: |call| Box::pin(events(call)),
}];

async fn events(call: Call) -> Answered {
    let api = &call.front.api;
    let heard = api.handle.events();
    let last = call.headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let from = last.map(|id| since(id, &call.front.run));
    let (writer, body) = call.front.streams.open()?;
    let (run, recent) = (call.front.run.clone(), api.recent.clone());
    crate::tasks::spawn(async move {
        tokio::select! {
            () = writer.closed() => {}
            () = tell(&writer, &run, &recent, heard, from) => {}
        }
    });
    Ok(answer(body, EVENTS))
}

/// The number of the first event that is wanted: of another run, all that this one has.
fn since(id: &str, run: &str) -> u64 {
    let of_this = id.split_once('-').filter(|(of, _)| *of == run);
    of_this.and_then(|(_, seq)| seq.parse::<u64>().ok()).map_or(0, |seq| seq.saturating_add(1))
}

async fn tell(writer: &Writer, run: &str, recent: &Recent, mut heard: broadcast::Receiver<Event>, from: Option<u64>) {
    // The answer begins at once, for who waits for its head.
    if !writer.write(": provost\n\n").await {
        return;
    }
    // What had happened when this began has been kept by now.
    tokio::task::yield_now().await;
    let mut next = None;
    if let Some(from) = from {
        next = Some(from);
        for old in recent.all() {
            if !pass(writer, run, recent, &mut next, old).await {
                return;
            }
        }
    }
    loop {
        let event = match tokio::time::timeout(ALIVE, heard.recv()).await {
            Err(_) => match writer.write(": it is quiet\n\n").await {
                true => continue,
                false => return,
            },
            Ok(Ok(event)) => event,
            // Those that are kept still are told before the next one.
            Ok(Err(RecvError::Lagged(_))) => continue,
            Ok(Err(RecvError::Closed)) => return,
        };
        if !pass(writer, run, recent, &mut next, event).await {
            return;
        }
    }
}

/// Tells an event, and before it those that came between; false: nobody listens any more.
async fn pass(writer: &Writer, run: &str, recent: &Recent, next: &mut Option<u64>, event: Event) -> bool {
    let expected = *next.get_or_insert(event.seq);
    if event.seq < expected {
        return true;
    }
    if event.seq > expected {
        let between: Vec<Event> =
            recent.all().into_iter().filter(|old| (expected..event.seq).contains(&old.seq)).collect();
        let missed = event.seq - expected - between.len() as u64;
        if missed > 0 && !writer.write(self::event(None, Some("missed"), &json!({ "missed": missed }))).await {
            return false;
        }
        for old in between {
            if !one(writer, run, &old).await {
                return false;
            }
        }
    }
    *next = Some(event.seq + 1);
    one(writer, run, &event).await
}

async fn one(writer: &Writer, run: &str, event: &Event) -> bool {
    writer.write(self::event(Some(&format!("{run}-{}", event.seq)), None, event)).await
}

#[cfg(test)]
mod tests {
    use super::since;

    #[test]
    fn an_id_of_another_run_begins_at_the_start() {
        assert_eq!((since("ab12-7", "ab12"), since("cd34-7", "ab12")), (8, 0));
        for rubbish in ["", "7", "ab12", "ab12-", "ab12-x", "ab12--1", "\u{1}"] {
            assert_eq!(since(rubbish, "ab12"), 0, "{rubbish}");
        }
        assert_eq!(since(&format!("ab12-{}", u64::MAX), "ab12"), u64::MAX);
    }
}
