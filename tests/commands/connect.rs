//! `pressmark connect`.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::client::McpClient;
use super::support::server::Pressmark;
use super::{Said, folder, rights, run_in, text};

/// Where a user's files lie.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().expect("a temporary folder"));
        std::fs::write(home.path("key"), "pm_0123456789\n").expect("a file");
        home
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).expect(file)
    }

    fn write(&self, file: &str, content: &str) {
        let path = self.path(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }

    fn connect(&self, arguments: &[&str]) -> Said {
        self.connect_in(arguments, &[])
    }

    fn connect_in(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
        // What a developer has set must not lead a test to real files.
        let mut all = vec![("HOME", text(self.0.path()))];
        all.extend(["XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME", "MCP_CATALOG_PATH"].map(|name| (name, "")));
        all.extend(environment);
        run_in(&[&["connect"], arguments].concat(), &all)
    }

    fn backups(&self, file: &str) -> Vec<PathBuf> {
        let path = self.path(file);
        let start = format!("{}.bak-", path.file_name().expect("a name").to_str().expect("UTF-8"));
        let entries = std::fs::read_dir(path.parent().expect("a folder")).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").path());
        names.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start))).collect()
    }
}

fn json_of(said: &Said) -> Value {
    assert_eq!(said.code, Some(0), "{said:?}");
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// The clients with files in JSON, the place of each, and the key of its servers.
const JSON_CLIENTS: [(&str, &str, &str); 5] = [
    ("claude-desktop", ".config/Claude/claude_desktop_config.json", "mcpServers"),
    ("claude-code", ".claude.json", "mcpServers"),
    ("cursor", ".cursor/mcp.json", "mcpServers"),
    ("vscode", ".config/Code/User/mcp.json", "servers"),
    ("inspector", ".mcp-inspector/mcp.json", "mcpServers"),
];

#[test]
fn every_client_is_told_in_its_own_form() {
    let home = Home::new();
    let said = |client: &str| {
        let arguments = [client, "--url", "https://mcp.example.com", "--name", "docs", "--token-env", "DOCS_TOKEN"];
        home.connect_in(&arguments, &[("DOCS_TOKEN", "pm_abc")])
    };
    let url = "https://mcp.example.com/mcp";
    let header = |value: &str| json!({ "Authorization": format!("Bearer {value}") });
    assert_eq!(
        json_of(&said("claude-desktop")),
        json!({"mcpServers": {"docs": {
            "command": "npx", "args": ["-y", "mcp-remote", url, "--header", "Authorization:${AUTH}"], "env": {"AUTH": "Bearer pm_abc"},
        }}})
    );
    assert_eq!(
        json_of(&said("claude-code")),
        json!({"mcpServers": {"docs": {"type": "http", "url": url, "headers": header("${DOCS_TOKEN}")}}})
    );
    assert_eq!(json_of(&said("cursor")), json!({"mcpServers": {"docs": {"url": url, "headers": header("${env:DOCS_TOKEN}")}}}));
    assert_eq!(
        json_of(&said("vscode")),
        json!({
            "servers": {"docs": {"type": "http", "url": url, "headers": header("${input:docs-token}")}},
            "inputs": [{"type": "promptString", "id": "docs-token", "description": "Token for docs, as in DOCS_TOKEN", "password": true}],
        })
    );
    assert_eq!(
        json_of(&said("inspector")),
        json!({"mcpServers": {"docs": {"type": "http", "url": url, "protocolEra": "auto", "headers": header("pm_abc")}}})
    );
    assert_eq!(
        said("codex").stdout,
        "[mcp_servers.docs]\nurl = \"https://mcp.example.com/mcp\"\nbearer_token_env_var = \"DOCS_TOKEN\"\n"
    );
    for (client, place, _) in JSON_CLIENTS {
        assert!(said(client).stderr.contains(text(&home.path(place))) || cfg!(target_os = "macos"), "{:?}", said(client));
        assert!(!said(client).stderr.contains("pm_abc"));
    }
    assert!(!home.path(".cursor").exists(), "printing writes nothing");
}

/// The client may be started elsewhere, so that it is a note and no error.
#[test]
fn a_variable_that_is_not_set_here_is_told() {
    let home = Home::new();
    for client in ["claude-code", "cursor", "codex"] {
        let said = |value: Option<&str>| {
            let environment: Vec<_> = value.map(|value| ("TOKEN_OF_A_CLIENT", value)).into_iter().collect();
            let said = home.connect_in(&[client, "--token-env", "TOKEN_OF_A_CLIENT"], &environment);
            assert!(said.code == Some(0) && said.stdout.contains("TOKEN_OF_A_CLIENT"), "{said:?}");
            said.stderr
        };
        let needed = "note: the client reads the token from $TOKEN_OF_A_CLIENT: set it where the client is started";
        assert!(said(None).contains(&format!("{needed}; here the variable is not set\n")), "{client}: {}", said(None));
        assert!(said(Some("")).contains(&format!("{needed}; here it is empty\n")), "{client}: {}", said(Some("")));
        assert!(said(Some("pm_abc")).contains(&format!("{needed}\n")), "{client}: {}", said(Some("pm_abc")));
    }
}

#[test]
fn a_key_from_a_file_is_written_where_a_client_wants_it() {
    let home = Home::new();
    let key = home.path("key");
    let said = |client: &str| home.connect(&[client, "--api-key-file", text(&key)]);
    for (client, _, servers) in JSON_CLIENTS {
        let told = json_of(&said(client));
        let entry = &told[servers]["pressmark"];
        let sent = if client == "claude-desktop" { &entry["env"]["AUTH"] } else { &entry["headers"]["Authorization"] };
        assert_eq!(sent, "Bearer pm_0123456789", "{client}");
        assert!(said(client).stderr.contains("do not share the file"));
    }
    assert!(said("codex").stdout.contains("http_headers = { Authorization = \"Bearer pm_0123456789\" }\n"));
    // Where the client gets a token itself, the URL is all.
    assert_eq!(json_of(&home.connect(&["cursor"])), json!({"mcpServers": {"pressmark": {"url": "http://127.0.0.1:8080/mcp"}}}));
    let desktop = json_of(&home.connect(&["claude-desktop", "--url", "http://files.internal:8080/"]));
    let arguments = &desktop["mcpServers"]["pressmark"]["args"];
    assert_eq!(arguments, &json!(["-y", "mcp-remote", "http://files.internal:8080/mcp", "--allow-http"]));
}

#[test]
fn writing_keeps_everything_else() {
    let home = Home::new();
    let key = home.path("key");
    for (client, place, servers) in JSON_CLIENTS {
        let before = format!(
            "{{\n\t\"zebra\": 1.50,\n\t\"{servers}\": {{\n\t\t\"other\": {{\"command\": \"x\", \"args\": [\"}}\"]}}\n\t}},\n\t\"apple\": \"ä\"\n}}\n"
        );
        home.write(place, &before);
        std::fs::set_permissions(home.path(place), std::fs::Permissions::from_mode(0o640)).expect("rights");
        let write = || home.connect(&[client, "--write", "--api-key-file", text(&key)]);
        let said = write();
        assert_eq!((said.code, said.stdout.as_str()), (Some(0), ""), "{said:?}");
        let after = home.read(place);
        let start = &before[..before.find("\n\t},").expect("an end")];
        assert!(after.starts_with(&format!("{start},\n\t\t\"pressmark\": {{")), "{after}");
        assert!(after.ends_with("\n\t},\n\t\"apple\": \"ä\"\n}\n"), "{after}");
        assert_eq!(rights(&home.path(place)), 0o640, "rights stay");
        assert!(said.stderr.contains("other users of this machine can read it"), "{said:?}");
        let [backup] = &home.backups(place)[..] else { panic!("one copy: {:?}", home.backups(place)) };
        assert_eq!((std::fs::read_to_string(backup).expect("a copy"), rights(backup)), (before.clone(), 0o640));
        assert!(said.stderr.contains(text(backup)), "{said:?}");

        let again = write();
        assert!(again.code == Some(0) && again.stderr.contains("already; nothing was changed"), "{again:?}");
        assert_eq!((home.read(place), home.backups(place).len()), (after, 1), "a second time changes nothing");

        let moved = home.connect(&[client, "--write", "--url", "https://mcp.example.com"]);
        assert_eq!(moved.code, Some(0), "{moved:?}");
        let value: Value = serde_json::from_str(&home.read(place)).expect("JSON");
        assert!(value[servers]["pressmark"].to_string().contains("https://mcp.example.com/mcp"), "{value}");
        assert!(!value.to_string().contains("pm_0123456789"), "the old entry is replaced whole: {value}");
        assert_eq!((&value[servers]["other"]["command"], home.backups(place).len()), (&json!("x"), 2));
    }
}

#[test]
fn comments_in_toml_stay() {
    let home = Home::new();
    let before = "# mine\nmodel = \"o\" # the best\n\n[mcp_servers.other] # keep\ncommand = \"x\"\n\n[tui]\ntheme = 'dark'\n";
    home.write(".codex/config.toml", before);
    let write = |variable: &str| home.connect(&["codex", "--write", "--token-env", variable]);
    assert_eq!(write("ONE").code, Some(0));
    let after = home.read(".codex/config.toml");
    for line in before.lines() {
        assert!(after.contains(line), "{line} is gone: {after}");
    }
    let value: toml::Table = after.parse().expect("TOML");
    assert_eq!(value["mcp_servers"]["pressmark"]["bearer_token_env_var"].as_str(), Some("ONE"));
    assert_eq!(value["mcp_servers"]["pressmark"]["url"].as_str(), Some("http://127.0.0.1:8080/mcp"));
    assert!(write("ONE").stderr.contains("nothing was changed") && home.read(".codex/config.toml") == after);
    assert_eq!(write("TWO").code, Some(0));
    assert_eq!(home.read(".codex/config.toml"), after.replace("ONE", "TWO"), "replaced where it stood");
    assert_eq!(home.backups(".codex/config.toml").len(), 2);
    for (broken, told) in [("a = \n", "line 1 is not TOML"), ("mcp_servers = 1\n", "mcp_servers is no table")] {
        home.write(".codex/config.toml", broken);
        let said = write("ONE");
        assert!(said.code == Some(1) && said.stderr.contains(told) && said.stderr.contains("nothing was changed"), "{said:?}");
        assert_eq!(home.read(".codex/config.toml"), broken);
    }
}

#[test]
fn what_would_be_lost_is_refused() {
    let home = Home::new();
    for text in ["// my servers\n{\"servers\": {}}", "{\"servers\": {\"a\": {},}}", "{\"servers\": []}", "[]", "{"] {
        home.write(".config/Code/User/mcp.json", text);
        let said = home.connect(&["vscode", "--write"]);
        assert_eq!((said.code, said.stderr.lines().count()), (Some(1), 1), "{said:?}");
        assert!(said.stderr.contains("nothing was changed"), "{said:?}");
        assert_eq!(home.read(".config/Code/User/mcp.json"), text);
    }
    assert!(home.backups(".config/Code/User/mcp.json").is_empty());
    let commented = home.connect(&["vscode", "--write", "--path", text(&home.path(".config/Code/User/mcp.json"))]);
    assert!(commented.stderr.contains("not plain JSON"), "{commented:?}");
}

#[test]
fn a_new_file_is_its_owners_alone_and_links_stay() {
    let home = Home::new();
    let key = home.path("key");
    assert_eq!(home.connect(&["cursor", "--write", "--api-key-file", text(&key)]).code, Some(0));
    assert_eq!((rights(&home.path(".cursor/mcp.json")), home.backups(".cursor/mcp.json").len()), (0o600, 0));
    home.write("dotfiles/claude.json", "");
    symlink("dotfiles/claude.json", home.path(".claude.json")).expect("a link");
    assert_eq!(home.connect(&["claude-code", "--write"]).code, Some(0));
    assert!(home.path(".claude.json").is_symlink() && home.read("dotfiles/claude.json").contains("\"type\": \"http\""));
    let project = home.path("project/.mcp.json");
    assert_eq!(home.connect(&["claude-code", "--write", "--path", text(&project)]).code, Some(0));
    assert!(project.exists());
    let elsewhere = home.path("elsewhere");
    let said = home.connect_in(&["codex", "--write"], &[("CODEX_HOME", text(&elsewhere))]);
    assert!(said.code == Some(0) && elsewhere.join("config.toml").exists(), "{said:?}");
}

#[test]
fn wrong_arguments_are_told_and_no_secret_with_them() {
    let home = Home::new();
    home.write("two", "hunter2 hunter3\n");
    let two = home.path("two");
    for (arguments, told) in [
        (vec!["emacs"], "emacs"),
        (vec!["cursor", "--url", "mcp.example.com"], "--url: write it like https://"),
        (vec!["cursor", "--url", "https://user:hunter2@mcp.example.com"], "credentials do not belong in it"),
        (vec!["cursor", "--name", "a b"], "--name: 'a b'"),
        (vec!["cursor", "--token-env", "hunter2.x"], "the name of a variable"),
        (vec!["cursor", "--token-env", "A", "--api-key-file", "b"], "--token-env"),
        (vec!["cursor", "--path", "x"], "--write"),
        (vec!["cursor", "--api-key-file", "/no/such/file"], "--api-key-file /no/such/file"),
        (vec!["cursor", "--api-key-file", text(&two)], "holds something else than one token"),
        (vec!["claude-desktop", "--token-env", "NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE: the variable is not set"),
    ] {
        let said = home.connect(&arguments);
        assert_eq!((said.code, said.stdout.as_str(), said.stderr.lines().count()), (Some(2), "", 1), "{arguments:?}: {said:?}");
        assert!(said.stderr.contains(told), "{told}: {said:?}");
        assert!(!said.stderr.contains("hunter"), "{said:?}");
    }
}

/// What is printed works: its URL and its header lead to an answer.
#[tokio::test]
async fn what_a_client_is_told_lets_it_in() {
    let (home, folder) = (Home::new(), folder());
    let server = Pressmark::start(&[text(folder.path()), "--dev-token", "a-token-for-connect"]);
    home.write("token", "a-token-for-connect\n");
    let said = home.connect(&["cursor", "--url", &server.url(), "--api-key-file", text(&home.path("token"))]);
    let entry = json_of(&said)["mcpServers"]["pressmark"].clone();
    let token = entry["headers"]["Authorization"].as_str().and_then(|value| value.strip_prefix("Bearer ")).expect("a header");
    let base = entry["url"].as_str().and_then(|url| url.strip_suffix("/mcp")).expect("a URL");
    let reply = McpClient::modern(base, Some(token)).call_tool("read_file", json!({"path": "/hello.txt"})).await;
    assert_eq!(reply.content(0), "hello\n");
}
