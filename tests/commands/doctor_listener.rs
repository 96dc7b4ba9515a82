//! What `pressmark doctor` says of how the server takes connections.

use super::doctor::Report;
use super::support::certificate::Authority;
use super::support::server::Pressmark;
use super::{folder, text};

const TOKEN: &str = "a-secret-token-for-tests";

#[test]
fn keep_alive_has_to_be_longer_than_the_balancers() {
    let folder = folder();
    let report = |more: &[&str]| Report::of(&[&[text(folder.path())], more].concat());
    report(&[]).is_right("idle connections are kept for 1m 15s: longer than the 60s of nginx");
    report(&["--keep-alive", "3m", "--balancer-idle", "2m"]).is_right("kept for 3m: longer than the balancer's 2m");
    report(&["--balancer-idle", "2m"]).only_wrong("kept for 1m 15s: not longer than the balancer's 2m", "--keep-alive to 2m 15s");
    report(&["--keep-alive", "60s"]).only_wrong("not longer than the 60s", "--keep-alive to 1m 15s");
}

#[test]
fn certificates_are_read_as_the_server_reads_them() {
    let authority = Authority::new();
    for name in ["one", "two"] {
        authority.issue(name);
    }
    authority.openssl(&[&["x509", "-in", "one.crt", "-signkey", "one.key", "-days", "365", "-out", "long.crt"]]);
    authority.openssl(&[&["x509", "-in", "one.crt", "-signkey", "one.key", "-days", "-1", "-out", "old.crt"]]);
    let folder = folder();
    let report = |certificate: &str, key: &str| {
        let (certificate, key) = (authority.file(certificate), authority.file(key));
        Report::of(&[text(folder.path()), "--tls-cert", text(&certificate), "--tls-key", text(&key)])
    };
    report("long.crt", "one.key").is_right("is its key's, and good until 20");
    report("one.crt", "one.key").only_wrong("expires soon", "renew it");
    report("old.crt", "one.key").only_wrong("has expired at 20", "renew it");
    report("one.crt", "two.key").only_wrong("the key does not belong to the first certificate", "PEM");
    let loose = authority.file("one.key");
    std::fs::set_permissions(&loose, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("rights");
    report("long.crt", "one.key").only_wrong("can be read by other users", "chmod 600");
}

/// Without a public URL it is this machine's own door that is looked at.
#[test]
fn servers_with_tls_and_on_unix_sockets_are_reached() {
    let authority = Authority::new();
    authority.issue("server");
    authority.openssl(&[&["x509", "-in", "server.crt", "-signkey", "server.key", "-days", "365", "-out", "server.crt"]]);
    let folder = folder();
    let options = authority.options("server");
    let mut arguments = vec![text(folder.path()), "--dev-token", TOKEN];
    let listen = format!("unix:{}/pressmark.sock", authority.folder().display());
    let by_path = Pressmark::start_at(&listen, &arguments);
    let report = Report::of(&[&arguments[..], &["--listen", &listen]].concat());
    report.is_right("http://localhost/mcp answers, and is Pressmark");
    report.is_right("a stream's first event arrives after");
    report.only_wrong("has no URL of its own", "--public-url");
    drop(by_path);

    arguments.extend(options.iter().map(String::as_str));
    let server = Pressmark::start(&arguments);
    let address = format!("127.0.0.1:{}", server.port());
    let report = Report::of(&[&arguments[..], &["--listen", &address]].concat());
    report.is_right(&format!("https://{address}/mcp answers, and is Pressmark"));
    assert_eq!(report.with("wrong"), [""; 0]);
    // A server that speaks TLS only is no answer to who asks in plain HTTP.
    let plain = Report::of(&[&arguments[..3], &["--listen", &address, "--idle", "100ms"]].concat());
    assert!(plain.with("right").iter().all(|found| !found.contains("is Pressmark")));
}

#[test]
fn certificates_that_clients_would_refuse_are_told_in_words() {
    let authority = Authority::new();
    authority.issue("server");
    authority.openssl(&[
        &["req", "-x509", "-CA", "authority.crt", "-CAkey", "authority.key", "-nodes", "-days", "2", "-subj", "/CN=other"],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", "other.key", "-out", "other.crt"],
        &["-addext", "subjectAltName=DNS:mcp.example.com", "-addext", "basicConstraints=critical,CA:FALSE"],
    ]);
    let (folder, root) = (folder(), authority.root());
    let report = |certificate: &str, environment: &[(&str, &str)]| {
        let options = authority.options(certificate);
        let mut arguments = vec![text(folder.path()), "--dev-token", TOKEN];
        arguments.extend(options.iter().map(String::as_str));
        let server = Pressmark::start(&arguments);
        Report::in_environment(&[text(folder.path()), "--dev-token", TOKEN, "--public-url", &server.url()], environment)
    };
    let trusted = [("SSL_CERT_FILE", text(&root))];
    let unknown = "its certificate is not trusted by this machine: no authority that is known here has signed it";
    report("server", &[]).only_wrong(unknown, "SSL_CERT_FILE");
    report("server", &trusted).is_right("answers, and is Pressmark");
    report("other", &trusted).only_wrong("certificate not valid for name", "use the name that is in it");
    report("authority", &[]).only_wrong("it is self-made, and that of an authority", "CA:FALSE");
}
