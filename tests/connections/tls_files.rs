//! Certificates that cannot be used, and those that are replaced while the server runs.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::TOKEN;
use super::support::certificate::Authority;
use super::support::client::McpClient;
use super::support::process::{free_port, wait_until};
use super::support::server::{Pressmark, run_pressmark};

const LIMIT: Duration = Duration::from_secs(20);
const REFUSED: &str = "the TLS certificate has changed and cannot be used; what it said before stays in force";

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// The common name in the certificate that a new connection is shown.
fn shown_name(server: &Pressmark) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &format!("127.0.0.1:{}", server.port())]);
    let done = command.stdin(Stdio::null()).output().expect("openssl is installed (scripts/test does)");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let subject = said.lines().find_map(|line| line.strip_prefix("subject=CN = ").map(str::to_owned));
    subject.unwrap_or_else(|| panic!("no certificate: {said} {}", String::from_utf8_lossy(&done.stderr)))
}

#[test]
fn what_cannot_be_used_is_said_before_the_start() {
    let authority = Authority::new();
    authority.issue("one");
    authority.issue("two");
    authority.openssl(&[&["pkey", "-in", "one.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key"]]);
    authority.issue_with("weak", &["-newkey", "rsa:1024"]);
    fs::write(authority.file("empty"), "").expect("written");
    let served = authority.folder();
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| text(&authority.file(name)).to_owned();
    let (one, one_key) = (file("one.crt"), file("one.key"));
    for (certificate, key, code, told) in [
        (Some(&one), None, 2, "--tls-key"),
        (None, Some(&one_key), 2, "--tls-cert"),
        (Some(&one), Some(&file("two.key")), 1, "the key does not belong to the first certificate"),
        (Some(&file("empty")), Some(&one_key), 1, "holds no certificate"),
        (Some(&one), Some(&one), 1, "holds no private key"),
        (Some(&one), Some(&file("locked.key")), 1, "the key is encrypted"),
        (Some(&file("weak.crt")), Some(&file("weak.key")), 1, "RSA of 2048 bits or more"),
        (Some(&one), Some(&file("none.key")), 1, "none.key: No such file"),
        (Some(&text(served).to_owned()), Some(&one_key), 1, "not a regular file"),
    ] {
        let mut arguments = vec!["serve", text(folder.path()), "--listen", "127.0.0.1:0"];
        arguments.extend(certificate.iter().flat_map(|path| ["--tls-cert", path]));
        arguments.extend(key.iter().flat_map(|path| ["--tls-key", path]));
        let output = run_pressmark(&arguments);
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(code), "{told}: {stderr}");
        assert!(stderr.contains(told) && stderr.contains("--tls-cert"), "{told}: {stderr}");
        assert_eq!(stderr.lines().filter(|line| line.starts_with("pressmark: ")).count(), 1, "{stderr}");
    }
    let within = run_pressmark(&["serve", text(served), "--listen", "127.0.0.1:0", "--tls-cert", &one, "--tls-key", &one_key]);
    let stderr = String::from_utf8_lossy(&within.stderr);
    assert!(within.status.code() == Some(1) && stderr.contains("callers could read the key in /"), "{stderr}");
}

/// As Kubernetes does it: both files are links by way of one that is replaced in one step.
#[tokio::test]
async fn a_new_certificate_is_for_new_connections() {
    let authority = Authority::new();
    let mounted = tempfile::tempdir().expect("a folder");
    let lay = |name: &str| {
        authority.issue(name);
        let folder = mounted.path().join(name);
        fs::create_dir(&folder).expect("a folder");
        for file in ["crt", "key"] {
            fs::copy(authority.file(&format!("{name}.{file}")), folder.join(format!("tls.{file}"))).expect("copied");
        }
        symlink(name, mounted.path().join("..new")).expect("a link");
        fs::rename(mounted.path().join("..new"), mounted.path().join("..data")).expect("replaced");
    };
    lay("one");
    for file in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(file), mounted.path().join(file)).expect("a link");
    }
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("hello.txt"), "hello\n").expect("written");
    let (certificate, key) = (mounted.path().join("tls.crt"), mounted.path().join("tls.key"));
    let server =
        Pressmark::start(&[text(folder.path()), "--dev-token", TOKEN, "--tls-cert", text(&certificate), "--tls-key", text(&key)]);
    assert_eq!(shown_name(&server), "one");
    let client = McpClient::modern(&server.url(), Some(TOKEN)).trusting(&authority.root());
    let mut stream =
        client.open("subscriptions/listen", json!({"notifications": {"resourceSubscriptions": ["file:///hello.txt"]}})).await;
    stream.next().await.expect("the acknowledgement");

    lay("two");
    wait_until(LIMIT, "new connections are shown the new certificate", || shown_name(&server) == "two");
    assert!(!server.stderr().contains(REFUSED), "{}", server.stderr());
    fs::write(folder.path().join("hello.txt"), "changed\n").expect("written");
    assert_eq!(stream.next().await.expect("the old connection goes on")["method"], "notifications/resources/updated");
}

/// PEM of DER that is nested deeper than a thread's stack would bear.
fn nested() -> String {
    let mut der = vec![0x30, 0];
    for _ in 0..8_000 {
        let length = u32::try_from(der.len()).expect("short").to_be_bytes();
        der.splice(..0, [0x30, 0x84].into_iter().chain(length));
    }
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der))
}

#[tokio::test]
async fn a_pair_that_cannot_be_used_is_kept_out() {
    let authority = Authority::new();
    for name in ["one", "two"] {
        authority.issue(name);
        let key = authority.file(&format!("{name}.key"));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("changed");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let [certificate_option, certificate, key_option, key] = authority.options("one");
    let metrics = format!("127.0.0.1:{}", free_port());
    let server = Pressmark::start(&[
        text(folder.path()),
        "--dev-token",
        TOKEN,
        "--metrics-listen",
        &metrics,
        &certificate_option,
        &certificate,
        &key_option,
        &key,
    ]);
    let complaints = || server.stderr().matches(REFUSED).count();
    assert!(!server.stderr().contains("other users"), "{}", server.stderr());

    fs::write(&certificate, "-----BEGIN CERTIFICATE-----\nbroken").expect("written");
    wait_until(LIMIT, "the mistake is told", || complaints() == 1);
    assert_eq!(shown_name(&server), "one");
    fs::write(&certificate, nested()).expect("written");
    wait_until(LIMIT, "the nested one is told", || complaints() == 2);
    assert_eq!(shown_name(&server), "one");
    fs::copy(authority.file("two.crt"), &certificate).expect("copied");
    wait_until(LIMIT, "the next one is told", || complaints() == 3);
    assert!(server.stderr().contains("the key does not belong to the first certificate"), "{}", server.stderr());
    assert_eq!(shown_name(&server), "one");
    fs::remove_file(&key).expect("removed");
    wait_until(LIMIT, "the missing key is told", || complaints() == 4);
    // Three looks later nothing has been told twice.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!((complaints(), shown_name(&server).as_str()), (4, "one"));

    fs::copy(authority.file("two.key"), &key).expect("copied");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("changed");
    wait_until(LIMIT, "the good pair is shown", || shown_name(&server) == "two");
    assert!(server.stderr().contains("the TLS key can be read by other users of this machine; run chmod 600 on it"));

    let end = authority.openssl(&[&["x509", "-in", "two.crt", "-noout", "-enddate", "-dateopt", "iso_8601"]]);
    let end = end.trim().trim_start_matches("notAfter=").replacen(' ', "T", 1);
    let end = humantime::parse_rfc3339(&end).expect("a time").duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let scraped = reqwest::get(format!("http://{metrics}/metrics")).await.expect("metrics").text().await.expect("text");
    let line = format!("pressmark_tls_certificate_expiry_seconds {}\n", end.as_secs());
    assert!(scraped.contains(&line), "{line} is not in {scraped}");
}
