//! What it costs to look after services: a thousand with an HTTP check each second.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::own::Daemon;
use crate::rig::{Result, until};

const SERVICES: usize = 1000;
const SECONDS: u32 = 20;

/// Measures it on this machine.
pub fn checks(provost: &Path) -> Result<()> {
    let (_, most) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)?;
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, most, most)?;
    let asked = Arc::new(AtomicUsize::new(0));
    let port = serve(Arc::clone(&asked))?;
    let health = format!("health = {{ http = \"http://127.0.0.1:{port}/health\", interval = \"1s\" }}");
    let service = format!("[service.s]\ninstances = {SERVICES}\ncommand = [\"sleep\", \"100000\"]\n{health}\n");
    let daemon = Daemon::start(provost, &service)?;
    // All of them are, and have been for a while.
    until("all are looked after", Duration::from_secs(120), || {
        let before = asked.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_secs(1));
        asked.load(Ordering::Relaxed) - before >= SERVICES * 9 / 10
    })?;
    std::thread::sleep(Duration::from_secs(3));
    let (before, checks, began) = (daemon.cpu()?, asked.load(Ordering::Relaxed), Instant::now());
    std::thread::sleep(Duration::from_secs(1) * SECONDS);
    let (used, took) = (daemon.cpu()? - before, began.elapsed().as_secs_f64());
    let rate = (asked.load(Ordering::Relaxed) - checks) as f64 / took;
    let percent = used / took * 100.0;
    let verdict = if percent <= 5.0 { "" } else { "  MISSED" };
    println!(
        "\n{SERVICES} services with an HTTP check each second: {rate:.0} checks a second, {percent:.1} % of a core, at most 5{verdict}"
    );
    Ok(())
}

/// What all of them ask: answers each request, and keeps connections.
fn serve(asked: Arc<AtomicUsize>) -> Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            while let Ok((mut stream, _)) = listener.accept().await {
                let asked = Arc::clone(&asked);
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    // A check is short: it comes in one piece.
                    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                        asked.fetch_add(1, Ordering::Relaxed);
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                        if stream.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
    });
    Ok(port)
}
