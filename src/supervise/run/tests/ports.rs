//! Ports: who holds one, which of a range is free, and what is told meanwhile.

use super::*;
use crate::model::service::PortSpec;

#[test]
fn a_port_of_another_is_waited_for() {
    real(async |dir| {
        let mut rig = Rig::new(dir);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let fixed = ServiceSpec { port: Some(PortSpec::Fixed(port)), ..spec("a", "") };
        let range = ServiceSpec { port: Some(PortSpec::Range(port, port + 20)), ..spec("b", "") };
        rig.define([fixed, range]).await.unwrap();
        rig.start("").await.unwrap();
        rig.ready("b").await;
        let other = rig.report("b").await.port.unwrap();
        assert!(other > port && other <= port + 20, "{other}");
        let own = format!("waits for its port: {port} is held by pid {} (", std::process::id());
        let wait = async {
            while !rig.report("a").await.reason.is_some_and(|reason| reason.starts_with(&own)) {
                rig.soon().await;
            }
        };
        tokio::time::timeout(20 * SECOND, wait).await.expect("who holds it is said");
        assert_eq!(rig.report("a").await.state, ServiceState::Starting);
        drop(listener);
        rig.ready("a").await;
        // It keeps the one that it had.
        rig.restart("b").await.unwrap();
        rig.ready("b").await;
        assert_eq!(rig.report("b").await.port, Some(other));
        // Where it moves, who runs by it follows.
        let mut by_port = ServiceSpec { after: vec![id("b")], ..spec("c", "") };
        by_port.env.insert("B".to_owned(), "${service.b.port}".to_owned());
        rig.define([by_port, spec("d", "")]).await.unwrap();
        rig.start("c d").await.unwrap();
        for id in ["c", "d"] {
            rig.until(id, |report| report.ready).await;
        }
        let pids = [rig.report("c").await.pid, rig.report("d").await.pid];
        let _taken = std::net::TcpListener::bind(("127.0.0.1", other)).unwrap();
        rig.restart("b").await.unwrap();
        rig.until("c", |report| report.ready && report.pid != pids[0]).await;
        assert_ne!(rig.report("b").await.port, Some(other));
        assert_eq!(rig.report("d").await.pid, pids[1]);
    });
}

#[test]
fn a_port_that_a_connection_holds_is_not_taken_of_a_range_and_named_of_a_fixed_one() {
    real(async |dir| {
        let mut rig = Rig::new(dir);
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let near = client.local_addr().unwrap().port();
        let range = ServiceSpec { port: Some(PortSpec::Range(near, near + 20)), ..spec("range", "") };
        let fixed = ServiceSpec { port: Some(PortSpec::Fixed(near)), ..spec("fixed", "exit 1") };
        rig.define([range]).await.unwrap();
        rig.start("range").await.unwrap();
        rig.up("range").await;
        let port = rig.report("range").await.port.unwrap();
        assert!(port > near && port <= near + 20, "{port} of {near} on");
        rig.define([fixed]).await.unwrap();
        rig.start("fixed").await.unwrap();
        rig.becomes("fixed", ServiceState::Restarting).await;
        let why = rig.report("fixed").await.reason.unwrap();
        assert!(why.contains(&format!("; its port {near} is held by a socket that does not listen")), "{why}");
    });
}

#[test]
fn one_that_waits_for_its_new_port_is_not_told_with_its_old_one() {
    real(async |dir| {
        let rig = Rig::new(dir);
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let with = |port| ServiceSpec { port: Some(PortSpec::Fixed(port)), ..spec("a", "") };
        rig.define([with(free)]).await.unwrap();
        rig.start("a").await.unwrap();
        rig.up("a").await;
        let new = held.local_addr().unwrap().port();
        rig.stop("a").await.unwrap();
        rig.until("a", |report| report.state == ServiceState::Stopped).await;
        rig.define([with(new)]).await.unwrap();
        rig.start("a").await.unwrap();
        let report = rig.until("a", |report| report.reason.as_ref().is_some_and(|why| why.contains("its port"))).await;
        assert_eq!(report.port, Some(new), "{:?}", report.reason);
    });
}
