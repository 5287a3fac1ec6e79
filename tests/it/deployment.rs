//! The files that the server is deployed with, and the server as they run it: as nobody, with nothing to write but its data folder.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::{DirBuilderExt, PermissionsExt, chown},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::sync_channel,
    thread,
    time::Duration,
};

use sandmill_testkit::{
    binary::{binary, root},
    process,
    server::Server,
};

/// Belongs to no account.
const NOBODY: u32 = 65532;
const START_LIMIT: Duration = Duration::from_secs(180);
/// What `systemd-analyze security` may say, in tenths: of 100.
const EXPOSURE_MAX: &str = "20";

fn unit() -> String {
    fs::read_to_string(root().join("deploy/sandmill.service")).unwrap()
}

/// Settings of all sections; one that is said more than once has all its values.
fn settings(unit: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut settings = BTreeMap::<&str, Vec<&str>>::new();
    let mut section = "";
    for line in unit.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.strip_suffix(']').expect("a section ends");
            assert!(matches!(section, "Unit" | "Service" | "Install"), "{section}");
            continue;
        }
        let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("{line}"));
        assert!(!section.is_empty() && name.chars().all(|character| character.is_ascii_alphanumeric()), "{line}");
        settings.entry(name).or_default().push(value);
    }
    settings
}

#[test]
fn the_unit_gives_nothing_that_is_not_needed() {
    let unit = unit();
    let settings = settings(&unit);
    for (name, values) in [
        ("User", &["sandmill"][..]),
        ("NoNewPrivileges", &["yes"]),
        ("CapabilityBoundingSet", &[""]),
        ("AmbientCapabilities", &[""]),
        ("ProtectSystem", &["strict"]),
        ("ProtectHome", &["yes"]),
        ("PrivateTmp", &["yes"]),
        ("PrivateDevices", &["yes"]),
        ("PrivateUsers", &["yes"]),
        ("ProtectKernelTunables", &["yes"]),
        ("ProtectKernelModules", &["yes"]),
        ("ProtectControlGroups", &["yes"]),
        ("RestrictNamespaces", &["yes"]),
        ("RestrictSUIDSGID", &["yes"]),
        ("RestrictAddressFamilies", &["AF_INET AF_INET6 AF_UNIX"]),
        ("SystemCallArchitectures", &["native"]),
        ("SystemCallFilter", &["@system-service", "~@privileged @keyring"]),
        ("StateDirectory", &["sandmill"]),
        ("UMask", &["0077"]),
        // Code is made executable after it was mapped.
        ("MemoryDenyWriteExecute", &["no"]),
    ] {
        assert_eq!(settings.get(name).map(Vec::as_slice), Some(values), "{name}");
    }
    assert!(!settings.contains_key("ReadWritePaths"), "it writes to its state directory only");
    let start = settings["ExecStart"][0].split_once(' ').unwrap();
    assert!(start.0.starts_with('/') && start.1 == "serve", "{start:?}");
}

/// What is said of the unit where systemd is there to ask.
#[test]
fn systemd_takes_the_unit() {
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        eprintln!("SKIPPED: systemd-analyze is not here; the unit was read by the tests' own parser only");
        return;
    };
    assert!(version.status.success());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sandmill.service");
    // The binary is not installed here.
    let text = unit().replace("/usr/local/bin/sandmill", "/bin/true");
    fs::write(&file, text).unwrap();
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && !said.contains("sandmill.service"), "{said}");
    let mut security = Command::new("systemd-analyze");
    let rated = security.args(["security", "--offline=true", "--no-pager", "--threshold", EXPOSURE_MAX]).arg(&file).output().unwrap();
    assert!(rated.status.success(), "{}{}", String::from_utf8_lossy(&rated.stdout), String::from_utf8_lossy(&rated.stderr));
}

#[test]
fn the_image_runs_as_nobody() {
    let text = fs::read_to_string(root().join("deploy/Containerfile")).unwrap();
    let last = text.rfind("\nFROM ").unwrap();
    let said = |name: &str| text[last..].lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(said("USER "), format!("{NOBODY}:{NOBODY}"));
    assert_eq!(said("VOLUME "), "/data");
    assert!(said("ENV ").contains("SANDMILL_DATA=/data"));
    assert!(said("ENTRYPOINT ").contains("/usr/local/bin/sandmill"));
}

fn copy_folder(from: &Path, to: &Path) {
    fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        chown(to.join(entry.file_name()), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    chown(to, Some(NOBODY), Some(NOBODY)).unwrap();
}

/// What is in a folder, by name.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_runs_it_with_nothing_to_write_but_its_data() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can start a server as somebody else");
        return;
    }
    // Code of the language runtime, so that it is not compiled again.
    let other = Server::start(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (data, work, program) = (folder.path().join("data"), folder.path().join("work"), folder.path().join("sandmill"));
    fs::DirBuilder::new().mode(0o700).create(&data).unwrap();
    copy_folder(&other.data().join("code"), &data.join("code"));
    chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
    fs::DirBuilder::new().mode(0o555).create(&work).unwrap();
    // Where it was built others may not look.
    fs::copy(binary(), &program).unwrap();
    drop(other);

    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--clear-groups", "--no-new-privs"]);
    command.args(["--reuid", &NOBODY.to_string(), "--regid", &NOBODY.to_string()]).arg(&program);
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("TMPDIR", &data).current_dir(&work);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = process::spawn(command).unwrap();
    let stderr = child.stderr.take().unwrap();
    let (found, url) = sync_channel(1);
    let log = thread::spawn(move || {
        let mut lines = Vec::new();
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("listening on ") {
                let _ = found.try_send(rest.split(['"', ' ', '\u{1b}']).next().unwrap().to_owned());
            }
            lines.push(line);
        }
        lines.join("\n")
    });
    let url = url.recv_timeout(START_LIMIT);
    if url.is_err() {
        let _ = child.kill();
        panic!("it does not start:\n{}", log.join().unwrap());
    }
    let url = url.unwrap();

    let mut status = String::new();
    fs::File::open(format!("/proc/{}/status", child.id())).unwrap().read_to_string(&mut status).unwrap();
    for (name, value) in [("Uid:", NOBODY.to_string()), ("CapEff:", "0000000000000000".to_owned()), ("NoNewPrivs:", "1".to_owned())] {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        assert!(line.split_whitespace().all(|part| part == value), "{name} {line}");
    }
    let token = fs::read_to_string(data.join("admin-token")).unwrap();
    let http = reqwest::Client::new();
    let source = serde_json::json!({"language": "typescript", "source": "export function main(n: number) { return n + 1; }"});
    let deployed = http.put(format!("{url}/api/w/default/scripts/f/deployment/next")).bearer_auth(token.trim()).json(&source);
    let deployed = deployed.send().await.unwrap();
    assert_eq!(deployed.status(), 201, "{}", deployed.text().await.unwrap());
    let called = http.post(format!("{url}/hooks/default/run/f/deployment/next")).bearer_auth(token.trim());
    let called = called.json(&serde_json::json!({"n": 1})).send().await.unwrap();
    assert_eq!(called.text().await.unwrap(), "2");

    let id = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success(), "{}", log.join().unwrap());
    assert_eq!((names(&work), names(folder.path())), (Vec::new(), vec!["data".to_owned(), "sandmill".to_owned(), "work".to_owned()]));
    let mode = data.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "others may look into the data folder: {mode:o}");
}
