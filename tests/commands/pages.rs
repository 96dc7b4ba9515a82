//! Help, shell completions and manual pages: generated, so that they say what the program does.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use super::{run, text};

const COMMANDS: [&str; 7] = ["serve", "doctor", "keys", "connect", "healthcheck", "completions", "man"];

#[test]
fn help_tells_every_command_and_option() {
    let help = run(&["--help"]);
    for command in COMMANDS {
        assert!(help.stdout.contains(&format!("\n  {command} ")), "{command}: {}", help.stdout);
        let own = run(&[command, "--help"]);
        assert!(own.code == Some(0) && own.stdout.contains(&format!("Usage: pressmark {command}")), "{own:?}");
    }
    for (arguments, told) in [
        (
            &["doctor", "--help"][..],
            &["--state", "--public-url", "--token-file", "--token-env", "--idle", "--json", "PRESSMARK_STATE"][..],
        ),
        (&["keys", "new", "--help"], &["--api-keys", "--name", "--subject", "--scope", "--expires", "PRESSMARK_API_KEYS"]),
        (&["connect", "--help"], &["claude-desktop", "inspector", "--url", "--token-env", "--api-key-file", "--write", "--path"]),
        (&["healthcheck", "--help"], &["--url", "--listen", "--timeout", "/healthz", "PRESSMARK_LISTEN"]),
    ] {
        let said = run(arguments);
        for told in told {
            assert!(said.stdout.contains(told), "{told}: {}", said.stdout);
        }
    }
    let nothing = run(&["keys"]);
    assert_eq!(nothing.code, Some(2), "{nothing:?}");
}

#[test]
fn completions_are_scripts_of_their_shells() {
    for (shell, marks) in [
        ("bash", ["complete -F _pressmark", "--max-result-bytes"]),
        ("zsh", ["#compdef pressmark", "--max-result-bytes"]),
        ("fish", ["complete -c pressmark", "max-result-bytes"]),
        ("powershell", ["Register-ArgumentCompleter", "--max-result-bytes"]),
        ("elvish", ["edit:completion:arg-completer[pressmark]", "--max-result-bytes"]),
    ] {
        let said = run(&["completions", shell]);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{shell}");
        for mark in marks.into_iter().chain(["revoke", "api-key-file"]) {
            assert!(said.stdout.contains(mark), "{shell} lacks {mark}");
        }
    }
    let wrong = run(&["completions", "dos"]);
    assert_eq!((wrong.code, wrong.stderr.lines().count()), (Some(2), 1), "{wrong:?}");
}

/// bash itself completes with it.
#[test]
fn bash_completes() {
    let script = run(&["completions", "bash"]).stdout;
    let ask = "COMP_WORDS=(pressmark keys re); COMP_CWORD=2; _pressmark pressmark re keys; echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["--norc", "-c", &format!("{script}\n{ask}")]).stdin(Stdio::null()).output();
    assert_eq!(String::from_utf8_lossy(&output.expect("bash").stdout), "revoke\n");
}

#[test]
fn manual_pages_are_there_for_every_command() {
    let main = run(&["man"]);
    assert_eq!(main.code, Some(0));
    assert!(main.stdout.contains(".TH pressmark 1") && main.stdout.contains("pressmark\\-doctor(1)"), "{}", main.stdout);
    let folder = tempfile::tempdir().expect("a folder");
    let said = run(&["man", "--dir", text(folder.path())]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), ""), "{said:?}");
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name().into_string().expect("UTF-8");
    let pages: BTreeSet<_> = std::fs::read_dir(folder.path()).expect("a folder").map(name).collect();
    let mut expected: BTreeSet<_> = COMMANDS.map(|command| format!("pressmark-{command}.1")).into();
    expected.insert("pressmark.1".to_owned());
    expected.extend(["new", "list", "revoke"].map(|command| format!("pressmark-keys-{command}.1")));
    assert_eq!(pages, expected);
    let serve = std::fs::read_to_string(folder.path().join("pressmark-serve.1")).expect("a page");
    assert!(serve.contains("max\\-result\\-bytes") && serve.contains("PRESSMARK_MAX_RESULT_BYTES"), "{serve}");
    let wrong = run(&["man", "--dir", "/no/such/folder"]);
    assert!(wrong.code == Some(1) && wrong.stderr.contains("/no/such/folder"), "{wrong:?}");
}
