//! The files that the server is deployed with, and the server as they run it: as nobody, with nothing to write but its data folder.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{DirBuilderExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::sync_channel,
    thread::{self, JoinHandle},
    time::Duration,
};

use sandmill_testkit::{
    binary::{binary, root},
    confined::{UNABLE, confined},
    guests::guest,
    process,
    server::Server,
    skipped,
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
        skipped("the unit is read by the tests' own parser alone", &"systemd-analyze is missing; `cargo xtask test` installs it");
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

/// The words of an instruction of the container file, each time that it is there.
fn instructions<'a>(text: &'a str, name: &str) -> Vec<Vec<&'a str>> {
    let lines = text.lines().filter_map(|line| line.split_once(' ')).filter(|(first, _)| *first == name);
    lines.map(|(_, rest)| rest.split_whitespace().collect()).collect()
}

/// What the container file builds and copies is there, and is built as what is shipped. Whether an image comes of it only building one would
/// tell.
#[test]
fn the_image_is_built_of_what_is_there() {
    let text = fs::read_to_string(root().join("deploy/Containerfile")).unwrap();
    let runs = instructions(&text, "RUN");
    let build = runs.iter().find(|words| words.starts_with(&["cargo", "build"])).expect("the server is built");
    let option = |name: &str| build.iter().skip_while(|word| **word != name).nth(1).copied().unwrap_or_else(|| panic!("{name}: {build:?}"));
    assert!(build.contains(&"--locked") && root().join("Cargo.lock").is_file(), "{build:?}");
    let manifest = |path: &str| -> toml::Table { fs::read_to_string(root().join(path)).unwrap().parse().unwrap() };
    let workspace = manifest("Cargo.toml");
    let profile = option("--profile");
    assert!(workspace["profile"].get(profile).is_some(), "there is no profile {profile}");
    let server = manifest("host/server/Cargo.toml");
    assert_eq!(server["package"]["name"].as_str(), Some(option("--package")));
    let binaries = server.get("bin").and_then(toml::Value::as_array).map_or(&[][..], Vec::as_slice);
    // A binary that nothing is said of has the name of its package.
    let is_named = |name: &str| binaries.iter().any(|binary| binary["name"].as_str() == Some(name));
    assert!(is_named(option("--bin")) || (binaries.is_empty() && option("--bin") == option("--package")), "{}", option("--bin"));
    let version = format!("docker.io/library/rust:{}-", workspace["workspace"]["package"]["rust-version"].as_str().unwrap());
    assert!(instructions(&text, "FROM")[0][0].starts_with(&version), "{version}: the compiler that everything else is built with");

    let copied = instructions(&text, "COPY");
    let built = format!("/source/target/{profile}/{}", option("--bin"));
    assert_eq!(copied, [vec![".", "."], vec!["--from=build", built.as_str(), "/usr/local/bin/sandmill"]], "this test knows no other");
    // All of the sources are copied, so what is left out must be none of them.
    let ignored = fs::read_to_string(root().join(".containerignore")).unwrap();
    let ignored: Vec<&str> = ignored.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let tracked = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().unwrap();
    assert!(tracked.status.success(), "{tracked:?}");
    let tracked = String::from_utf8(tracked.stdout).unwrap();
    // The checks of a change are no part of an image.
    for path in tracked.split_terminator('\0').filter(|path| !path.starts_with(".ci/")) {
        assert!(
            !ignored.iter().any(|pattern| leaves_out(pattern, path)),
            "{path} is needed and is left out by .containerignore: {ignored:?}"
        );
    }
}

/// Whether a line of `.containerignore` leaves a file out: a path, a name anywhere (`**/` in front), or an ending (`*` in front) at the top.
/// Nothing else is written there.
fn leaves_out(pattern: &str, path: &str) -> bool {
    assert!(!pattern.starts_with(['!', '/']), "{pattern}: this test does not know it");
    if let Some(name) = pattern.strip_prefix("**/") {
        return path.split('/').any(|segment| segment == name);
    }
    if let Some(ending) = pattern.strip_prefix('*') {
        return !path.contains('/') && path.ends_with(ending);
    }
    assert!(!pattern.contains('*'), "{pattern}: this test does not know it");
    path.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[test]
fn what_is_left_out_of_images_is_known() {
    for (pattern, path, is_left_out) in [
        ("target", "target/dist/sandmill", true),
        ("target", "host/target/x", false),
        ("target", "targets", false),
        ("**/target", "host/api/target/x", true),
        ("**/target", "target/x", true),
        ("*.wasm.tmp", "a.wasm.tmp", true),
        ("*.wasm.tmp", "runtimes/a.wasm", false),
        ("fuzz/corpus", "fuzz/corpus/x", true),
        ("fuzz/corpus", "fuzz/corpora.rs", false),
    ] {
        assert_eq!(leaves_out(pattern, path), is_left_out, "{pattern} {path}");
    }
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

/// A copy of the binary where all may read it, a data folder of nobody's with the code of the language runtime, so that it is not compiled
/// again, and a folder to work in that nobody may write to.
struct Place {
    folder: tempfile::TempDir,
    data: PathBuf,
    work: PathBuf,
    program: PathBuf,
}

impl Place {
    fn make() -> Self {
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
        Self { folder, data, work, program }
    }
}

/// A server that was started otherwise than others are.
struct Running {
    child: Child,
    url: String,
    token: String,
    log: JoinHandle<String>,
}

impl Running {
    /// How it exited and what it said, if it does not start.
    fn start(mut command: Command, place: &Place) -> Result<Self, (Option<i32>, String)> {
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&place.data);
        command.env("TMPDIR", &place.data).current_dir(&place.work);
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
        let Ok(url) = url.recv_timeout(START_LIMIT) else {
            let _ = child.kill();
            let code = child.wait().unwrap().code();
            return Err((code, log.join().unwrap()));
        };
        let token = fs::read_to_string(place.data.join("admin-token")).unwrap().trim().to_owned();
        Ok(Self { child, url, token, log })
    }

    /// What the kernel says of the process.
    fn is(&self, name: &str, value: &str) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        assert!(line.split_whitespace().all(|part| part == value), "{name} {line}");
    }

    async fn runs_a_script(&self) {
        let http = reqwest::Client::new();
        let source = serde_json::json!({"language": "typescript", "source": "export function main(n: number) { return n + 1; }"});
        let deployed = http.put(format!("{}/api/w/default/scripts/f/deployment/next", self.url)).bearer_auth(&self.token).json(&source);
        let deployed = deployed.send().await.unwrap();
        assert_eq!(deployed.status(), 201, "{}", deployed.text().await.unwrap());
        assert_eq!(self.calls("next", &serde_json::json!({"n": 1})).await, "2");
    }

    async fn calls(&self, name: &str, arguments: &serde_json::Value) -> String {
        let called = reqwest::Client::new().post(format!("{}/hooks/default/run/f/deployment/{name}", self.url));
        called.bearer_auth(&self.token).json(arguments).send().await.unwrap().text().await.unwrap()
    }

    fn ends(mut self) {
        let id = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success(), "{}", self.log.join().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_runs_it_with_nothing_to_write_but_its_data() {
    if !rustix::process::geteuid().is_root() {
        skipped("a server cannot be started as somebody else", &"only root can");
        return;
    }
    let place = Place::make();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--clear-groups", "--no-new-privs"]);
    command.args(["--reuid", &NOBODY.to_string(), "--regid", &NOBODY.to_string()]).arg(&place.program);
    command.env_clear().env("PATH", "/usr/bin:/bin");
    let running = Running::start(command, &place).unwrap_or_else(|(_, log)| panic!("it does not start:\n{log}"));
    for (name, value) in [("Uid:", NOBODY.to_string().as_str()), ("CapEff:", "0000000000000000"), ("NoNewPrivs:", "1")] {
        running.is(name, value);
    }
    running.runs_a_script().await;
    running.ends();
    let Place { folder, data, work, .. } = place;
    assert_eq!((names(&work), names(folder.path())), (Vec::new(), vec!["data".to_owned(), "sandmill".to_owned(), "work".to_owned()]));
    let mode = data.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "others may look into the data folder: {mode:o}");
}

fn profile() -> PathBuf {
    root().join("deploy/seccomp.json")
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_in_a_read_only_file_system_under_the_seccomp_profile() {
    if !rustix::process::geteuid().is_root() {
        skipped("a file system cannot be made read-only", &"only root can");
        return;
    }
    let place = Place::make();
    let command = confined(&place.program, &profile(), &place.data, NOBODY);
    let running = match Running::start(command, &place) {
        Ok(running) => running,
        Err((Some(UNABLE), why)) => {
            skipped("a server cannot be confined as a container is", &why);
            return;
        }
        Err((code, log)) => panic!("it does not start, {code:?}:\n{log}"),
    };
    // 2: it has a filter.
    for (name, value) in [("Uid:", NOBODY.to_string().as_str()), ("CapEff:", "0000000000000000"), ("NoNewPrivs:", "1"), ("Seccomp:", "2")] {
        running.is(name, value);
    }
    let mounts = fs::read_to_string(format!("/proc/{}/mounts", running.child.id())).unwrap();
    let of_root = mounts.lines().rfind(|line| line.split(' ').nth(1) == Some("/")).unwrap();
    assert!(of_root.split(' ').nth(3).unwrap().split(',').any(|option| option == "ro"), "{of_root}");
    running.runs_a_script().await;
    // Its build worker is under the filter as well.
    let component = fs::read(guest("hello")).unwrap();
    let deployed = reqwest::Client::new().put(format!("{}/api/w/default/scripts/f/deployment/component", running.url));
    let deployed = deployed.bearer_auth(&running.token).header("content-type", "application/wasm").body(component).send().await.unwrap();
    assert_eq!(deployed.status(), 201, "{}", deployed.text().await.unwrap());
    let said: serde_json::Value = serde_json::from_str(&running.calls("component", &serde_json::json!({"name": "bob"})).await).unwrap();
    assert_eq!(said["hello"], "bob");
    running.ends();
}

#[test]
fn the_seccomp_profile_gives_nothing_that_is_not_needed() {
    let profile: serde_json::Value = serde_json::from_slice(&fs::read(profile()).unwrap()).unwrap();
    assert_eq!((&profile["defaultAction"], &profile["defaultErrnoRet"]), (&"SCMP_ACT_ERRNO".into(), &1.into()), "as the unit: EPERM");
    let rules = profile["syscalls"].as_array().unwrap();
    let allowed: Vec<&str> = rules
        .iter()
        .filter(|rule| rule["action"] == "SCMP_ACT_ALLOW" && rule.get("args").is_none())
        .flat_map(|rule| rule["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()))
        .collect();
    // Of @privileged, @keyring, and what @system-service does not have.
    for name in [
        "acct",
        "add_key",
        "bpf",
        "capset",
        "chown",
        "chroot",
        "clone",
        "clone3",
        "delete_module",
        "fchown",
        "init_module",
        "io_uring_setup",
        "kexec_load",
        "keyctl",
        "mount",
        "mount_setattr",
        "move_mount",
        "open_by_handle_at",
        "perf_event_open",
        "personality",
        "pivot_root",
        "process_vm_readv",
        "process_vm_writev",
        "ptrace",
        "quotactl",
        "reboot",
        "request_key",
        "setns",
        "setgid",
        "setgroups",
        "setresuid",
        "setuid",
        "settimeofday",
        "socket",
        "swapon",
        "syslog",
        "umount2",
        "unshare",
        "userfaultfd",
    ] {
        assert!(!allowed.contains(&name), "{name}");
    }
    // Without conditions it may map code and ask for memory: runs need both.
    assert!(["mmap", "mprotect", "ioctl", "futex", "execve"].iter().all(|name| allowed.contains(name)));
    let families: Vec<u64> =
        rules.iter().filter(|rule| rule["names"][0] == "socket").map(|rule| rule["args"][0]["value"].as_u64().unwrap()).collect();
    assert_eq!(families, [1, 2, 10], "AF_UNIX, AF_INET, AF_INET6, as the unit's RestrictAddressFamilies");
}
