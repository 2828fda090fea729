//! The HTTP API under load: a thousand requests a second for ten seconds while a hundred services
//! run, the daemon on one core. A latency is from the moment at which a request was due.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::own::Daemon;
use crate::rig::{Result, until};

const SERVICES: usize = 100;
const RATE: u32 = 1000;
const CLIENTS: u32 = 10;
const SECONDS: u32 = 10;

/// Measures it on this machine.
pub fn load(provost: &Path) -> Result<()> {
    let address: SocketAddr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let services = format!("[service.s]\ninstances = {SERVICES}\ncommand = [\"sleep\", \"100000\"]\n");
    let daemon = Daemon::start(provost, &format!("[http]\nlisten = \"{address}\"\n{services}"))?;
    let token = daemon
        .command(provost)
        .args(["--user", "token", "create", "--name", "bench", "--scope", "manage", "-q"])
        .output()?;
    let token = String::from_utf8(token.stdout)?.trim().to_owned();
    until("a hundred services run", Duration::from_secs(60), || {
        ask(address, &token, "/metrics").is_ok_and(|text| text.matches("state=\"running\"} 1").count() == SERVICES)
    })?;
    println!(
        "\n{RATE} requests a second for {SECONDS} s over {CLIENTS} connections, {SERVICES} services, the daemon on one core\n"
    );
    println!("{:34} {:>9} {:>9} {:>9} {:>9} {:>9}", "", "answered", "p50 ms", "p99 ms", "worst ms", "CPU %");
    let one = |number: u32| format!("/api/v1/services/s-{}", number % SERVICES as u32 + 1);
    let mixed = |number: u32| match number % 100 {
        0 => "/api/pm/list".to_owned(),
        50 => "/api/v1/process-registry".to_owned(),
        _ => one(number),
    };
    row("one service", &daemon, address, &token, &one)?;
    row("the same, 2 % lists of all", &daemon, address, &token, &mixed)
}

fn row(
    what: &str,
    daemon: &Daemon,
    address: SocketAddr,
    token: &str,
    path: &(dyn Fn(u32) -> String + Sync),
) -> Result<()> {
    let (before, began) = (daemon.cpu()?, Instant::now());
    let mut latencies = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || run(client, address, token, path))).collect();
        let all = threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread ended")?);
        all.collect::<Result<Vec<Vec<f64>>>>()
    })?
    .concat();
    let used = (daemon.cpu()? - before) / began.elapsed().as_secs_f64() * 100.0;
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    let verdict = if at(0.99) <= 10.0 { "" } else { "  MISSED" };
    println!(
        "{what:34} {:>9} {:>9.2} {:>9.2} {:>9.2} {used:>9.1}{verdict}",
        latencies.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    Ok(())
}

/// One connection: each request when it is due, or as soon as the one before it is answered.
fn run(client: u32, address: SocketAddr, token: &str, path: &(dyn Fn(u32) -> String + Sync)) -> Result<Vec<f64>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let begin = Instant::now() + Duration::from_millis(100);
    let mut latencies = Vec::new();
    for number in (client..RATE * SECONDS).step_by(CLIENTS as usize) {
        let due = begin + Duration::from_secs(1) * number / RATE;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        write!(stream, "GET {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n", path(number))?;
        let (status, _) = answer(&mut stream)?;
        if status != 200 {
            return Err(format!("{} was answered {status}", path(number)).into());
        }
        latencies.push(due.elapsed().as_secs_f64() * 1e3);
    }
    Ok(latencies)
}

fn ask(address: SocketAddr, token: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n")?;
    answer(&mut stream).map(|(_, body)| body)
}

/// The status and the body of the next answer.
fn answer(stream: &mut TcpStream) -> Result<(u16, String)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            let body = end + 4;
            if bytes.len() >= body + length.ok_or("no length")? {
                return Ok((status, String::from_utf8_lossy(&bytes[body..]).into_owned()));
            }
        }
        match stream.read(&mut buffer)? {
            0 => return Err("the connection was closed".into()),
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}
