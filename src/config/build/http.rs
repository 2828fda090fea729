//! `[http]`: what other hosts can reach is encrypted, and was asked for.

use std::path::Path;

use serde_json::{Map, Value};

use super::Notes;
use crate::config::HttpOptions;

pub(super) fn options(table: &Map<String, Value>, folder: &Path, notes: &mut Notes<'_>) -> HttpOptions {
    let half = table.get("tls").and_then(Value::as_object).is_some_and(|tls| tls.len() == 1);
    if half {
        notes.wrong_at("http.tls", "it needs both cert and key");
        return HttpOptions::default();
    }
    let mut options: HttpOptions = super::read(table);
    if let Some(tls) = &mut options.tls {
        tls.cert = folder.join(&tls.cert);
        tls.key = folder.join(&tls.key);
    }
    for origin in &options.origins {
        let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        if !rest.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' '])) {
            let message =
                format!("'{}' is no origin: expected one such as https://panel.example", crate::text::clip(origin));
            notes.wrong_at("http.origins", message);
        }
    }
    let Some(listen) = options.listen else { return options };
    let missing = match (listen.ip().is_loopback(), options.allow_remote, options.tls.is_some()) {
        (true, ..) | (false, true, true) => return options,
        (false, false, true) => "allow_remote = true",
        (false, true, false) => "tls = { cert = \"…\", key = \"…\" }",
        (false, false, false) => "allow_remote = true and tls = { cert = \"…\", key = \"…\" }",
    };
    let message = format!("other hosts reach {listen}: that needs {missing}, or listen on 127.0.0.1");
    notes.wrong_at("http.listen", message);
    options
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{LoadOptions, parse};

    fn read(http: &str) -> Result<crate::config::HttpOptions, String> {
        let path = Path::new("/p/provost.toml");
        let text = format!("[http]\n{http}\n");
        let project = parse(path, path, &text, &LoadOptions::default());
        project.map(|project| project.http).map_err(|errors| errors.to_string())
    }

    #[test]
    fn what_other_hosts_reach_is_encrypted_and_was_asked_for() {
        assert!(read("listen = '127.0.0.1:8420'").unwrap().listen.unwrap().ip().is_loopback());
        assert!(read("listen = '[::1]:8420'").is_ok());
        for wrong in ["0.0.0.0:8420", "[::]:8420", "192.168.1.1:80"] {
            let error = read(&format!("listen = '{wrong}'")).unwrap_err();
            assert!(error.contains("allow_remote = true and tls"), "{error}");
        }
        assert!(read("listen = '0.0.0.0:1'\nallow_remote = true").unwrap_err().contains("needs tls"));
        let whole = "listen = '0.0.0.0:1'\nallow_remote = true\ntls = { cert = 'c.pem', key = '/k.pem' }";
        let tls = read(whole).unwrap().tls.unwrap();
        assert_eq!((tls.cert.as_path(), tls.key.as_path()), (Path::new("/p/c.pem"), Path::new("/k.pem")));
    }

    #[test]
    fn what_is_no_address_or_origin_is_said() {
        for wrong in ["listen = 'localhost'", "listen = '127.0.0.1:0'", "tls = { cert = 'c' }", "origins = ['*']"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read("origins = ['https://panel.example:8443']").is_ok());
    }
}
