//! Whatever file of `deploy/` names a setting names one that exists, and the compose file agrees with the others.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::support::server::run_pressmark;
use crate::{deploy, shipped, succeeds, tool};

/// `PRESSMARK_…` stands for all of them.
const ANY: &str = "PRESSMARK_";

#[test]
fn settings_exist() {
    let help = run_pressmark(&["serve", "--help"]);
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    let known: BTreeSet<_> = names(&help).collect();
    assert!(known.contains("PRESSMARK_LISTEN"), "{help}");
    let mut seen = 0;
    for (file, text) in files(&deploy("")) {
        for name in names(&text).filter(|name| *name != ANY) {
            assert!(known.contains(name), "{file} names {name}, which is no setting");
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} settings were found");
}

#[test]
fn the_compose_file_agrees_with_the_others() {
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let text = succeeds(tool("python").args(["-c", script]).arg(deploy("compose/compose.yaml")));
    let compose: Value = serde_json::from_str(&text).expect("JSON");
    let services = &compose["services"];

    let mut mounted = BTreeSet::new();
    for volume in services["nginx"]["volumes"].as_array().expect("a list") {
        let (from, to) = volume.as_str().expect("text").split_once(':').expect("two paths");
        let to = to.trim_end_matches(":ro").strip_prefix("/etc/nginx/").expect("a place of nginx");
        assert!(deploy("compose").join(from).is_file(), "{from} is missing");
        mounted.insert(to.to_owned());
    }
    let wanted = files(&deploy("nginx")).into_iter().filter(|(file, _)| file.ends_with(".conf"));
    let wanted: BTreeSet<_> = wanted.map(|(file, _)| file.split_once("nginx/").expect("below it").1.to_owned()).collect();
    assert_eq!(mounted, wanted, "nginx gets every file of its configuration");

    let replicas = shipped("compose/nginx/replicas.conf");
    for line in replicas.lines() {
        let name = line.strip_prefix("server ").and_then(|line| line.split(':').next()).expect("a server");
        let replica = &services[name];
        assert_eq!(replica["command"][0], "/data", "{name}");
        let key = replica["environment"]["PRESSMARK_JWKS_FILE"].as_str().expect("a file");
        assert_eq!(key, services["identity"]["environment"]["IDENTITY_JWKS"], "the provider's keys");
        let issuer = &replica["environment"]["PRESSMARK_JWT_ISSUER"];
        assert_eq!(*issuer, services["identity"]["environment"]["IDENTITY_ISSUER"]);
        let url = replica["environment"]["PRESSMARK_PUBLIC_URL"].as_str().expect("a URL");
        assert_eq!(services["identity"]["environment"]["IDENTITY_RESOURCE"], format!("{url}/mcp"));
    }
    assert_eq!(replicas.lines().count(), 3);
    assert!(shipped("compose/nginx/server.conf").contains("listen 8080;"));
}

/// Names that begin with `PRESSMARK_`.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(ANY).map(|(at, _)| {
        let rest = &text[at..];
        let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

/// Every file in this folder and below that is text, by its name.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        if entry.file_name() == "node_modules" {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files(&entry.path()));
        } else if let Ok(text) = std::fs::read_to_string(entry.path()) {
            found.push((entry.path().display().to_string(), text));
        }
    }
    found
}
