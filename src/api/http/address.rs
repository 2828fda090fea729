//! The address that is listened on, and how it becomes another: the old one stays until the new one is there.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};

use crate::config::HttpOptions;

/// One that is listened on.
pub(super) struct Address {
    pub(super) at: SocketAddr,
    listener: TcpListener,
    #[cfg(feature = "tls")]
    tls: Option<tokio_rustls::TlsAcceptor>,
}

/// What is to be listened on now, by these options.
///
/// # Errors
/// Why that cannot be, and what is listened on then: what was, by the options before.
pub(super) async fn turn(
    old: Option<Address>,
    before: &HttpOptions,
    now: &HttpOptions,
) -> Result<Option<Address>, (Option<Address>, io::Error)> {
    let Some(at) = now.listen else { return Ok(None) };
    let tls = match Tls::of(now) {
        Ok(tls) => tls,
        Err(error) => return Err((old, error)),
    };
    match old {
        Some(old) if old.at == at => Ok(Some(Address::new(at, old.listener, tls))),
        Some(old) if meet(old.at, at) => {
            drop(old.listener);
            match TcpListener::bind(at).await {
                Ok(listener) => Ok(Some(Address::new(at, listener, tls))),
                Err(error) => {
                    let again = match Tls::of(before) {
                        Ok(tls) => TcpListener::bind(old.at).await.map(|listener| Address::new(old.at, listener, tls)),
                        Err(error) => Err(error),
                    };
                    Err((again.ok(), error))
                }
            }
        }
        old => match TcpListener::bind(at).await {
            Ok(listener) => Ok(Some(Address::new(at, listener, tls))),
            Err(error) => Err((old, error)),
        },
    }
}

/// Whether this could be listened on, where that is now.
///
/// # Errors
/// Why not.
pub(super) fn check(new: &HttpOptions, now: &HttpOptions) -> io::Result<()> {
    let Some(at) = new.listen.filter(|_| new != now) else { return Ok(()) };
    Tls::of(new)?;
    if now.listen.is_some_and(|now| meet(now, at)) {
        return Ok(());
    }
    std::net::TcpListener::bind(at).map(drop)
}

/// Whether one cannot be listened on while the other is.
fn meet(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && (any || one.ip().to_canonical() == other.ip().to_canonical())
}

/// The next who comes, from where.
pub(super) async fn accept(open: Option<&Address>) -> io::Result<(TcpStream, IpAddr)> {
    let Some(open) = open else { return std::future::pending().await };
    let (stream, from) = open.listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, from.ip().to_canonical()))
}

#[cfg(feature = "tls")]
struct Tls(Option<tokio_rustls::TlsAcceptor>);

#[cfg(not(feature = "tls"))]
struct Tls;

impl Tls {
    #[cfg(feature = "tls")]
    fn of(options: &HttpOptions) -> io::Result<Self> {
        options.tls.as_ref().map(super::tls::acceptor).transpose().map(Self)
    }

    #[cfg(not(feature = "tls"))]
    fn of(options: &HttpOptions) -> io::Result<Self> {
        match options.tls {
            Some(_) => Err(io::Error::other("this provost was built without TLS")),
            None => Ok(Self),
        }
    }
}

impl Address {
    #[cfg(feature = "tls")]
    fn new(at: SocketAddr, listener: TcpListener, tls: Tls) -> Self {
        Self { at, listener, tls: tls.0 }
    }

    #[cfg(not(feature = "tls"))]
    fn new(at: SocketAddr, listener: TcpListener, _: Tls) -> Self {
        Self { at, listener }
    }

    /// What encrypts it.
    #[cfg(feature = "tls")]
    pub(super) fn tls(&self) -> Option<tokio_rustls::TlsAcceptor> {
        self.tls.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(listen: Option<SocketAddr>) -> HttpOptions {
        HttpOptions { listen, ..HttpOptions::default() }
    }

    #[tokio::test]
    async fn what_cannot_be_bound_changes_nothing() {
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (other, first) = (free(), free().local_addr().unwrap());
        let taken = other.local_addr().unwrap();
        let at = |result: Result<Option<Address>, (Option<Address>, io::Error)>| match result {
            Ok(open) => (open.as_ref().map(|open| open.at), open, false),
            Err((open, _)) => (open.as_ref().map(|open| open.at), open, true),
        };
        let none = options(None);
        let on = options(Some(first));
        let (now, open, failed) = at(turn(None, &none, &on).await);
        assert_eq!((now, failed), (Some(first), false));
        assert!(check(&options(Some(taken)), &on).is_err());
        let (now, open, failed) = at(turn(open, &on, &options(Some(taken))).await);
        assert_eq!((now, failed), (Some(first), true), "the old one goes on");
        assert!(TcpStream::connect(first).await.is_ok());

        // The same port, of all addresses: the old one must go first. It comes back where the new one fails.
        let all = SocketAddr::new("0.0.0.0".parse().unwrap(), first.port());
        assert!(check(&options(Some(all)), &on).is_ok());
        let (now, open, failed) = at(turn(open, &on, &options(Some(all))).await);
        assert_eq!((now, failed), (Some(all), false));
        let (now, open, failed) = at(turn(open, &options(Some(all)), &on).await);
        assert_eq!((now, failed), (Some(first), false));
        let of_nobody = SocketAddr::new("203.0.113.9".parse().unwrap(), first.port());
        let (now, open, failed) = at(turn(open, &on, &options(Some(of_nobody))).await);
        assert_eq!((now, failed), (Some(first), true));
        let (now, _, failed) = at(turn(open, &on, &none).await);
        assert_eq!((now, failed), (None, false));
        assert!(TcpStream::connect(first).await.is_err());
    }
}
