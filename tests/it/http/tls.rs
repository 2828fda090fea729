//! What other hosts may reach is encrypted.

use std::process::Command;

use super::{Body, Site};
use crate::rig::{Result, eventually};

pub const BODIES: &[(&str, Body)] = &[("tls", tls)];

fn tls(site: &Site<'_>) -> Result<()> {
    let open = site.address.to_string().replace("127.0.0.1", "0.0.0.0");
    site.configure(&format!("[http]\nlisten = \"{open}\"\n"))?;
    let refused = site.who().run(["provost", "config", "check"])?;
    expect!(refused.code() == 6 && refused.stderr.contains("allow_remote = true and tls"), "{refused:?}");
    let dir = tempfile::tempdir()?;
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()?;
    expect!(made.status.success(), "openssl: {made:?}");
    let folder = format!("{}/.config/provost", site.home);
    site.configure(&format!(
        "[http]\nlisten = \"{open}\"\nallow_remote = true\ntls = {{ cert = \"cert.pem\", key = \"key.pem\" }}\n[service.a]\ncommand = [\"sleep\", \"1000\"]\n"
    ))?;
    site.rig.write_as(&site.user, &format!("{folder}/cert.pem"), std::fs::read(&cert)?, 0o600)?;
    site.rig.write_as(&site.user, &format!("{folder}/key.pem"), std::fs::read(&key)?, 0o600)?;
    site.ok(&["up", "--detach"])?;
    let token = site.token("r", "read")?;
    let ask = |extra: &[&str], path: &str| -> Result<(bool, String)> {
        let url = format!("https://localhost:{}{path}", site.address.port());
        let said = site.rig.client("curl", 30)?.args(["-sS", "-4"]).args(extra).arg(url).output()?;
        Ok((said.status.success(), String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned()))
    };
    let cert = cert.to_string_lossy().into_owned();
    let trusted = ["--cacert", &cert];
    eventually("it answers", || ask(&trusted, "/healthz").is_ok_and(|(good, said)| good && said.contains("ok")))?;
    let bearer = format!("Authorization: Bearer {token}");
    let (good, said) = ask(&["--cacert", &cert, "-H", &bearer], "/api/v1/services/a")?;
    expect!(good && said.contains("\"running\""), "{said}");
    let (good, said) = ask(&[], "/healthz")?;
    expect!(!good && said.contains("certificate"), "nobody signed it: {said}");
    let (_, said) = ask(&trusted, "/api/v1/services")?;
    expect!(said.contains("\"status\":401"), "{said}");
    // In plain words it answers nothing.
    if let Ok(answer) = site.get(&token, "/healthz") {
        expect!(answer.status != 200, "{answer:?}");
    }
    // The same port in plain words, for this host alone: no other daemon is needed for that.
    site.configure(&format!("[http]\nlisten = \"{}\"\n[service.a]\ncommand = [\"sleep\", \"1000\"]\n", site.address))?;
    eventually("it speaks plainly", || site.get("", "/healthz").is_ok_and(|answer| answer.status == 200))?;
    expect!(!ask(&trusted, "/healthz")?.0, "and not otherwise");
    Ok(())
}
