//! HTTP, TCP and Unix sockets as a user asks for them, with servers that behave and that do not.

use std::os::unix::net::{UnixDatagram, UnixListener};

use super::*;
use crate::model::AvailabilityState::{Available, Unavailable};

#[test]
fn statuses_decide() {
    run(async {
        let at = serve("127.0.0.1", |request| {
            let status = request.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
            reply(status, "\n first line \nsecond")
        })
        .await;
        let ok = ask(&format!("http://{at}/200")).await;
        assert_eq!((ok.state, ok.detail.as_str()), (Available, "200"));
        assert_eq!(ok.by.unwrap(), format!("http GET http://{at}/200"));
        assert_eq!(ok.url.unwrap(), format!("http://{at}"));
        assert!(ok.latency_ms.unwrap() > 0.0);
        assert_eq!(ask(&format!("http://{at}/302")).await.detail, "302");
        let failed = ask(&format!("http://{at}/500")).await;
        assert_eq!((failed.state, failed.detail.as_str()), (Unavailable, "500: first line"));
        let spec = HttpSpec {
            url: format!("http://{at}/500").parse().unwrap(),
            expect: "5xx".parse().unwrap(),
            body_contains: Some("second".to_owned()),
        };
        let mut options = Options { spec: Some(ProbeSpec::Http(spec.clone())), ..Options::default() };
        let subject = Subject::default();
        assert_eq!(probe(&subject, &Known::builtin(), &options).await.state, Available);
        options.spec = Some(ProbeSpec::Http(HttpSpec { body_contains: Some("third".to_owned()), ..spec }));
        let found = probe(&subject, &Known::builtin(), &options).await;
        assert_eq!((found.state, found.detail.as_str()), (Unavailable, "500, and the body does not contain 'third'"));
    });
}

#[test]
fn what_is_wrong_on_the_wire_is_one_clear_line() {
    run(async {
        let refused = ask(&format!("http://{}/", closed().await)).await;
        assert_eq!(
            (refused.state, refused.detail.as_str()),
            (Unavailable, "connection refused: nothing listens there")
        );

        let hangs = serve("127.0.0.1", |_| None).await;
        let hung = ask_within(&format!("http://{hangs}/"), Duration::from_millis(100)).await;
        assert_eq!((hung.state, hung.detail.as_str()), (Unavailable, "no answer within 100ms"));

        let garbage = serve("127.0.0.1", |_| Some(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())).await;
        assert_eq!(ask(&format!("http://{garbage}/")).await.detail, "the answer is not HTTP");
        let binary = serve("127.0.0.1", |_| Some(vec![0x15, 3, 1, 0, 2, 2, 0x50])).await;
        assert_eq!(ask(&format!("http://{binary}/")).await.detail, "the answer is not HTTP");

        let silent = serve("127.0.0.1", |_| Some(Vec::new())).await;
        let closed = ask(&format!("http://{silent}/")).await;
        assert_eq!(closed.detail, "the server closed the connection without an answer");
        let cut = serve("127.0.0.1", |_| Some(b"HTTP/1.1 200 OK\r\nContent-".to_vec())).await;
        assert_eq!(ask(&format!("http://{cut}/")).await.detail, "the server closed the connection without an answer");
    });
}

#[test]
fn a_reset_is_told_from_a_close() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        crate::tasks::spawn(async move {
            // Closing with bytes unread makes the kernel send a reset.
            let (stream, _) = listener.accept().await.unwrap();
            stream.readable().await.unwrap();
        });
        assert_eq!(ask(&format!("http://{at}/")).await.detail, "connection reset by the server");
    });
}

#[test]
fn bodies_are_read_in_bounds() {
    run(async {
        let huge = serve("127.0.0.1", |_| {
            let mut answer = b"HTTP/1.1 500 X\r\n\r\n".to_vec();
            answer.resize(3 << 20, b'x');
            Some(answer)
        })
        .await;
        let found = ask(&format!("http://{huge}/")).await;
        assert!(found.detail.starts_with("500: xxx") && found.detail.chars().count() <= 165, "{}", found.detail);

        // The status is known though the body never ends.
        let endless = serve("127.0.0.1", |_| Some(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc".to_vec())).await;
        assert_eq!(ask(&format!("http://{endless}/")).await.state, Available);

        let evil = serve("127.0.0.1", |_| {
            Some(b"HTTP/1.1 503 X\r\nContent-Length: 12\r\n\r\n\xff\xfe\x1b[2J\x9b\0 bad".to_vec())
        })
        .await;
        let found = ask(&format!("http://{evil}/")).await;
        assert!(!found.detail.chars().any(char::is_control), "{:?}", found.detail);
        assert!(found.detail.contains("\\u{1b}[2J"), "{}", found.detail);
    });
}

#[test]
fn ipv6_and_names_are_reached() {
    run(async {
        if TcpListener::bind("[::1]:0").await.is_err() {
            eprintln!("not run: this host has no IPv6 loopback");
            return;
        }
        let at = serve("::1", |_| reply(200, "")).await;
        assert_eq!(ask(&format!("http://[::]:{}/", at.port())).await.state, Available);
        assert_eq!(ask(&format!("tcp:[::1]:{}", at.port())).await.detail, "accepts connections");
        // localhost is both families.
        assert_eq!(ask(&format!("http://localhost:{}/", at.port())).await.state, Available);
        assert_eq!(ask(&format!("tcp:127.0.0.1:{}", at.port())).await.state, Unavailable);
    });
}

#[test]
fn unix_sockets_are_present_stale_or_missing() {
    let dir = std::env::temp_dir().join(format!("provost-probe-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = |name: &str| dir.join(name);
    let _listens = UnixListener::bind(path("live")).unwrap();
    drop(UnixListener::bind(path("stale")).unwrap());
    let _datagram = UnixDatagram::bind(path("datagram")).unwrap();
    std::fs::write(path("file"), "").unwrap();
    let detail = |name: &str| run(ask(&format!("unix:{}", path(name).display()))).detail;
    assert_eq!(detail("live"), "accepts connections");
    assert_eq!(detail("stale"), "connecting: connection refused: nothing listens on the socket");
    assert_eq!(detail("missing"), "connecting: there is no such socket");
    assert_eq!(detail("file"), "connecting: it is no socket");
    assert!(detail("datagram").starts_with("connecting: "));
    use std::os::linux::net::SocketAddrExt;
    let name = format!("provost-probe-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _abstract = UnixListener::bind_addr(&address).unwrap();
    assert_eq!(run(ask(&format!("unix:@{name}"))).detail, "accepts connections");
    let over_http = format!("http://unix:{}:/x", path("live").display());
    let hung = run(ask_within(&over_http, Duration::from_millis(50)));
    assert_eq!(hung.detail, "no answer within 50ms");
    std::fs::remove_dir_all(dir).unwrap();
}
