//! The daemon over HTTP: a socket for its owner, and, where that is asked for, an address for those who
//! have a token.
//!
//! `listen` accepts and bounds connections, `guard` looks at who asks and whether they may, `endpoint`
//! is the table of what there is: the router and the OpenAPI document are both made from it. Then one
//! file a resource. What a request does is the supervisor's; here are only its words.
//!
//! # Threat model
//!
//! | way in | who | what they may do |
//! |---|---|---|
//! | `http.sock` in the runtime folder (0700; the system's is 0600) | its owner and root, by the uid that the kernel tells | all |
//! | an address, with a token of scope `manage` | whoever was given it | all that this instance serves |
//! | the same, scope `read` | whoever was given it | what changes nothing and shows no secrets: no config |
//! | an address, without a token | everybody on the host, or the network; every web page in a browser there | `/healthz` |
//!
//! *Web pages.* A request with an `Origin` that is not in `http.origins` is refused, whatever it holds.
//! A `Host` that is neither an address, nor localhost, nor in `http.hosts` is refused: a name that somebody
//! points at this host opens nothing. A body must say that it is JSON, which no form can.
//!
//! *Tokens.* 256 random bits, kept as a hash, compared in constant time. Each wrong one is answered 401,
//! and after some of them 429. What other hosts reach is TLS only, which the config insists on.
//!
//! *The system's instance* is root's, and polkit cannot be asked about a client of a network. So it serves
//! services, events and metrics alone; nothing that equals root (`org.provost.configure`: services made
//! up, removed or described anew) is there at all. A `manage` token of it, which only root can make, is
//! root's own word that its bearer may start, stop, restart, reload and signal what root has
//! configured, and read what it writes. Users have the system bus, where polkit knows them: its socket is
//! root's alone. Command lines are shown as everybody on the host sees them.
//!
//! *What one client can take.* 1,024 connections; where there are more, the oldest that has not shown
//! who it is is closed. 10 s for the head of a request, as long for its body, which has at most 1 MiB;
//! 30 s without reading an answer. 64 streams. Requests are counted for each token, user and address.

mod actions;
mod call;
mod config;
mod describe;
mod desk;
mod endpoint;
mod events;
mod gpus;
mod guard;
mod healthz;
mod inspect;
mod listen;
mod logs;
mod metrics;
mod openapi;
mod pm;
mod problem;
mod query;
mod rate;
mod registry;
mod services;
mod settle;
mod slow;
mod stream;
#[cfg(feature = "tls")]
mod tls;

pub(crate) use listen::{Http, serve};

/// The name of the socket, in the runtime folder.
pub(crate) const SOCKET: &str = "http.sock";
