//! Variables that are set and empty, as compose files and charts may leave them.

use super::{folder, run_in, text};

/// It may be a secret or a limit that has not arrived; what follows must not be a server without it.
#[test]
fn an_empty_variable_is_an_error_in_one_wording() {
    let folder = folder();
    for setting in [
        "API_KEYS",
        "AUDIT_LOG",
        "CALLS_PER_SECOND",
        "CONFIG",
        "DEV_TOKEN",
        "JWKS_FILE",
        "JWT_AUDIENCE",
        "JWT_ISSUER",
        "LISTEN",
        "LOG_FORMAT",
        "MOUNT",
        "NO_AUTH",
        "PUBLIC_URL",
        "READ_ONLY",
        "SEAL_KEYS",
        "STATE",
        "TLS_CERT",
        "TRUSTED_PROXIES",
    ] {
        let name = format!("PRESSMARK_{setting}");
        let said = run_in(&["doctor", text(folder.path())], &[(name.as_str(), "")]);
        let told = format!("pressmark: {name} is empty; give it a value, or remove it\n");
        assert_eq!((said.code, said.stdout.as_str(), said.stderr), (Some(2), "", told));
    }
    for (command, name) in [
        (&["keys", "list"][..], "PRESSMARK_API_KEYS"),
        (&["connect", "cursor"], "PRESSMARK_PUBLIC_URL"),
        (&["healthcheck"], "PRESSMARK_LISTEN"),
        (&["healthcheck"], "PRESSMARK_TLS_CERT"),
    ] {
        let said = run_in(command, &[(name, "")]);
        assert!(said.code == Some(2) && said.stderr.contains(&format!("{name} is empty")), "{command:?}: {said:?}");
    }
}
