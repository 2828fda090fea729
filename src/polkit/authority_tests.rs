//! A stand-in for the bus and polkit at the other end of a socket pair.

use std::os::unix::net::UnixStream;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use zbus::Message;
use zbus::connection::Builder;

use super::*;

/// What stands in for the bus and polkit says; everybody is uid 1000 but `:1.0`, who is root.
#[derive(Clone, Copy)]
enum Says {
    Answer(bool, bool),
    /// Needs a password, and a prompt stays open.
    Opens,
    Error,
}

/// The authority, and what it was asked.
async fn authority(says: Says) -> (Authority, UnboundedReceiver<String>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let guid = zbus::Guid::generate();
    let server = Builder::unix_stream(theirs).server(guid).p2p();
    let client = Builder::unix_stream(ours).p2p();
    let (server, client) = tokio::join!(server.build_message_stream(), client.build());
    let (tell, asked) = unbounded_channel();
    crate::tasks::spawn(serve(server.unwrap(), says, tell));
    (Authority::new(client.unwrap()), asked)
}

async fn serve(mut messages: MessageStream, says: Says, tell: tokio::sync::mpsc::UnboundedSender<String>) {
    let connection = Connection::from(&messages);
    while let Some(Ok(call)) = next(&mut messages).await {
        let header = call.header();
        let answer = match header.member().unwrap().as_str() {
            "GetConnectionUnixUser" => match call.body().deserialize::<String>().unwrap().as_str() {
                ":1.0" => Message::method_return(&header).build(&0_u32),
                ":1.404" => Message::error(&header, "org.freedesktop.DBus.Error.NameHasNoOwner").build(&()),
                _ => Message::method_return(&header).build(&1000_u32),
            },
            "GetConnectionUnixProcessID" => match call.body().deserialize::<String>().unwrap().as_str() {
                "org.example.Nobody" => Message::error(&header, "org.freedesktop.DBus.Error.NameHasNoOwner").build(&()),
                _ => Message::error(&header, "org.freedesktop.DBus.Error.Failed").build(&()),
            },
            "NameHasOwner" => Message::method_return(&header).build(&true),
            "CheckAuthorization" => {
                let (_, action, _, flags, _): (Subject<'_>, String, HashMap<String, String>, u32, String) =
                    call.body().deserialize().unwrap();
                tell.send(format!("{action} {flags}")).unwrap();
                let none = HashMap::<String, String>::new();
                match (says, flags) {
                    (Says::Opens, ASK) => continue,
                    (Says::Opens, _) => Message::method_return(&header).build(&((false, true, none),)),
                    (Says::Answer(yes, challenge), _) => {
                        Message::method_return(&header).build(&((yes, challenge, none),))
                    }
                    (Says::Error, _) => Message::error(&header, "org.freedesktop.PolicyKit1.Error.Failed").build(&()),
                }
            }
            other => {
                tell.send(other.to_owned()).unwrap();
                continue;
            }
        };
        connection.send(&answer.unwrap()).await.unwrap();
    }
}

fn name(name: &'static str) -> UniqueName<'static> {
    UniqueName::try_from(name).unwrap()
}

fn run<F: Future>(test: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

#[test]
fn what_polkit_says_counts() {
    run(async {
        for (says, answer) in
            [((true, false), Answer::Allowed), ((false, true), Answer::NeedsPassword), ((false, false), Answer::Denied)]
        {
            let (authority, _asked) = authority(Says::Answer(says.0, says.1)).await;
            for interactive in [false, true] {
                let got = authority.check(&name(":1.7"), "a", &[], interactive).await.unwrap();
                assert_eq!(got, answer);
            }
        }
    });
}

#[test]
fn no_answer_is_no_permission() {
    run(async {
        let (authority, mut asked) = authority(Says::Error).await;
        assert!(authority.check(&name(":1.7"), "a", &[], true).await.is_err());
        assert_eq!(asked.recv().await.unwrap(), "a 0");
        // Whose user the bus does not tell is not root, and polkit is not asked.
        assert!(authority.check(&name(":1.404"), "a", &[], true).await.is_err());
        assert_eq!(authority.check(&name(":1.0"), "a", &[], false).await.unwrap(), Answer::Allowed);
        assert!(asked.try_recv().is_err());
    });
}

#[test]
fn prompts_are_counted_and_taken_back() {
    run(async {
        let (authority, mut asked) = authority(Says::Opens).await;
        let open: Vec<_> = (0..PROMPTS)
            .map(|_| {
                let authority = authority.clone();
                tokio::spawn(async move { authority.check(&name(":1.7"), "a", &[], true).await })
            })
            .collect();
        for _ in 0..PROMPTS * 2 {
            asked.recv().await.unwrap();
        }
        let error = authority.check(&name(":1.8"), "a", &[], true).await.unwrap_err();
        assert_eq!(error.short_name(), "LimitsExceeded");
        assert_eq!(asked.recv().await.unwrap(), "a 0");
        // Others are answered all the same.
        assert_eq!(authority.check(&name(":1.7"), "b", &[], false).await.unwrap(), Answer::NeedsPassword);
        assert_eq!(asked.recv().await.unwrap(), "b 0");
        for prompt in open {
            prompt.abort();
            assert_eq!(asked.recv().await.unwrap(), "CancelCheckAuthorization");
        }
        assert!(authority.0.prompts.lock().unwrap().is_empty());
    });
}

#[test]
fn a_bus_that_does_not_say_who_has_a_name_is_no_answer() {
    run(async {
        let (authority, _asked) = authority(Says::Error).await;
        assert_eq!(authority.pid_of("org.example.Nobody").await.unwrap(), None);
        assert!(authority.pid_of("org.example.Silent").await.is_err());
    });
}
