//! The port of a service: which one it gets, the wait until that is free, and who holds it.
//!
//! What listens is asked of the kernel (both address families, every user). What holds a port without listening,
//! as the near end of a connection, the kernel does not list in all its forms: for that alone the port is bound,
//! for a moment, and so that who binds with SO_REUSEADDR at the same time can.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustix::io::Errno;
use tokio::time::{Instant, sleep, sleep_until};

use crate::error::Error;
use crate::model::service::PortSpec;
use crate::model::{Owner, OwnerFacts, Target};
use crate::observe::sockets::{self, Closings};
use crate::observe::{Observer, Units, Want};

/// How often the kernel's list is read again while something is waited for: it tells when a
/// socket closes, so that this is for what it might not tell; the shorter one where it tells
/// nothing. On a busy host sockets close all the time, which is why there is a shortest pause.
const AGAIN: Duration = Duration::from_secs(2);
const AGAIN_UNTOLD: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(20);

/// The TCP ports on which anybody listens, on any address.
#[cfg(test)]
pub(crate) fn taken() -> io::Result<BTreeSet<u16>> {
    Ok(sockets::listeners(None)?.into_iter().map(|listener| listener.addr.port()).collect())
}

/// Whether nobody listens on the port.
pub(crate) fn is_free(port: u16) -> io::Result<bool> {
    Ok(sockets::listeners(Some(port))?.is_empty())
}

/// Of a port on which nobody listens: that a socket holds it all the same, in words that follow another reason. What a
/// server has left in TIME_WAIT is in the way of nobody who binds as most servers do, with SO_REUSEADDR.
pub(crate) fn held(port: u16) -> Option<String> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
    let is_bound = |address: IpAddr| {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        bind(&socket, &SocketAddr::new(address, port))
    };
    // What cannot be bound for another reason, as a port of root's, is not held by anybody.
    let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let is_held = any.into_iter().any(|address| is_bound(address) == Err(Errno::ADDRINUSE));
    (is_held && is_free(port).unwrap_or(false)).then(|| {
        format!("its port {port} is held by a socket that does not listen (an end of a connection, or only bound)")
    })
}

/// Chooses: the fixed one, taken or not; of a range the one that it had, while that is free, else
/// the lowest that is free. `others`: whether another service names the port or was given it.
///
/// # Errors
/// No port of the range is free; in words.
pub(crate) fn choose(
    spec: PortSpec,
    had: Option<u16>,
    others: impl Fn(u16) -> bool,
    taken: &BTreeSet<u16>,
) -> Result<u16, String> {
    let (first, last) = match spec {
        PortSpec::Fixed(port) => return Ok(port),
        PortSpec::Range(first, last) => (first, last),
    };
    let free = |port: &u16| !others(*port) && !taken.contains(port);
    let kept = had.filter(|port| (first..=last).contains(port)).filter(free);
    kept.or_else(|| (first..=last).find(free)).ok_or_else(|| {
        let ours = (first..=last).filter(|port| others(*port)).count();
        let whose = match (first..=last).find(|port| !others(*port)) {
            Some(port) => {
                format!("{ours} of them belong to other services; provost inspect :{port} tells who has another")
            }
            None => "all of them belong to other services".to_owned(),
        };
        format!("none of the ports {first}-{last} is free: {whose}")
    })
}

/// Waits until nobody listens on the port any more; `false` if that takes longer than `limit`.
pub(crate) async fn wait_free(port: u16, limit: Duration) -> io::Result<bool> {
    // Before the first look, so that nothing is missed between it and the wait.
    let closings = Closings::watch().map_err(|error| tracing::debug!(%error, "closing sockets are not told")).ok();
    let end = Instant::now() + limit;
    loop {
        if is_free(port)? {
            return Ok(true);
        }
        if Instant::now() >= end {
            return Ok(false);
        }
        let told = async {
            match &closings {
                Some(closings) if closings.some().await.is_ok() => {}
                _ => sleep(AGAIN_UNTOLD).await,
            }
        };
        tokio::select! {
            () = told => sleep(PAUSE).await,
            () = sleep(AGAIN) => {}
            () = sleep_until(end) => {}
        }
    }
}

/// Who holds the port, in a sentence: `8080 is held by pid 4711 (eve, session 3); provost inspect
/// :8080`. Reads the host, and asks the managers of units where that is needed.
pub(crate) async fn holder(port: u16) -> String {
    let who = match Observer::new(Units::Both).await {
        Ok(observer) => match observer.facts(&Target::Port(port), &Want::default()).await {
            Ok(facts) if facts.owners.is_empty() => format!("{port} is free again"),
            Ok(facts) => format!("{port} is held by {}", all(&facts.owners)),
            Err(Error::NotFound { .. }) => format!("{port} is free again"),
            // Whose it is is said in the refusal to name the process.
            Err(Error::Act(error)) => error.to_string(),
            Err(error) => format!("{port} is taken, and by whom cannot be read: {error}"),
        },
        Err(error) => format!("{port} is taken, and by whom cannot be read: {error}"),
    };
    format!("{who}; provost inspect :{port}")
}

fn all(owners: &[OwnerFacts]) -> String {
    owners.iter().map(one).collect::<Vec<_>>().join(" and ")
}

fn one(owner: &OwnerFacts) -> String {
    let user = owner.user.as_deref().unwrap_or("somebody");
    let pid = owner.matched.first().or(owner.tree.first()).map(|pid| format!("pid {pid}"));
    let place = match &owner.owner {
        Owner::Session { id, .. } => format!("{user}, session {id}"),
        Owner::OwnService { id } => format!("{user}, service {id}"),
        Owner::SystemUnit { unit } => format!("{user}, {unit}"),
        Owner::UserUnit { unit, .. } => format!("{user}, user unit {unit}"),
        Owner::Container { container, .. } => {
            format!("{} container {}", container.runtime.name(), crate::text::clip_to(&container.id, 12))
        }
        Owner::Bare { .. } => user.to_owned(),
        Owner::Kernel => "the kernel".to_owned(),
    };
    match pid {
        Some(pid) => format!("{pid} ({place})"),
        None => place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn a_range_keeps_what_it_had_and_else_gives_the_lowest() {
        let set = |ports: &[u16]| ports.iter().copied().collect::<BTreeSet<_>>();
        let choose = |spec, had, others: &BTreeSet<u16>, taken: &_| choose(spec, had, |p| others.contains(&p), taken);
        let range = PortSpec::Range(10, 13);
        let none = set(&[]);
        assert_eq!(choose(range, None, &none, &none), Ok(10));
        assert_eq!(choose(range, Some(12), &none, &none), Ok(12));
        assert_eq!(choose(range, Some(12), &none, &set(&[12, 10])), Ok(11), "taken meanwhile");
        assert_eq!(choose(range, Some(12), &set(&[12]), &none), Ok(10), "another service names it now");
        assert_eq!(choose(range, Some(9), &none, &none), Ok(10), "the range has changed");
        assert_eq!(choose(range, None, &set(&[10]), &set(&[11])), Ok(12));
        let all = choose(range, Some(12), &set(&[10, 11]), &set(&[12, 13]));
        let said = "2 of them belong to other services; provost inspect :12 tells who has another";
        assert_eq!(all, Err(format!("none of the ports 10-13 is free: {said}")));
        let all = choose(range, None, &set(&[10, 11, 12, 13]), &none);
        assert_eq!(all, Err("none of the ports 10-13 is free: all of them belong to other services".to_owned()));
        assert_eq!(choose(PortSpec::Fixed(80), Some(81), &set(&[80]), &set(&[80])), Ok(80));
        assert_eq!(choose(PortSpec::Range(65535, 65535), None, &none, &none), Ok(65535));
    }

    #[test]
    fn a_port_is_waited_for_until_its_listener_closes() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let port = listener.local_addr().unwrap().port();
            assert!(!is_free(port).unwrap() && taken().unwrap().contains(&port));
            block_on(async {
                assert!(!wait_free(port, Duration::from_millis(30)).await.unwrap());
                let started = Instant::now();
                let (free, ()) = tokio::join!(wait_free(port, 10 * AGAIN), async {
                    // The other future has looked by now, and waits.
                    tokio::task::yield_now().await;
                    drop(listener);
                });
                assert!(free.unwrap());
                assert!(started.elapsed() < AGAIN, "by the news, not by the next look: {:?}", started.elapsed());
            });
            assert!(is_free(port).unwrap());
        }
    }

    #[test]
    fn what_holds_a_port_without_listening_is_seen() {
        use std::net::TcpStream;
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        assert_eq!(held(port), None, "it listens");
        let client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let near = client.local_addr().unwrap().port();
        let said = held(near).unwrap();
        assert!(
            is_free(near).unwrap() && said.contains(&format!("{near} is held by a socket that does not")),
            "{said}"
        );
        // The server hangs up first: its end stays in TIME_WAIT, and its port can be taken all the same.
        let (accepted, _) = server.accept().unwrap();
        drop(server);
        drop(accepted);
        assert_eq!(std::io::Read::read(&mut &client, &mut [0]).unwrap(), 0);
        drop(client);
        for _ in 0..200 {
            if held(port).is_none() {
                return drop(TcpListener::bind(("127.0.0.1", port)).unwrap());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{:?}", held(port));
    }

    #[test]
    fn the_holder_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let said = block_on(holder(port));
        assert!(said.starts_with(&format!("{port} is held by pid {} (", std::process::id())), "{said}");
        assert!(said.ends_with(&format!("; provost inspect :{port}")), "{said}");
        drop(listener);
        assert_eq!(block_on(holder(port)), format!("{port} is free again; provost inspect :{port}"));
    }
}
