//! `pressmark doctor`, before real servers that are well and others that are not.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::front::{BUFFERING, Front, GOOD, HASTY, port};
use super::issuer::Issuer;
use super::support::redis::{RedisCluster, RedisServer, SentinelSet};
use super::support::server::Pressmark;
use super::support::snapshot::Snapshot;
use super::support::tokens::P256;
use super::{Said, folder, run, run_in, text};

const TOKEN: &str = "a-secret-token-for-tests";

/// What the doctor says, check by check.
pub(super) struct Report {
    pub(super) said: Said,
    checks: Vec<Value>,
}

impl Report {
    pub(super) fn of(arguments: &[&str]) -> Self {
        Self::in_environment(arguments, &[])
    }

    pub(super) fn in_environment(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let short: &[&str] = if arguments.contains(&"--idle") { &[] } else { &["--idle", "500ms"] };
        let said = run_in(&[&["doctor", "--json"][..], short, arguments].concat(), environment);
        let report: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        let checks = report["checks"].as_array().expect("checks").clone();
        let wrong = checks.iter().any(|check| check["status"] == "wrong");
        assert_eq!((said.code, &report["ok"]), (Some(i32::from(wrong)), &json!(!wrong)), "{said:?}");
        assert!(checks.iter().all(|check| (check["status"] == "wrong") == check["fix"].is_string()), "{said:?}");
        Self { said, checks }
    }

    /// What was found with this status.
    pub(super) fn with(&self, status: &str) -> Vec<&str> {
        self.checks.iter().filter(|check| check["status"] == status).map(|check| check["found"].as_str().expect("text")).collect()
    }

    /// The one thing that is wrong, and how to mend it.
    #[track_caller]
    pub(super) fn only_wrong(&self, found: &str, fix: &str) {
        let wrong: Vec<_> = self.checks.iter().filter(|check| check["status"] == "wrong").collect();
        let [check] = wrong[..] else { panic!("one thing should be wrong: {}", self.said.stdout) };
        let text = |field: &str| check[field].as_str().expect("text");
        assert!(text("found").contains(found), "{found}: {check}");
        assert!(text("fix").contains(fix), "{fix}: {check}");
    }

    #[track_caller]
    pub(super) fn is_right(&self, found: &str) {
        assert!(self.with("right").iter().any(|line| line.contains(found)), "{found}: {}", self.said.stdout);
    }
}

#[test]
fn all_is_well_where_everything_is() {
    let (folder, keys) = (folder(), tempfile::tempdir().expect("a folder"));
    let redis = RedisServer::start_with(&["requirepass hunter2", "maxmemory 64mb", "maxmemory-policy volatile-ttl"]);
    let state = redis.url().replace("redis://", "redis://:hunter2@");
    let issuer = Issuer::start(Duration::ZERO);
    let file = text(&keys.path().join("keys.toml")).to_owned();
    let key = run(&["keys", "new", "--api-keys", &file, "--name", "doctor", "--scope", "files:read"]).stdout;
    let seal = keys.path().join("seal");
    std::fs::write(&seal, format!("{}\n", "ab".repeat(32))).expect("a file");
    std::fs::set_permissions(&seal, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("rights");
    let front_port = port();
    let public = format!("http://127.0.0.1:{front_port}");
    let settings = [
        text(folder.path()),
        "--state",
        &state,
        "--jwt-issuer",
        &issuer.url,
        "--api-keys",
        &file,
        "--public-url",
        &public,
        "--seal-keys",
        text(&seal),
    ];
    let server = Pressmark::start(&settings);
    let _front = Front::start(front_port, server.port(), GOOD);
    let before = Snapshot::of(folder.path());
    // As people see it, with all that a silent stream can show.
    let said = run_in(&[&["doctor", "--token-env", "KEY"], &settings[..]].concat(), &[("KEY", key.trim())]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
    for told in [
        "files can be open at once",
        "✓ 1 sealing key in",
        "readable, writable, replaces in one step, locks;",
        &format!("✓ {} can be used", redis.url()),
        "maxmemory-policy volatile-ttl, 64 MiB",
        "✓ a question takes",
        &format!("✓ 1 usable key at {}/keys, as {}/.well-known/oauth-authorization-server says", issuer.url, issuer.url),
        "✓ this machine's clock agrees with the issuer's",
        &format!("✓ tokens must name {public}/mcp as their audience"),
        "✓ 1 API keys in",
        &format!("✓ {public}/mcp answers, and is Pressmark"),
        &format!("✓ {public}/.well-known/oauth-protected-resource/mcp says where tokens come from"),
        "✓ a stream's first event arrives after",
        "✓ a silent stream stays open for 20 s, and signs of life come through",
        "\nall is well\n",
    ] {
        assert!(said.stdout.contains(told), "{told}: {}", said.stdout);
    }
    assert!(
        !said.stdout.contains("✗") && !said.stdout.contains("hunter2") && !said.stdout.contains(key.trim()),
        "{}",
        said.stdout
    );
    assert!(Snapshot::of(folder.path()) == before, "the folder is as it was");
}

#[test]
fn folders_that_cannot_be_used() {
    let folder = folder();
    let file = folder.path().join("hello.txt");
    let missing = folder.path().join("missing");
    Report::of(&[text(&missing)]).only_or_more("it does not exist", "mount the volume");
    Report::of(&[text(&file)]).only_or_more("it is not a folder", "name the folder that holds it");
    let read_only = Report::of(&["/proc", "--read-only"]);
    read_only.is_right("/ is /proc: readable; read-only");
    let proc = Report::of(&["/proc"]);
    assert!(proc.with("wrong").iter().any(|line| line.starts_with("/ is /proc: ")), "{}", proc.said.stdout);
    let twice = format!("a={}", text(folder.path()));
    Report::of(&["--mount", &twice, "--mount", &twice]).only_wrong("two folders are mounted at /a", "--mount");
    let keys = folder.path().join("keys.toml");
    let file = text(&keys);
    run(&["keys", "new", "--api-keys", file, "--name", "a", "--scope", "files"]);
    Report::of(&[text(folder.path()), "--api-keys", file]).only_wrong("lies in what is served at /", "move it out");
    assert_eq!(Report::of(&[text(folder.path()), "--api-keys", file, "--read-only"]).with("wrong"), [""; 0]);
}

impl Report {
    /// A folder that cannot be opened is wrong twice: by itself, and as part of the tree.
    #[track_caller]
    fn only_or_more(&self, found: &str, fix: &str) {
        let check = self.checks.iter().find(|check| check["status"] == "wrong").expect("something is wrong");
        assert!(check["found"].as_str().is_some_and(|text| text.contains(found)), "{check}");
        assert!(check["fix"].as_str().is_some_and(|text| text.contains(fix)), "{check}");
    }
}

#[test]
fn a_redis_that_drops_what_is_used() {
    let folder = folder();
    for (policy, drops) in [
        ("noeviction", false),
        ("volatile-ttl", false),
        ("volatile-lru", false),
        ("volatile-random", true),
        ("allkeys-lru", true),
        ("allkeys-random", true),
    ] {
        let redis = RedisServer::start_with(&[&format!("maxmemory-policy {policy}")]);
        let report = Report::of(&[text(folder.path()), "--state", &redis.url()]);
        if drops {
            report.only_wrong(
                &format!("maxmemory-policy {policy}, no memory limit: when memory runs out"),
                "volatile-ttl or noeviction",
            );
        } else {
            report.is_right(&format!("maxmemory-policy {policy}, no memory limit"));
            assert_eq!(report.with("wrong"), [""; 0]);
        }
    }
}

#[test]
fn a_redis_that_is_away_or_does_not_let_us_in() {
    let folder = folder();
    let mut redis = RedisServer::start_with(&["requirepass hunter2"]);
    let url = redis.url();
    let check = |password: &str| {
        let report = Report::of(&[text(folder.path()), "--state", &url.replace("redis://", &format!("redis://:{password}@"))]);
        assert!(!report.said.stdout.contains("hunter"), "{}", report.said.stdout);
        report
    };
    check("hunter3").only_wrong(&format!("Redis refuses the credentials ({url})"), "lets this server in");
    redis.freeze();
    check("hunter2").only_wrong(&format!("({url})"), "see that Redis runs there");
    redis.resume();
    redis.cli(&["ACL", "SETUSER", "default", "-info"]);
    let report = check("hunter2");
    assert_eq!((report.with("wrong").len(), report.said.code), (0, Some(0)));
    assert!(report.with("skipped").iter().any(|line| line.contains("allow INFO")), "{}", report.said.stdout);
    redis.stop();
    check("hunter2").only_wrong("connection refused", "see that Redis runs there");
}

#[test]
fn a_cluster_and_its_health() {
    let folder = folder();
    let mut cluster = RedisCluster::start();
    let url = cluster.url();
    let report = Report::of(&[text(folder.path()), "--state", &url]);
    report.is_right("the cluster works and serves all slots; without a replica");
    let is_server = |line: &&&str| line.contains("maxmemory-policy noeviction");
    assert_eq!(report.with("right").iter().filter(is_server).count(), 3, "every master is looked at: {}", report.said.stdout);
    assert_eq!(report.with("wrong"), [""; 0]);
    // Not the one that holds the key that is tried.
    let kept = cluster.holder("pressmark:check");
    cluster.nodes[(kept + 1) % 3].stop();
    super::support::process::wait_until(Duration::from_secs(10), "the others notice", || {
        cluster.nodes[kept].cli(&["CLUSTER", "NODES"]).contains("fail ")
    });
    let report = Report::of(&[text(folder.path()), "--state", &url]);
    assert!(
        report.with("wrong").iter().any(|line| line.starts_with("nodes of the cluster are down: 127.0.0.1:")),
        "{}",
        report.said.stdout
    );
}

#[test]
fn sentinels_and_their_health() {
    let folder = folder();
    let mut set = SentinelSet::start();
    let report = Report::of(&[text(folder.path()), "--state", &set.url()]);
    let ready = |line: &&&str| line.contains("is ready for a failover, replicas: 1");
    assert_eq!(report.with("right").iter().filter(ready).count(), 3, "{}", report.said.stdout);
    assert_eq!(report.with("wrong"), [""; 0]);
    set.kill_sentinel(2);
    Report::of(&[text(folder.path()), "--state", &set.url()])
        .only_wrong("does not answer as it should (Redis cannot be reached", "start it again");
}

#[test]
fn an_issuer_that_is_away_wrong_or_in_another_time() {
    let folder = folder();
    let check = |arguments: &[&str]| Report::of(&[&[text(folder.path())], arguments].concat());
    let nobody = format!("http://127.0.0.1:{}", port());
    check(&["--jwt-issuer", &nobody]).only_wrong("Connection refused", "see that the issuer runs");
    let issuer = Issuer::start(Duration::ZERO);
    let slash = format!("{}/", issuer.url);
    check(&["--jwt-issuer", &slash])
        .only_wrong("configure the issuer exactly as it calls itself", "written exactly as it calls itself");
    let late = Issuer::start(Duration::from_secs(600));
    let report = check(&["--jwt-issuer", &late.url]);
    report.only_wrong("this machine's clock is 600 s ahead of the issuer's", "NTP");
    report.is_right("1 usable key");
    let useless = Issuer::start_with(Duration::ZERO, json!({"keys": [{"kty": "oct", "k": "aHVudGVyMg"}]}));
    check(&["--jwt-issuer", &useless.url]).only_wrong("it has no key for RS256", "see that the issuer runs");
    let keys = format!("{}/nothing", issuer.url);
    check(&["--jwks-url", &keys]).only_wrong("answered with status 404", "--jwks-url");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), json!({"keys": [P256.jwk()]}).to_string()).expect("a file");
    check(&["--jwks-file", text(file.path())]).is_right("1 usable key at");
    check(&["--jwks-file", "/no/such/file"]).only_wrong("/no/such/file: No such file", "put the issuer's JWK set there");
}

#[test]
fn callers_that_cannot_come_in() {
    let (folder, place) = (folder(), tempfile::tempdir().expect("a folder"));
    let issuer = Issuer::start(Duration::ZERO);
    let report = Report::of(&[text(folder.path()), "--jwt-issuer", &issuer.url, "--listen", &format!("0.0.0.0:{}", port())]);
    report.only_wrong("which no client calls this server", "set --public-url");
    let named = ["--jwt-audience", "urn:files", "--listen", "0.0.0.0:1"];
    Report::of(&[&[text(folder.path()), "--jwt-issuer", &issuer.url], &named[..]].concat())
        .is_right("tokens must name urn:files");
    let file = text(&place.path().join("keys.toml")).to_owned();
    let check = || Report::of(&[text(folder.path()), "--api-keys", &file]);
    check().only_wrong("the file does not exist", "`pressmark keys new` makes the file");
    std::fs::write(
        &file,
        format!("[[key]]\nname = \"a\"\nsha256 = \"{}\"\nscopes = \"files\"\nexpires = 2020-01-01T00:00:00Z\n", "ab".repeat(32)),
    )
    .expect("a file");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("rights");
    check().only_wrong("holds no key that is good", "pressmark keys new");
    run(&["keys", "new", "--api-keys", &file, "--name", "b", "--scope", "files"]);
    check().is_right("1 API keys in");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("rights");
    check().only_wrong("can be read by other users", "chmod 600");
    let listen = format!("0.0.0.0:{}", port());
    let report = Report::of(&[text(folder.path()), "--dev-token", TOKEN, "--listen", &listen]);
    report.only_wrong("a development token, which may do everything and never expires", "pressmark keys new");
    assert!(!report.said.stdout.contains(TOKEN));
}

#[test]
fn a_balancer_that_holds_events_back_or_cuts_streams_off() {
    let folder = folder();
    let (good, buffering, hasty) = (port(), port(), port());
    let server = Pressmark::start(&[text(folder.path()), "--dev-token", TOKEN]);
    let _fronts = [(good, GOOD), (buffering, BUFFERING), (hasty, HASTY)]
        .map(|(port, directives)| Front::start(port, server.port(), directives));
    let check = |port: u16, idle: &str| {
        let public = format!("http://127.0.0.1:{port}");
        let report = Report::of(&[text(folder.path()), "--dev-token", TOKEN, "--public-url", &public, "--idle", idle]);
        assert!(!report.said.stdout.contains(TOKEN));
        report
    };
    let report = check(good, "1s");
    report.is_right("a silent stream stays open for 1 s");
    assert_eq!(report.with("wrong"), [""; 0]);
    check(buffering, "1s").only_wrong("a stream of events does not begin: the answer is held back", "proxy_buffering off");
    let report = check(hasty, "5s");
    report.is_right("a stream's first event arrives");
    report.only_wrong("a silent stream is cut off after 2 s", "proxy_read_timeout");
}

#[test]
fn a_public_url_that_is_not_what_clients_use() {
    let folder = folder();
    let issuer = Issuer::start(Duration::ZERO);
    let front_port = port();
    let (public, told) = (format!("http://127.0.0.1:{front_port}"), format!("https://127.0.0.1:{front_port}"));
    let server = Pressmark::start(&[text(folder.path()), "--jwt-issuer", &issuer.url, "--public-url", &told]);
    let _front = Front::start(front_port, server.port(), GOOD);
    let check = |public: &str| Report::of(&[text(folder.path()), "--jwt-issuer", &issuer.url, "--public-url", public]);
    let report = check(&public);
    let wrong = report.with("wrong");
    assert!(wrong.iter().any(|line| line.contains(&format!("its 401 names {told}/.well-known"))), "{wrong:?}");
    assert!(
        wrong
            .iter()
            .any(|line| line.contains(&format!("calls the server {told}/mcp, and not {public}/mcp: the scheme is wrong"))),
        "{wrong:?}"
    );
    assert!(report.with("skipped").iter().any(|line| line.contains("they need a credential")), "{}", report.said.stdout);
    check(&format!("{public}/prefix")).only_wrong("404", "without changing the path");
    check(&format!("http://127.0.0.1:{}", port())).only_wrong("Connection refused", "see that the name leads to the balancer");
    let redirecting = port();
    let _redirect = Front::start(redirecting, server.port(), &format!("return 301 {told}$request_uri;"));
    check(&format!("http://127.0.0.1:{redirecting}"))
        .only_wrong(&format!("redirects to {told}/mcp"), &format!("that leads: {told}"));
    let dead = port();
    let _dead = Front::start(dead, port(), GOOD);
    check(&format!("http://127.0.0.1:{dead}")).only_wrong("502 Bad Gateway", "cannot reach a replica");
}

#[test]
fn credentials_and_settings_that_cannot_be_used() {
    let folder = folder();
    let server = Pressmark::start(&[text(folder.path()), "--dev-token", TOKEN]);
    let listen = format!("127.0.0.1:{}", server.port());
    let wrong = Report::of(&[text(folder.path()), "--dev-token", "hunter2", "--listen", &listen]);
    wrong.only_wrong("a stream of events is answered 401", "--token-file");
    assert!(!wrong.said.stdout.contains("hunter2"));
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).expect("a file");
    let right = Report::of(&[text(folder.path()), "--dev-token", "hunter2", "--listen", &listen, "--token-file", text(&file)]);
    right.is_right("a stream's first event arrives");
    let open = Pressmark::start(&[text(folder.path()), "--no-auth"]);
    let listen = format!("127.0.0.1:{}", open.port());
    Report::of(&[text(folder.path()), "--no-auth", "--listen", &listen]).is_right("a stream's first event arrives");
    let idle = Report::of(&[text(folder.path()), "--listen", &format!("127.0.0.1:{}", port())]);
    assert!(
        idle.with("skipped").iter().any(|line| line.contains("start the server to have this checked")),
        "{}",
        idle.said.stdout
    );
    assert_eq!(idle.said.code, Some(0));
    for (arguments, told) in [
        (vec!["doctor"], "nothing to serve"),
        (vec!["doctor", ".", "--state", "postgres://x:hunter2@y"], "--state"),
        (vec!["doctor", ".", "--token-file", "/no/such/file"], "--token-file /no/such/file"),
        (vec!["doctor", ".", "--token-env", "hunter2!"], "--token-env: give the name of a variable"),
        (vec!["doctor", ".", "--token-env", "NOT_SET_ANYWHERE"], "--token-env NOT_SET_ANYWHERE: the variable is not set"),
        (vec!["doctor", ".", "--idle", "long"], "--idle: 'long'"),
    ] {
        let said = run(&arguments);
        assert_eq!((said.code, said.stdout.as_str(), said.stderr.lines().count()), (Some(2), "", 1), "{said:?}");
        assert!(said.stderr.contains(told) && !said.stderr.contains("hunter2"), "{told}: {said:?}");
    }
    let config = folder.path().join("pressmark.toml");
    std::fs::write(&config, format!("path = {:?}\nread-only = true\n", text(folder.path()))).expect("a file");
    let from_file = run_in(&["doctor", "--listen", &format!("127.0.0.1:{}", port())], &[("PRESSMARK_CONFIG", text(&config))]);
    assert!(from_file.code == Some(0) && from_file.stdout.contains("readable; read-only"), "{from_file:?}");
    assert!(Path::new(&config).exists());
}
