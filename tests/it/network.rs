//! What stands between the server and the network: TLS, proxies, host names, large heads.

use std::{fs, path::Path, process::Command, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::Method;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use sandmill_testkit::{binary::binary, server::Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::disk::eventually;

/// For whatever must happen; only a broken server lets it pass.
const DEADLINE: Duration = Duration::from_secs(20);
const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// An authority of the tests' own.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), root }
    }

    /// A certificate and its key, as PEM.
    fn pair(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        (pem("CERTIFICATE", certificate.der()), pem("PRIVATE KEY", &key.serialize_der()))
    }

    async fn connect(&self, server: &Server, protocols: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from("localhost").unwrap();
        timeout(DEADLINE, connector.connect(name, tcp(server).await)).await.expect("a handshake ends")
    }

    /// What it is shown.
    async fn shown(&self, server: &Server) -> Vec<u8> {
        let stream = self.connect(server, &["http/1.1"]).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_STANDARD.encode(der))
}

fn write(folder: &Path, (certificate, key): &(String, String)) {
    fs::write(folder.join("cert.pem"), certificate).unwrap();
    fs::write(folder.join("key.pem"), key).unwrap();
}

fn secured(folder: &Path, more: &[&str]) -> Server {
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let tls = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    Server::start(&[&tls[..], more].concat()).unwrap()
}

async fn tcp(server: &Server) -> TcpStream {
    TcpStream::connect(server.url.rsplit('/').next().unwrap()).await.unwrap()
}

/// All that comes until the connection ends.
async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A server that ends a connection may do it with an error.
    let read = async { while stream.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {} };
    timeout(DEADLINE, read).await.expect("the connection ends");
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_and_nothing_else() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    write(folder.path(), &authority.pair());
    let server = secured(folder.path(), &["--receive-timeout-ms", "2000"]);
    assert!(server.url.starts_with("https://"), "{}", server.url);

    let mut http1 = authority.connect(&server, &["http/1.1"]).await.unwrap();
    http1.write_all(HEALTH.as_bytes()).await.unwrap();
    let answer = String::from_utf8(rest(&mut http1).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("strict-transport-security: max-age="), "{answer}");

    let mut http2 = authority.connect(&server, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(http2.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    http2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut frame = [0; 9];
    timeout(DEADLINE, http2.read_exact(&mut frame)).await.expect("settings come").unwrap();
    assert_eq!(frame[3], 4, "{frame:?}");

    assert!(authority.connect(&server, &["gopher"]).await.is_err(), "no protocol in common");
    let mut plain = tcp(&server).await;
    plain.write_all(HEALTH.as_bytes()).await.unwrap();
    assert!(!rest(&mut plain).await.starts_with(b"HTTP/"), "it is answered without TLS");
    let mut silent = tcp(&server).await;
    assert!(rest(&mut silent).await.is_empty(), "a silent handshake is not waited for");

    let mut again = authority.connect(&server, &["http/1.1"]).await.unwrap();
    let metrics =
        format!("GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {}\r\n\r\n", server.token);
    again.write_all(metrics.as_bytes()).await.unwrap();
    let metrics = String::from_utf8_lossy(&rest(&mut again).await).into_owned();
    for reason in ["bad_handshake", "late_handshake"] {
        assert!(metrics.contains(&format!("sandmill_connections_cut_total{{reason=\"{reason}\"}}")), "{reason}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_hold_up_no_handshake() {
    /// More than one address may have handshakes under way.
    const SILENT: usize = 40;
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    write(folder.path(), &authority.pair());
    let server = secured(folder.path(), &[]);
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(tcp(&server).await);
    }
    // Sooner than those are given up.
    let shown = timeout(Duration::from_secs(7), authority.connect(&server, &["http/1.1"])).await;
    shown.expect("it waits for nobody who is silent").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_only_so_many_connections() {
    let server = Server::start(&["--connections-per-address-max", "2"]).unwrap();
    let (first, mut second) = (tcp(&server).await, tcp(&server).await);
    // Connections are taken in the order in which they come.
    let mut third = tcp(&server).await;
    assert!(rest(&mut third).await.is_empty(), "it is closed without a word");
    second.write_all(HEALTH.as_bytes()).await.unwrap();
    assert!(rest(&mut second).await.starts_with(b"HTTP/1.1 200"), "those that are open go on");
    drop((first, second));
    eventually("there is room again", async || {
        let mut again = tcp(&server).await;
        let _ = again.write_all(HEALTH.as_bytes()).await;
        rest(&mut again).await.starts_with(b"HTTP/1.1 200")
    })
    .await;
    assert_eq!(server.log().matches("has as many connections as it may").count(), 1, "{}", server.log());

    // A proxy comes for many.
    let server = Server::start(&["--connections-per-address-max", "2", "--trusted-proxy", "127.0.0.1"]).unwrap();
    let mut open = Vec::new();
    for _ in 0..10 {
        let mut stream = tcp(&server).await;
        stream.write_all(HEALTH.as_bytes()).await.unwrap();
        open.push(stream);
    }
    for stream in &mut open {
        assert!(rest(stream).await.starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_while_it_is_in_use() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let (first, second) = (authority.pair(), authority.pair());
    write(folder.path(), &first);
    let server = secured(folder.path(), &[]);
    let before = authority.shown(&server).await;
    let mut open = authority.connect(&server, &["http/1.1"]).await.unwrap();

    // Half of a renewal.
    fs::write(folder.path().join("cert.pem"), &second.0).unwrap();
    server.hang_up().unwrap();
    eventually("it is said that the pair is none", async || server.log().contains("the one of before stays in use")).await;
    assert_eq!(authority.shown(&server).await, before);
    // The other half, which nobody announces.
    fs::write(folder.path().join("key.pem"), &second.1).unwrap();
    eventually("the new one is shown", async || authority.shown(&server).await != before).await;

    open.write_all(HEALTH.as_bytes()).await.unwrap();
    assert!(rest(&mut open).await.starts_with(b"HTTP/1.1 200"), "what is open goes on");
    assert!(!server.log().contains("PRIVATE"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_speaks_tls_to_whom_it_trusts() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    write(folder.path(), &authority.pair());
    fs::write(folder.path().join("ca.pem"), pem("CERTIFICATE", &authority.root)).unwrap();
    fs::write(folder.path().join("add.ts"), "export function main(a: number) { return a + 1; }").unwrap();
    let server = secured(folder.path(), &[]);
    let url = server.url.replace("127.0.0.1", "localhost");
    let sandmill = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(folder.path());
        command.env("SANDMILL_SERVER", &url).env("SANDMILL_TOKEN", &server.token).env("XDG_CONFIG_HOME", folder.path().join("config"));
        let output = command.output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), format!("{out}{err}"))
    };
    let (code, said) = sandmill(&["push", "add.ts", "--path", "f/network/add", "--ca", "ca.pem"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = sandmill(&["run", "f/network/add", "--arg", "a=1", "--ca", "ca.pem"]);
    assert!(code == Some(0) && said.contains('2'), "{said}");
    let (code, said) = sandmill(&["scripts", "list"]);
    assert!(code == Some(3) && said.contains("certificate"), "{said}");
    let other = url.replace("localhost", "127.0.0.1");
    let (code, said) = sandmill(&["scripts", "list", "--ca", "ca.pem", "--server", &other]);
    assert!(code == Some(3) && said.contains("certificate"), "it is not the server of that name: {said}");
    let (code, said) = sandmill(&["scripts", "list", "--ca", "add.ts"]);
    assert!(code == Some(2) && said.contains("--ca"), "{said}");
}

#[test]
fn without_a_usable_pair_there_is_no_start() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    write(folder.path(), &(authority.pair().0, authority.pair().1));
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    for key in [&*key, Path::new("/no/such/file")] {
        let refused = Server::start(&["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()]);
        let error = refused.err().unwrap().to_string();
        assert!(error.contains("--tls-key") && !error.contains("PRIVATE"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_that_are_trusted_speak_for_others() {
    const PER_S: &str = "1";
    let ask = async |server: &Server, client: &str| {
        let request = server.request(Method::GET, "/api/instance/version").header("x-forwarded-for", client);
        request.header("x-forwarded-proto", "https").send().await.unwrap()
    };
    let server = Server::start(&["--trusted-proxy", "127.0.0.0/8", "--requests-per-s-max", PER_S]).unwrap();
    let first = ask(&server, "192.0.2.1").await;
    assert_eq!((first.status().as_u16(), first.headers().contains_key("strict-transport-security")), (200, true));
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(ask(&server, "203.0.113.5, 192.0.2.1").await.status().as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(ask(&server, "192.0.2.1, 192.0.2.2").await.status(), 200, "another client of the same proxy");

    // What cannot be read is counted for nobody.
    for odd in ["x", "192.0.2.1, <script>"] {
        assert_eq!(ask(&server, odd).await.status(), 400, "{odd}");
    }

    // Whoever is not trusted speaks for itself, whatever it says.
    let server = Server::start(&["--requests-per-s-max", PER_S]).unwrap();
    let first = ask(&server, "192.0.2.1").await;
    assert_eq!((first.status().as_u16(), first.headers().contains_key("strict-transport-security")), (200, false));
    let mut statuses = Vec::new();
    for n in 0..20 {
        statuses.push(ask(&server, &format!("192.0.2.{n}")).await.status().as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_have_a_host_of_their_own() {
    let server = Server::start(&["--routes-host", "run.test"]).unwrap();
    server.deploy("f/network/one", "typescript", "export function main() { return 1; }").await.unwrap();
    let ask = async |path: &str, host: &str| server.request(Method::GET, path).header("host", host).send().await.unwrap().status().as_u16();
    for (path, host, status) in [
        ("/hooks/default/run/f/network/one", "run.test", 200),
        ("/hooks/default/run/f/network/one", "run.test:8000", 200),
        ("/hooks/default/run/f/network/one", "api.test", 404),
        ("/api/w/default/scripts", "run.test", 404),
        ("/api/w/default/scripts", "api.test", 200),
        ("/health", "run.test", 404),
        ("/health", "api.test", 200),
    ] {
        assert_eq!(ask(path, host).await, status, "{path} at {host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_have_an_end() {
    const HEAD_BYTES_MAX: usize = 128 * 1024;
    let server = Server::start(&[]).unwrap();
    for (head, status) in [
        (format!("GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-a: {}\r\n\r\n", "a".repeat(100 * 1024)), "200"),
        (format!("GET /health HTTP/1.1\r\nhost: x\r\nx-a: {}\r\n\r\n", "a".repeat(200 * 1024)), "431"),
        (format!("GET /health HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-a: a\r\n".repeat(200)), "431"),
        (format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(100 * 1024)), "414"),
    ] {
        let mut stream = tcp(&server).await;
        // It may be refused before it was sent whole.
        let _ = stream.write_all(head.as_bytes()).await;
        let answer = String::from_utf8_lossy(&rest(&mut stream).await).into_owned();
        // What is refused while it is still sent may be cut off before the answer can be read.
        let is_cut = answer.is_empty() && head.len() > HEAD_BYTES_MAX;
        assert!(is_cut || answer.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {answer}");
    }
}
