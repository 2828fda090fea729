//! Services' own configuration, by program.

use super::*;
use crate::config::edit::{ETag, EditError};
use crate::supervise::OwnConfig;
use serde_json::{Value, json};

fn with_config(dir: &Path) -> ServiceSpec {
    let mut spec = spec("a", "");
    spec.cwd = dir.to_owned();
    spec.config_file = Some("a.yml".to_owned());
    spec.config_check = Some(["grep", "-q", "good", "${config_file}"].map(str::to_owned).to_vec());
    spec
}

async fn patch(rig: &Rig, patch: Value, expected: Option<ETag>) -> Result<ETag, EditError> {
    rig.handle.ask(|answer| Command::PatchConfig { id: id("a"), patch, expected, answer }).await.unwrap()
}

#[test]
fn what_its_check_finds_fault_with_is_not_written() {
    real(async |dir| {
        let rig = Rig::new(dir);
        let path = dir.join("a.yml");
        std::fs::write(&path, "# kept\nmode: good\ndeep:\n  a: 1\n  b: 2\n").unwrap();
        rig.define([with_config(dir)]).await.unwrap();
        let read = async || -> OwnConfig {
            rig.handle.ask(|answer| Command::ReadConfig { id: id("a"), answer }).await.unwrap()
        };
        let before = read().await;
        assert_eq!(before.value, json!({"mode": "good", "deep": {"a": 1, "b": 2}}));
        let etag = patch(&rig, json!({"deep": {"a": 3, "b": null}}), Some(before.etag.clone())).await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# kept\nmode: good\ndeep:\n  a: 3\n");
        assert_eq!(read().await.etag, etag);
        let late = patch(&rig, json!({"deep": {"a": 4}}), Some(before.etag)).await;
        assert!(matches!(late, Err(EditError::Conflict { .. })), "{late:?}");
        let bad = patch(&rig, json!({"mode": "bad"}), None).await.unwrap_err();
        assert!(matches!(&bad, EditError::Refused(why) if why.contains("it is not good: exec grep")), "{bad}");
        assert_eq!(read().await.etag, etag);
        assert!(!dir.join(".new-a.yml").exists());
    });
}

#[test]
fn the_system_instance_neither_reads_nor_writes_what_others_can_lead_elsewhere() {
    use std::os::unix::fs::PermissionsExt as _;
    real(async |dir| {
        let places = Places { instance: crate::model::Instance::System, ..Places::below(dir) };
        let rig = Rig::at(World::default(), places);
        let own = dir.join("own");
        std::fs::create_dir(&own).unwrap();
        std::fs::write(own.join("a.yml"), "mode: good\n").unwrap();
        std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o777)).unwrap();
        rig.define([with_config(&own)]).await.unwrap();
        let read = rig.handle.ask(|answer| Command::ReadConfig { id: id("a"), answer }).await;
        assert!(read.unwrap_err().to_string().contains("by others"));
        assert!(matches!(patch(&rig, json!({"x": 1}), None).await, Err(EditError::Invalid(_))));
        assert_eq!(std::fs::read_dir(&own).unwrap().count(), 1);
    });
}
