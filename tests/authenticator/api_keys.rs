//! API keys, the development token, and no authentication at all.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use pressmark::auth::{AuthConfig, AuthError, Authenticator, Permission, RefreshPolicy, ScopeSet, TokenProblem};
use pressmark::path::TreePath;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::outcome::{bearer, becomes, outcome};
use crate::support::issuer::Issuer;
use crate::support::tokens::{ED, jwks, now};

fn sha256(key: &str) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn entry(name: &str, key: &str, rest: &str) -> String {
    format!("[[key]]\nname = \"{name}\"\nsha256 = \"{}\"\n{rest}\n", sha256(key))
}

struct KeyFile {
    _folder: TempDir,
    path: PathBuf,
}

impl KeyFile {
    fn new(content: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = Self { path: folder.path().join("keys.toml"), _folder: folder };
        file.write(content);
        file
    }

    fn write(&self, content: &str) {
        std::fs::write(&self.path, content).expect("written");
        std::fs::set_permissions(&self.path, std::fs::Permissions::from_mode(0o600)).expect("set");
    }

    fn config(&self) -> AuthConfig {
        let refresh = RefreshPolicy { files: Duration::from_millis(50), ..RefreshPolicy::default() };
        AuthConfig { api_keys: Some(self.path.clone()), refresh, ..AuthConfig::default() }
    }

    async fn start(&self) -> Authenticator {
        Authenticator::start(self.config()).await.expect("starts")
    }
}

#[tokio::test]
async fn a_key_is_its_bearer() {
    let file = KeyFile::new(
        &[
            entry("list", "pm_list", "scopes = [\"files:read:/a/**\", \"files:delete\"]"),
            entry("text", "pm_text", "scopes = \"files:read:/a/** files:delete\"\nexpires = 2999-01-31T12:00:00Z"),
            entry("nothing", "pm_nothing", "scopes = []"),
        ]
        .join("\n"),
    );
    let authenticator = file.start().await;
    for name in ["list", "text"] {
        let principal = bearer(&authenticator, &format!("pm_{name}")).await.expect("a good key");
        assert_eq!((principal.issuer.as_str(), principal.subject.as_str()), ("api-key", name));
        assert_eq!(principal.scopes, ScopeSet::parse(["files:read:/a/**", "files:delete"]));
    }
    assert!(!bearer(&authenticator, "pm_nothing").await.expect("a good key").scopes.sees(&TreePath::root()));
    let hash = sha256("pm_list");
    for wrong in ["pm_", "pm_list2", "pm_lis", "PM_list", "list", &hash, "e30.e30.e30"] {
        assert_eq!(outcome(&authenticator, wrong).await, "unknown_token", "{wrong}");
    }
    assert_eq!(authenticator.issuer(), None);
    assert!(authenticator.is_ready());
}

#[tokio::test]
async fn a_key_expires() {
    let at = |offset: i64, zone: &str, shift: i64| {
        let seconds = i64::try_from(now()).expect("in range") + offset + shift;
        let time = std::time::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).expect("in range"));
        humantime::format_rfc3339_seconds(time).to_string().replace('Z', zone)
    };
    let cases = [
        (format!("{:?}", at(60, "Z", 0)), "ok"),
        (format!("{:?}", at(-60, "Z", 0)), "expired"),
        (at(60, "Z", 0), "ok"),
        (at(-60, "Z", 0), "expired"),
        (at(60, "+02:00", 7200), "ok"),
        (at(-60, "+02:00", 7200), "expired"),
        (format!("{:?}", at(60, "-07:30", -27000)), "ok"),
        (format!("{:?}", at(-60, "-07:30", -27000)), "expired"),
    ];
    for (expires, wanted) in cases {
        let file = KeyFile::new(&entry("ci", "pm_ci", &format!("scopes = \"files\"\nexpires = {expires}")));
        assert_eq!(outcome(&file.start().await, "pm_ci").await, wanted, "{expires}");
    }
    // It does so while the server runs, too.
    let file = KeyFile::new(&entry("ci", "pm_ci", &format!("scopes = \"files\"\nexpires = {}", at(2, "Z", 0))));
    let authenticator = file.start().await;
    assert_eq!(outcome(&authenticator, "pm_ci").await, "ok");
    becomes(&authenticator, "pm_ci", "expired").await;
}

#[tokio::test]
async fn the_file_is_read_again_when_it_changes() {
    let (first, second) = (entry("one", "pm_one", "scopes = \"files\""), entry("two", "pm_two", "scopes = \"files\""));
    let file = KeyFile::new(&first);
    let authenticator = file.start().await;
    assert_eq!(outcome(&authenticator, "pm_one").await, "ok");
    file.write(&second);
    becomes(&authenticator, "pm_two", "ok").await;
    assert_eq!(outcome(&authenticator, "pm_one").await, "unknown_token");
    // Replaced by renaming another over it, as editors and orchestrators do; here one of the same size and time.
    let other = file.path.with_extension("new");
    std::fs::write(&other, &first).expect("written");
    let modified = std::fs::metadata(&file.path).and_then(|metadata| metadata.modified()).expect("a time");
    std::fs::File::options().append(true).open(&other).and_then(|other| other.set_modified(modified)).expect("set");
    std::fs::rename(&other, &file.path).expect("renamed");
    becomes(&authenticator, "pm_one", "ok").await;
    assert_eq!(outcome(&authenticator, "pm_two").await, "unknown_token");
    // Broken, then gone: what was read last stays in force.
    file.write("[[key]]\nname = ");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(outcome(&authenticator, "pm_one").await, "ok");
    std::fs::remove_file(&file.path).expect("removed");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(outcome(&authenticator, "pm_one").await, "ok");
    // No keys at all is a way to lock everybody out on purpose.
    file.write("");
    becomes(&authenticator, "pm_one", "unknown_token").await;
}

#[tokio::test]
async fn what_a_key_vouches_for_holds_as_long_as_the_file_says_the_same_of_it() {
    let same = entry("same", "pm_same", "scopes = \"files\"\nexpires = 2999-01-31T12:00:00Z");
    let with = |key: &str, rest: &str| entry(key, &format!("pm_{key}"), rest);
    let changing = ["gone", "narrowed", "shortened"];
    let file = KeyFile::new(&format!("{same}{}", changing.map(|key| with(key, "scopes = \"files\"")).concat()));
    let authenticator = file.start().await;
    let known = bearer(&authenticator, "pm_same").await.expect("a good key");
    let mut ending = Vec::new();
    for key in changing {
        ending.push(bearer(&authenticator, &format!("pm_{key}")).await.expect("a good key"));
    }
    assert!(ending.iter().all(|principal| principal.validity.holds()));
    let narrowed = with("narrowed", "scopes = \"files:read\"");
    let shortened = with("shortened", "scopes = \"files\"\nexpires = 2998-01-31T12:00:00Z");
    file.write(&format!("{shortened}{narrowed}{same}"));
    for principal in ending {
        let ended = tokio::time::timeout(Duration::from_secs(10), principal.validity.ended()).await;
        assert!(ended.is_ok() && !principal.validity.holds(), "{}", principal.subject);
    }
    assert!(known.validity.holds());
    // A mistake in the file withdraws nothing.
    file.write("[[key]]\nname = ");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(known.validity.holds());
}

#[tokio::test]
async fn a_mistake_is_found_by_its_line_and_nothing_secret_is_shown() {
    let good = entry("good", "pm_good", "scopes = \"files\"");
    let secret = sha256("pm_secret");
    let cases = [
        (
            format!("[[key]]\nname = \"a\"\nsha256 = \"{secret}ff\"\nscopes = \"files\""),
            "line 3: `sha256` must be 64 hexadecimal digits",
        ),
        (
            "[[key]]\nname = \"a\"\nsha256 = \"pm_secret\"\nscopes = \"files\"".to_owned(),
            "line 3: `sha256` must be 64 hexadecimal digits",
        ),
        (format!("{good}\n{}", entry("good", "pm_secret", "scopes = \"files\"")), "line 7: another key has the name `good`"),
        (format!("{good}\n{}", entry("other", "pm_good", "scopes = \"files\"")), "line 8: another key has the same `sha256`"),
        (entry("", "pm_secret", "scopes = \"files\""), "line 2: `name` must be"),
        (entry("a\\nb", "pm_secret", "scopes = \"files\""), "line 2: `name` must be"),
        (entry("a", "pm_secret", "scopes = [\"files:read\", \"files:reed\"]"), "line 4: `files:reed` is no scope"),
        (entry("a", "pm_secret", ""), "line 1: missing field `scopes`"),
        (entry("a", "pm_secret", "scopes = \"files\"\nexpires = 2030-01-31"), "line 5: `expires` must be a time with its offset"),
        (entry("a", "pm_secret", "scopes = \"files\"\nexpires = \"soon\""), "line 5: `expires` must be a time with its offset"),
        (entry("a", "pm_secret", "scopes = \"files\"\nexpires = 7"), "line 5: `expires` must be a time with its offset"),
        (entry("a", "pm_secret", "scopes = \"files\"\nexpire = 7"), "line 5: unknown field `expire`"),
        (format!("{good}\n[[key]\n"), "line 6: "),
        (format!("key = \"{secret}\""), "line 1: invalid type: string …"),
        (format!("[[key]]\nname = \"a\"\nsha256 = [\"{secret}\"]"), "line 3: invalid type: sequence"),
    ];
    for (content, wanted) in cases {
        let file = KeyFile::new(&content);
        let error = Authenticator::start(file.config()).await.expect_err(wanted).to_string();
        assert!(error.contains(wanted) && error.starts_with("API-key file: ") && !error.contains('\n'), "{error} / {wanted}");
        assert!(!error.contains(&secret[..16]) && !error.contains("pm_secret"), "{error}");
    }
}

#[tokio::test]
async fn the_development_token_may_do_everything() {
    let dev = |token: &str| AuthConfig { dev_token: Some(token.to_owned()), ..AuthConfig::default() };
    let authenticator = Authenticator::start(dev("pm_let-me-in")).await.expect("starts");
    let principal = bearer(&authenticator, "pm_let-me-in").await.expect("the token");
    assert_eq!(principal.issuer, "dev-token");
    assert!(principal.scopes.covers_tree(Permission::Delete));
    for wrong in ["pm_let-me-i", "pm_let-me-inn", "pm_LET-me-in"] {
        assert_eq!(outcome(&authenticator, wrong).await, "unknown_token");
    }
    for unusable in ["", "a b", "a,b", "é", "a\n"] {
        let error = Authenticator::start(dev(unusable)).await.expect_err("cannot be sent").to_string();
        assert!(error.starts_with("development token: it must be"), "{error}");
    }
}

#[tokio::test]
async fn without_authentication_everybody_is_anonymous() {
    let authenticator = Authenticator::start(AuthConfig { no_auth: true, ..AuthConfig::default() }).await.expect("starts");
    for authorization in [None, Some("Bearer x"), Some("Basic eDp5"), Some("")] {
        let principal = authenticator.authenticate(authorization).await.expect("anybody");
        assert_eq!((principal.issuer.as_str(), principal.subject.as_str()), ("no-auth", "anonymous"));
        assert!(principal.scopes.covers_tree(Permission::Write));
    }
}

#[tokio::test]
async fn every_way_in_can_be_open_at_once() {
    let issuer = Issuer::start(jwks(&[&ED])).await;
    let file = KeyFile::new(&entry("ci", "pm_ci", "scopes = \"files\""));
    let config = AuthConfig { dev_token: Some("dev".to_owned()), jwt: issuer.config(issuer.keys_url()).jwt, ..file.config() };
    let authenticator = Authenticator::start(config).await.expect("starts");
    for token in ["dev", "pm_ci", &ED.sign(&issuer.claims())] {
        assert_eq!(outcome(&authenticator, token).await, "ok");
    }
    assert_eq!(outcome(&authenticator, "pm_other").await, "unknown_token");
    assert_eq!(outcome(&authenticator, "other").await, "malformed_token");
}

#[tokio::test]
async fn the_header_is_read_strictly() {
    let config = AuthConfig { dev_token: Some("t0ken".to_owned()), ..AuthConfig::default() };
    let authenticator = Authenticator::start(config).await.expect("starts");
    let unknown = AuthError::InvalidToken(TokenProblem::Unknown);
    let cases = [
        (Some("Bearer t0ken"), None),
        (Some("bearer t0ken"), None),
        (Some("BEARER   t0ken "), None),
        (None, Some(AuthError::Missing)),
        (Some(""), Some(AuthError::Missing)),
        (Some("Basic dDBrZW4="), Some(AuthError::Missing)),
        (Some("t0ken"), Some(AuthError::Missing)),
        (Some("Bearert0ken"), Some(AuthError::Missing)),
        (Some("Bearer"), Some(AuthError::Malformed)),
        (Some("Bearer "), Some(AuthError::Malformed)),
        (Some("Bearer t0ken t0ken"), Some(AuthError::Malformed)),
        (Some("Bearer t0ken,Bearer t0ken"), Some(AuthError::Malformed)),
        (Some("Bearer t0ken,"), Some(AuthError::Malformed)),
        (Some("Bearer\tt0ken"), Some(AuthError::Missing)),
        (Some("Bearer t0ken\t"), Some(AuthError::Malformed)),
        (Some("Bearer t0k\u{e9}n"), Some(AuthError::Malformed)),
        (Some("Bearer T0ken"), Some(unknown)),
    ];
    for (header, wanted) in cases {
        assert_eq!(authenticator.authenticate(header).await.err(), wanted, "{header:?}");
    }
}
