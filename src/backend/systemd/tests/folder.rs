//! The folder of a service, and the mounts on its way.

use std::path::Path;

use super::others::{finish, pid, start, systemctl};
use super::*;

async fn as_written(backend: &Systemd, launch: &Launch) -> String {
    let unit = unit::name_of(&launch.id).unwrap();
    let read = async |manager: crate::systemd::Manager| manager.service_property(&unit, "WorkingDirectory").await;
    <&str>::try_from(&backend.shared.link.call(1, read).await.unwrap()).unwrap().to_owned()
}

fn cwd(placed: &Placed) -> PathBuf {
    std::fs::read_link(format!("/proc/{}/cwd", pid(placed))).unwrap()
}

fn file_systems(path: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    mounts.lines().filter(|line| line.split(' ').nth(1) == path.to_str()).map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_mount_on_the_way_is_made_first() {
    with_manager(async |scope| {
        if scope != Scope::System {
            return; // That of a user mounts nothing.
        }
        let folder = Path::new("/var/tmp/test-mounted");
        let unit = Path::new("/run/systemd/system").join(r"var-tmp-test\x2dmounted.mount");
        std::fs::create_dir_all(folder).unwrap();
        let (backend, _happened) = make(scope).await;
        let one = Launch { cwd: folder.to_owned(), ..launch("mounted", "exec sleep 1000") };
        let placed = start(&backend, &one).await;
        assert_eq!(
            (as_written(&backend, &one).await, cwd(&placed).as_path()),
            ("!/var/tmp/test-mounted".into(), folder)
        );
        finish(&backend, &one).await;

        std::fs::write(&unit, "[Mount]\nWhat=tmpfs\nType=tmpfs\nWhere=/var/tmp/test-mounted\n").unwrap();
        systemctl(scope, &["daemon-reload"]).await;
        assert_eq!(file_systems(folder), "");
        start(&backend, &one).await;
        assert_eq!(as_written(&backend, &one).await, "/var/tmp/test-mounted");
        assert!(file_systems(folder).starts_with("tmpfs "), "it was mounted for the service");
        finish(&backend, &one).await;
        // What is mounted is needed, whoever knows of it.
        std::fs::remove_file(&unit).unwrap();
        systemctl(scope, &["daemon-reload"]).await;
        start(&backend, &one).await;
        assert_eq!(as_written(&backend, &one).await, "/var/tmp/test-mounted");
        finish(&backend, &one).await;
        systemctl(scope, &["stop", r"var-tmp-test\x2dmounted.mount"]).await;
        std::fs::remove_dir(folder).unwrap();
    });
}

#[test]
fn a_folder_that_its_user_may_not_enter_is_an_error() {
    with_manager(async |scope| {
        if scope != Scope::System {
            return; // A user's services are that user's.
        }
        use std::os::unix::fs::PermissionsExt as _;
        let folder = Path::new("/var/tmp/test-closed");
        std::fs::create_dir_all(folder).unwrap();
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        let (backend, _happened) = make(scope).await;
        let user = Some("nobody".to_owned());
        let one = Launch { cwd: folder.to_owned(), user, ..launch("closed", "exec sleep 1000") };
        let error = backend.start(&one, 1, &|_| Ok(())).await.unwrap_err().to_string();
        assert!(error.contains("/var/tmp/test-closed"), "{error}");
        finish(&backend, &one).await;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(cwd(&start(&backend, &one).await), folder);
        finish(&backend, &one).await;
        std::fs::remove_dir(folder).unwrap();
    });
}
