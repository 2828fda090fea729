//! Over real sockets: what clients are answered, and that no client, whatever it sends or leaves
//! unread, is more than its own problem.

mod rubbish;
mod stand_in;

use std::collections::BTreeMap;

use super::dict::to_json;
use super::{Dict, PATH, Request, introspect};
use crate::control::Control;
use crate::model::service::ServiceSpec;
use crate::model::{Signal, Whom};
use crate::services::{Ended, Follow, Goal};
use crate::supervise::Stop;
use stand_in::{StandIn, event, id, report};

fn run<F: Future>(test: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

async fn control(daemon: &StandIn) -> Control {
    Control::connect_to(&daemon.socket).await.unwrap().expect("a daemon that runs")
}

/// A connection without a wrapper.
async fn raw(daemon: &StandIn) -> zbus::Connection {
    let stream = std::os::unix::net::UnixStream::connect(&daemon.socket).unwrap();
    zbus::connection::Builder::unix_stream(stream).p2p().build().await.unwrap()
}

#[test]
fn every_method_travels_there_and_back() {
    run(async {
        let mut daemon = StandIn::start(&["a", "b.c"]);
        let control = control(&daemon).await;
        let none = BTreeMap::new();
        let spec = ServiceSpec::new(id("new"), vec!["sleep".to_owned()], "/".into());
        assert_eq!(control.define(&[spec], &none).await.unwrap(), [id("new")]);
        let touched = vec![(id("a"), true)];
        let a = [id("a")];
        let mut events = control.events().await.unwrap();
        assert_eq!(control.start(&a, None, &none).await.unwrap(), touched);
        assert_eq!(events.next().await.unwrap().event(), event(1, "a", "started"));
        assert_eq!(control.stop(&a, Some("/p.toml".as_ref()), true).await.unwrap(), touched);
        assert_eq!(control.restart(&a, None).await.unwrap(), touched);
        assert_eq!(control.kill(&a, Whom::All, Signal::TERM).await.unwrap(), touched);
        assert_eq!(control.enable(&a, false).await.unwrap(), touched);
        assert_eq!(control.remove(&a).await.unwrap(), touched);
        assert_eq!(control.list(&a, None, true).await.unwrap(), [report(&id("a"))]);
        assert_eq!(control.orphans(&["x".to_owned()]).await.unwrap(), []);
        assert_eq!(control.clean_orphans(&[], false).await.unwrap().orphaned_pids, [5]);
        let facts = control.facts().await.unwrap();
        assert_eq!((facts.pid, facts.instance_id.as_str()), (std::process::id(), "abc"));

        let wrong = |error: crate::Error| (error.exit_code(), error.to_string());
        let load = wrong(control.load("/x.toml".as_ref(), &none).await.unwrap_err());
        assert_eq!(load, (6, "/x.toml:1:1: wrong".to_owned()));
        let unknown = wrong(control.stop(&[id("zzz")], None, false).await.unwrap_err());
        assert_eq!(unknown, (5, "there is no service zzz; near it: near".to_owned()));
        assert_eq!(wrong(control.reload(&a).await.unwrap_err()), (1, "it has no way to reload".to_owned()));
        assert_eq!(wrong(control.reload_config().await.unwrap_err()), (8, "the daemon is ending".to_owned()));
        let glob = ServiceSpec::new(id("n*"), vec!["sleep".to_owned()], "/".into());
        assert!(control.define(&[glob], &none).await.unwrap_err().to_string().contains("is a pattern"));

        let exit = tokio::spawn(async move { control.exit(Stop::All).await });
        assert_eq!(daemon.requests.recv().await, Some(Request::Exit(Stop::All)));
        exit.abort();
    });
}

#[test]
fn what_is_come_after_need_not_be_there() {
    run(async {
        let daemon = StandIn::start(&["a"]);
        let control = control(&daemon).await;
        let spec = ServiceSpec::new(id("c"), vec!["sleep".to_owned()], "/".into());
        let spec = ServiceSpec { after: vec![id("a"), id("removed")], ..spec };
        control.define(&[spec], &BTreeMap::new()).await.unwrap();
        let mut follow = Follow::begin(&control).await.unwrap();
        let limit = Some(std::time::Duration::from_millis(100));
        let ended = follow.until(&[id("c")], Goal::Ready, limit, |_| ()).await.unwrap();
        assert!(matches!(ended, Ended::TimedOut(late) if late.id == id("c")));
        let gone = follow.until(&[id("c"), id("removed")], Goal::Ready, limit, |_| ()).await;
        assert_eq!(gone.unwrap_err().exit_code(), 5, "it was to be ready itself");
    });
}

#[test]
fn services_are_objects_without_being_registered() {
    run(async {
        let daemon = StandIn::start(&["a", "b.c"]);
        let client = raw(&daemon).await;
        let call = async |path: &str, interface: &str, method: &str, body: &[&str]| {
            let path = zbus::ObjectPath::try_from(path.to_owned()).unwrap();
            let reply = match body {
                [] => client.call_method(None::<&str>, path, Some(interface), method, &()).await,
                [one] => client.call_method(None::<&str>, path, Some(interface), method, one).await,
                [one, two, ..] => client.call_method(None::<&str>, path, Some(interface), method, &(one, two)).await,
            };
            reply.map_err(|e| e.to_string())
        };
        let (intro, props) = ("org.freedesktop.DBus.Introspectable", "org.freedesktop.DBus.Properties");
        let mut path = String::new();
        // As `busctl tree` walks.
        for part in ["org", "provost", "Provost1", "service", "b_2ec"] {
            let at = if path.is_empty() { "/" } else { &path };
            let xml: String = call(at, intro, "Introspect", &[]).await.unwrap().body().deserialize().unwrap();
            assert!(xml.contains(&format!("<node name=\"{part}\"/>")), "{at}: {xml}");
            path = format!("{path}/{part}");
        }
        let xml: String = call(&path, intro, "Introspect", &[]).await.unwrap().body().deserialize().unwrap();
        let service = "org.provost.Provost1.Service";
        let all: Dict = call(&path, props, "GetAll", &[service]).await.unwrap().body().deserialize().unwrap();
        for (name, value) in &all {
            let kind = value.value_signature();
            assert!(xml.contains(&format!("<property name=\"{name}\" type=\"{kind}\"")), "{name} {kind}");
        }
        assert_eq!(all.len(), xml.matches("<property ").count());
        assert_eq!((to_json(&all["Id"]), to_json(&all["Pid"])), ("b.c".into(), 77.into()));
        assert_eq!(to_json(&all["LastExit"]), "exit code -1");
        assert_eq!(to_json(&all["Meta"]), serde_json::json!({"gpu": ["0"], "n": {"x": 1.5}}));
        let one = call(&path, props, "Get", &[service, "State"]).await.unwrap();
        assert_eq!(to_json(&one.body().deserialize::<zbus::OwnedVariant>().unwrap()), "stopped");
        let done = call(&path, service, "Start", &[]).await.unwrap();
        assert!(done.body().deserialize::<bool>().unwrap());
        for (path, interface, method) in [
            ("/org/provost/Provost1/service/zzz", service, "Start"),
            ("/org/provost/Provost1/service/a_2a", service, "Start"),
            ("/x", props, "GetAll"),
            (path.as_str(), service, "Nonsense"),
            (path.as_str(), "org.provost.Provost1.Manager", "List"),
            (PATH, "a.b", "List"),
        ] {
            let error = call(path, interface, method, &[]).await.unwrap_err();
            assert!(error.contains("Unknown") || error.contains("there is no") || error.contains("has no"), "{error}");
        }
    });
}

#[test]
fn every_method_that_is_told_exists() {
    run(async {
        let daemon = StandIn::start(&[]);
        let client = raw(&daemon).await;
        let methods = introspect::MANAGER.match_indices("<method name=\"");
        let names: Vec<&str> =
            methods.map(|(at, tag)| introspect::MANAGER[at + tag.len()..].split('"').next().unwrap()).collect();
        assert!(names.len() > 10);
        for name in names {
            let reply = client.call_method(None::<&str>, PATH, Some("org.provost.Provost1.Manager"), name, &1u8).await;
            if let Err(error) = reply {
                assert!(!error.to_string().contains("no method"), "{name}: {error}");
            }
        }
    });
}

#[test]
fn a_client_that_greets_as_on_a_bus_gets_every_signal() {
    run(async {
        let daemon = StandIn::start(&["a"]);
        let stream = std::os::unix::net::UnixStream::connect(&daemon.socket).unwrap();
        let client = zbus::connection::Builder::unix_stream(stream).build().await.unwrap();
        assert_eq!(client.unique_name().unwrap().as_str(), ":1.1");
        let properties = zbus::fdo::PropertiesProxy::builder(&client)
            .destination(super::NAME)
            .path("/org/provost/Provost1/service/a")
            .build()
            .await
            .unwrap();
        let mut changes = properties.receive_properties_changed().await.unwrap();
        daemon.events.send(event(1, "a", "runs")).unwrap();
        let change = crate::systemd::next(&mut changes).await.unwrap();
        let changed = change.args().unwrap();
        assert_eq!(changed.interface_name.as_str(), "org.provost.Provost1.Service");
        assert_eq!(to_json(&changed.changed_properties["State"]), "stopped");
        assert!(!changed.changed_properties.contains_key("CpuPercent"));
    });
}

#[test]
fn a_bus_is_told_what_came_in_a_moment_together_and_all_of_it() {
    run(async {
        let daemon = StandIn::start(&["a"]);
        let mut signals = super::signals::Signals::of_bus(&daemon.api, false);
        daemon.events.send(event(1, "a", "starts")).unwrap();
        // Whoever waits for it has something else to do meanwhile.
        for seq in 2..=3 {
            let waits = tokio::time::timeout(std::time::Duration::from_millis(5), signals.next()).await;
            assert!(waits.is_err(), "at once");
            daemon.events.send(event(seq, "a", "runs")).unwrap();
        }
        let batch = signals.next().await.unwrap();
        let told: Vec<String> = signals.messages(&daemon.api, &batch).await.iter().map(member).collect();
        let each = ["Event", "StateChanged"];
        assert_eq!(told, [&each[..], &each, &each, &["PropertiesChanged"]].concat());
    });
}

fn member(message: &zbus::message::Message) -> String {
    message.header().member().unwrap().to_string()
}

#[test]
fn many_clients_at_once_are_all_answered() {
    run(async {
        let daemon = StandIn::start(&["a", "b", "c"]);
        let clients = (0..50).map(async |_| {
            let control = control(&daemon).await;
            let calls = (0..20).map(async |_| control.list(&[], None, false).await.unwrap().len());
            crate::join::join_all(calls).await.iter().sum::<usize>()
        });
        assert_eq!(crate::join::join_all(clients).await, [60; 50]);
        drop(daemon.api);
    });
}

#[test]
fn a_gap_in_the_events_is_seen() {
    run(async {
        let daemon = StandIn::start(&["a"]);
        let control = control(&daemon).await;
        let mut events = control.events().await.unwrap();
        // More at once than the channel keeps.
        for seq in 1..=1000 {
            daemon.events.send(event(seq, "a", "x")).unwrap();
        }
        let mut got = 0;
        loop {
            got += 1;
            if events.next().await.unwrap().event().seq == 1000 {
                break;
            }
        }
        daemon.events.send(event(1001, "a", "x")).unwrap();
        assert_eq!(events.next().await.unwrap().event().seq, 1001);
        // The first that is got begins the count.
        assert!(got < 1000 && control.list(&[], None, false).await.is_ok(), "{got}");
        for seq in 1002..=2000 {
            daemon.events.send(event(seq, "a", "x")).unwrap();
        }
        while events.next().await.unwrap().event().seq != 2000 {}
        assert_ne!(events.missed(), 0);
    });
}

#[test]
fn where_nobody_serves_there_is_no_daemon() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        assert!(Control::connect_to(&path).await.unwrap().is_none());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(Control::connect_to(&path).await.unwrap().is_none(), "a socket that a daemon has left");
    });
}
