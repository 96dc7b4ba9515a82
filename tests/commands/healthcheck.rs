//! `pressmark healthcheck`.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::support::certificate::Authority;
use super::support::process::{Process, accepts, free_port, wait_until};
use super::support::server::Pressmark;
use super::{folder, run, run_in, text};

#[test]
fn a_server_that_is_alive_is_found_by_every_setting() {
    let folder = folder();
    let server = Pressmark::start(&[text(folder.path())]);
    let (port, url) = (server.port(), server.url());
    let config = folder.path().join("pressmark.toml");
    std::fs::write(&config, format!("path = \".\"\nlisten = \"127.0.0.1:{port}\"\n")).expect("a file");
    let (all, all6) = (format!("0.0.0.0:{port}"), format!("[::]:{port}"));
    let here = format!("http://127.0.0.1:{port}/healthz answers 200\n");
    for (arguments, environment) in [
        (vec!["--url", &url], vec![]),
        (vec!["--listen", &all], vec![]),
        (vec![], vec![("PRESSMARK_LISTEN", all.as_str())]),
        (vec!["--config", text(&config)], vec![]),
        (vec![], vec![("PRESSMARK_CONFIG", text(&config)), ("PRESSMARK_READ_ONLY", "true")]),
    ] {
        let said = run_in(&[&["healthcheck"], &arguments[..]].concat(), &environment);
        assert_eq!((said.code, &said.stdout, said.stderr.as_str()), (Some(0), &here, ""), "{arguments:?} {environment:?}");
    }
    let ready = run(&["healthcheck", "--url", &format!("{url}/readyz")]);
    assert_eq!(ready.code, Some(0), "{ready:?}");
    let other = run(&["healthcheck", "--url", &format!("{url}/mcp")]);
    assert_eq!((other.code, other.stderr), (Some(1), format!("pressmark: {url}/mcp answers 401\n")));
    let told = run(&["healthcheck", "--listen", &all6]).stderr;
    assert!(told.starts_with(&format!("pressmark: http://[::1]:{port}/healthz: ")), "loopback of the same family: {told}");
}

#[test]
fn a_server_that_is_not_alive_is_one_line_and_exit_code_1() {
    let nobody = free_port();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_port = silent.local_addr().expect("an address").port();
    let answering = |answer: &'static str| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer.as_bytes());
        });
        port
    };
    for (port, told) in [
        (nobody, "nothing listens there"),
        (silent_port, "no answer in time"),
        (answering(""), "the connection was closed without an answer"),
        (answering("SSH-2.0-OpenSSH_9.2\r\n"), "does not speak HTTP"),
        (answering("HTTP/1.1 503 Service Unavailable\r\n\r\n"), "answers 503"),
    ] {
        let begun = Instant::now();
        let said = run(&["healthcheck", "--listen", &format!("127.0.0.1:{port}"), "--timeout", "300ms"]);
        assert!(begun.elapsed() < Duration::from_secs(5), "{told} took {:?}", begun.elapsed());
        assert_eq!((said.code, said.stdout.as_str(), said.stderr.lines().count()), (Some(1), "", 1), "{told}: {said:?}");
        assert!(said.stderr.contains(told), "{told}: {said:?}");
    }
    drop(silent);
}

#[test]
fn wrong_settings_are_told_apart() {
    for (arguments, told) in [
        (["--url", "localhost:8080"], "--url: not an http:// or https:// URL"),
        (["--url", "http://user:hunter2@localhost/"], "--url: neither a user nor a password belongs in it"),
        (["--url", "https://hunter2@localhost:8443/healthz"], "--url: neither a user nor a password belongs in it"),
        (["--timeout", "0s"], "--timeout: '0s': write it like 500ms"),
        (["--listen", "8080"], "--listen: '8080': write it like 127.0.0.1:8080"),
        (["--config", "/no/such/file.toml"], "--config /no/such/file.toml"),
    ] {
        let said = run(&["healthcheck", arguments[0], arguments[1]]);
        assert_eq!((said.code, said.stderr.lines().count()), (Some(2), 1), "{said:?}");
        assert!(said.stderr.contains(told) && !said.stderr.contains("hunter2"), "{told}: {said:?}");
    }
    let query = run(&["healthcheck", "--url", &format!("http://127.0.0.1:{}/healthz?key=hunter2", free_port())]);
    assert_eq!(query.code, Some(1), "{query:?}");
    assert!(query.stderr.contains("/healthz: nothing listens there") && !query.stderr.contains("hunter2"), "{query:?}");
}

#[test]
fn a_server_that_speaks_tls_is_told_from_one_that_is_not_alive() {
    let (authority, folder) = (Authority::new(), folder());
    authority.issue("server");
    let options = authority.options("server");
    let mut arguments = vec![text(folder.path())];
    arguments.extend(options.iter().map(String::as_str));
    let path = format!("unix:{}/pressmark.sock", authority.folder().display());
    let (by_port, _by_path) = (Pressmark::start(&arguments), Pressmark::start_at(&path, &arguments));
    let address = format!("127.0.0.1:{}", by_port.port());
    let plain = format!("http://{address}/readyz");
    for (asked, told) in [
        (["--listen", &address], "set --tls-cert (PRESSMARK_TLS_CERT)"),
        (["--listen", &path], "set --tls-cert (PRESSMARK_TLS_CERT)"),
        (["--url", &plain], "write https:// in --url"),
    ] {
        let said = run(&["healthcheck", "--timeout", "20s", asked[0], asked[1]]);
        assert_eq!((said.code, said.stdout.as_str(), said.stderr.lines().count()), (Some(1), "", 1), "{said:?}");
        assert!(said.stderr.contains("it speaks TLS there") && said.stderr.contains(told), "{told}: {said:?}");
    }
}

/// `openssl s_server -www` answers every GET with 200, under a certificate that nobody trusts.
#[test]
fn a_server_with_tls_of_its_own_is_asked_over_tls() {
    let folder = folder();
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(arguments).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let made = openssl(&["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mcp.example.com"])
        .args(["-keyout", "tls.key", "-out", "tls.crt"])
        .status();
    assert!(made.expect("openssl is installed (scripts/test does)").success());
    let port = free_port();
    let accept = format!("127.0.0.1:{port}");
    let mut command = openssl(&["s_server", "-www", "-accept", &accept, "-cert", "tls.crt", "-key", "tls.key"]);
    let _server = Process::spawn(&mut command, "openssl");
    wait_until(Duration::from_secs(10), "openssl accepts connections", || accepts(port));
    let said = run(&["healthcheck", "--url", &format!("https://127.0.0.1:{port}")]);
    assert_eq!((said.code, said.stdout), (Some(0), format!("https://127.0.0.1:{port}/healthz answers 200\n")), "{}", said.stderr);
    let plain = run(&["healthcheck", "--url", &format!("http://127.0.0.1:{port}"), "--timeout", "1s"]);
    assert_eq!(plain.code, Some(1), "{plain:?}");
}
