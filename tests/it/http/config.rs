//! Configs changed over HTTP.

use serde_json::json;

use super::{Body, Site};
use crate::rig::{Result, eventually};

pub const BODIES: &[(&str, Body)] = &[("config", config), ("own_config", own_config)];

fn config(site: &Site<'_>) -> Result<()> {
    site.start("# kept\n[service.a]\ncommand = [\"sleep\", \"1000\"] # this too\nmeta = { team = \"x\" }\n[service.b]\ncommand = [\"sleep\", \"1000\"]\n")?;
    let (token, read) = (site.token("m", "manage")?, site.token("r", "read")?);
    let path = "/api/v1/config/services/a";
    expect!(site.get(&read, path)?.status == 403, "configs may hold secrets");
    let first = site.get(&token, path)?;
    expect!(first.good()?["config"] == json!({"command": ["sleep", "1000"], "meta": {"team": "x"}}), "{first:?}");
    let etag = first.head.lines().find_map(|line| line.strip_prefix("etag: ")).ok_or("no etag")?.to_owned();
    let pid = |id: &str| -> Result<serde_json::Value> {
        Ok(site.get(&token, &format!("/api/v1/services/{id}"))?.good()?["pid"].clone())
    };
    let before = (pid("a")?, pid("b")?);
    let patch = |body: serde_json::Value, tag: &str| {
        let body = body.to_string();
        let tag = if tag.is_empty() { String::new() } else { format!("If-Match: {tag}\r\n") };
        let host = format!("Host: {}\r\nAuthorization: Bearer {token}\r\n", site.address);
        site.raw(format!("PATCH {path} HTTP/1.1\r\n{host}{tag}Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
    };
    let changed = patch(json!({"meta": {"team": null, "tier": 1}}), &etag)?;
    expect!(changed.good()?["config"]["meta"] == json!({"tier": 1}), "{changed:?}");
    let late = patch(json!({"meta": {"tier": 2}}), &etag)?;
    expect!(late.status == 412, "somebody was faster: {late:?}");
    expect!(patch(json!({"comand": 1}), "")?.status == 422, "it would be invalid");
    let file = site.rig.read(&format!("{}/.config/provost/provost.toml", site.home))?;
    expect!(file.contains("# kept") && file.contains("# this too") && !file.contains("comand"), "{file}");
    let shown = |id: &str| site.get(&token, &format!("/api/v1/services/{id}")).and_then(|answer| answer.good());
    eventually("it holds", || shown("a").is_ok_and(|a| a["meta"] == json!({"tier": 1})))?;
    expect!((pid("a")?, pid("b")?) == before, "a note restarts nothing");
    expect!(site.get(&token, "/api/v1/config/services/c")?.status == 404, "there is none");
    let all = site.get(&token, "/api/v1/config")?.good()?;
    expect!(all["config"]["service"]["b"]["command"] == json!(["sleep", "1000"]), "{all}");
    Ok(())
}

/// The config of the program itself, with a check of it.
fn own_config(site: &Site<'_>) -> Result<()> {
    site.rig.write_as(&site.user, &format!("{}/own.json", site.home), "{\"port\": 1, \"deep\": {\"a\": 1}}", 0o600)?;
    site.start(&format!(
        "[service.a]\ncommand = [\"sleep\", \"1000\"]\ncwd = \"{}\"\nconfig_file = \"own.json\"\n\
         config_check = [\"sh\", \"-c\", \"! grep -q bad ${{config_file}} || {{ echo it is bad >&2; exit 1; }}\"]\n\
         [service.b]\ncommand = [\"sleep\", \"1000\"]\n",
        site.home
    ))?;
    let token = site.token("m", "manage")?;
    let path = "/api/v1/services/a/config";
    let first = site.get(&token, path)?.good()?;
    expect!(first["config"] == json!({"port": 1, "deep": {"a": 1}}), "{first}");
    let changed = site.ask(&token, "PATCH", path, Some(&json!({"deep": {"b": 2}, "port": null})))?.good()?;
    expect!(changed["config"] == json!({"deep": {"a": 1, "b": 2}}), "{changed}");
    let refused = site.ask(&token, "PATCH", path, Some(&json!({"deep": "bad"})))?;
    expect!((400..500).contains(&refused.status) && refused.body.contains("it is bad"), "{refused:?}");
    let file = site.rig.read(&format!("{}/own.json", site.home))?;
    expect!(serde_json::from_str::<serde_json::Value>(&file)? == json!({"deep": {"a": 1, "b": 2}}), "{file}");
    let none = site.get(&token, "/api/v1/services/b/config")?.status;
    expect!((400..500).contains(&none), "it has none: {none}");
    Ok(())
}
