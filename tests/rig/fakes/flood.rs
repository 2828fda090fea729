//! `flood COUNT list|stop`: that many calls to the system's daemon at once, over a hundred connections; those of `stop`
//! would each ask for a password. It says how many were answered how.

use std::collections::BTreeMap;
use std::time::Duration;

use zbus::message::{Flags, Message, Type};

use super::super::Result;

const NAME: &str = "org.provost.Provost1";
const PATH: &str = "/org/provost/Provost1";
const MANAGER: &str = "org.provost.Provost1.Manager";
const CONNECTIONS: usize = 100;
/// Prompts stay open: who has none is not waited for longer.
const QUIET: Duration = Duration::from_secs(5);

pub fn main(args: &[String]) -> Result<()> {
    let (Some(count), Some(method)) = (args.first().and_then(|count| count.parse::<usize>().ok()), args.get(1)) else {
        return Err("flood COUNT list|stop".into());
    };
    let stop = method == "stop";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answers = runtime.block_on(async {
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..CONNECTIONS {
            clients.spawn(client(count / CONNECTIONS, stop));
        }
        let mut answers: BTreeMap<String, usize> = BTreeMap::new();
        while let Some(done) = clients.join_next().await {
            let done = done.map_err(|e| e.to_string()).and_then(|done| done.map_err(|e| e.to_string()));
            for (answer, count) in done.unwrap_or_else(|error| BTreeMap::from([(error, 1)])) {
                *answers.entry(answer).or_default() += count;
            }
        }
        answers
    });
    for (answer, count) in answers {
        println!("{count} {answer}");
    }
    Ok(())
}

async fn client(count: usize, stop: bool) -> zbus::Result<BTreeMap<String, usize>> {
    let mut messages = zbus::connection::Builder::system().build_message_stream().await?;
    let connection = zbus::Connection::from(&messages);
    for _ in 0..count {
        let call = Message::method_call(PATH, if stop { "Stop" } else { "List" });
        let call = call.destination(NAME).interface(MANAGER);
        let ids: &[&str] = if stop { &["llm"] } else { &[] };
        let call = match stop {
            true => call.with_flags(Flags::ALLOW_INTERACTIVE_AUTH).build(&(ids, "", false))?,
            false => call.build(&(ids, "", true))?,
        };
        connection.send(&call).await?;
    }
    std::fs::write("/tmp/flood-began", "").ok();
    let mut answers = BTreeMap::new();
    let mut answered = 0;
    while answered < count {
        let next = std::future::poll_fn(|cx| futures_core::Stream::poll_next(std::pin::Pin::new(&mut messages), cx));
        let Ok(Some(message)) = tokio::time::timeout(QUIET, next).await else { break };
        let message = message?;
        let answer = match message.message_type() {
            Type::MethodReturn => "answers".to_owned(),
            Type::Error => message.header().error_name().map(|name| name.to_string()).unwrap_or_default(),
            _ => continue,
        };
        answered += 1;
        *answers.entry(answer).or_default() += 1;
    }
    if answered < count {
        answers.insert("open".to_owned(), count - answered);
    }
    Ok(answers)
}
