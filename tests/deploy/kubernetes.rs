//! `deploy/kubernetes`: the overlays and the chart are built, and held to the schemas of three versions and to checkov.

use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;

use crate::{deploy, said, succeeds, tool};

/// The newest that kubernetes-validate carries.
const VERSIONS: [&str; 3] = ["1.35", "1.36", "1.37"];
/// `deploy/kubernetes/README.md` says why these findings stay.
const EXPLAINED: &str = "CKV_K8S_43,CKV_K8S_15";
/// Custom resources, of which the schemas know nothing.
const UNKNOWN: [&str; 2] = ["kind ServiceMonitor", "kind HTTPRoute"];

#[test]
fn manifests_are_sound() {
    let folder = tempfile::tempdir().expect("a folder");
    let everything = json!({
        "gateway": {"enabled": true}, "monitoring": {"enabled": true}, "files": {"readOnly": true, "existingClaim": "there"},
        "tls": {"secretName": "pod-tls"},
        "settings": {"max-request-bytes": 4_194_304, "jwt-issuer": "https://login.example.com"},
    });
    let files = [
        write(&folder, "dev.yaml", &kustomized("overlays/dev")),
        write(&folder, "production.yaml", &kustomized("overlays/production")),
        write(&folder, "chart.yaml", &rendered(&json!({}))),
        write(&folder, "chart-with-everything.yaml", &rendered(&everything)),
    ];
    for version in VERSIONS {
        let output = tool("kubernetes-validate").args(["--strict", "-k", version]).args(&files).output().expect("it starts");
        let text = said(&output);
        assert!(output.status.success() && text.contains("passed for resource deployment/pressmark"), "{version}: {text}");
        let warnings = text.lines().filter(|line| line.starts_with("WARN"));
        let surprising: Vec<_> = warnings.filter(|line| !UNKNOWN.iter().any(|kind| line.contains(kind))).collect();
        assert!(surprising.is_empty(), "{version}: {surprising:?}");
    }
    let mut checkov = tool("checkov");
    checkov.args(["--skip-download", "--quiet", "--compact", "--framework", "kubernetes", "--skip-check", EXPLAINED]);
    for file in &files {
        checkov.arg("-f").arg(file);
    }
    succeeds(&mut checkov);
}

/// The overlay of production has no secret in it, and what the probes and the end of a pod need.
#[test]
fn production_is_as_its_readme_says() {
    let manifests = kustomized("overlays/production");
    assert!(!manifests.contains("kind: Secret\n"), "the secret is made by hand");
    for needed in [
        "terminationGracePeriodSeconds: 40",
        "seconds: 5",
        "path: /readyz",
        "path: /healthz",
        "- ReadWriteMany",
        "kind: Ingress",
        "kind: ServiceMonitor",
        "kind: HorizontalPodAutoscaler",
        "kind: PodDisruptionBudget",
        "kind: NetworkPolicy",
    ] {
        assert!(manifests.contains(needed), "{needed}");
    }
    let chart = rendered(&json!({}));
    for line in manifests.lines().filter(|line| line.contains("nginx.ingress.kubernetes.io/")) {
        let name = line.trim().split(':').next().expect("a name");
        assert!(chart.contains(name), "the chart's Ingress lacks {name}");
    }
}

/// With a certificate every part that speaks to the pods has to know of it.
#[test]
fn tls_up_to_the_pod_is_all_or_nothing() {
    let plain = rendered(&json!({}));
    assert!(!plain.contains("HTTPS") && !plain.contains("PRESSMARK_TLS"), "{plain}");
    let tls = rendered(&json!({"tls": {"secretName": "pod-tls"}}));
    assert_eq!(tls.matches("scheme: HTTPS").count(), 3, "{tls}");
    for needed in [
        "PRESSMARK_TLS_CERT: /etc/pressmark-tls/tls.crt",
        "PRESSMARK_TLS_KEY: /etc/pressmark-tls/tls.key",
        "mountPath: /etc/pressmark-tls",
        "secretName: pod-tls",
        "appProtocol: https",
        "backend-protocol: HTTPS",
    ] {
        assert!(tls.contains(needed), "{needed}: {tls}");
    }
}

#[test]
fn the_chart_refuses_values_that_it_does_not_know() {
    for (values, problem) in [
        (json!({"publicURL": "https://mcp.example.com"}), "publicURL"),
        (json!({"image": {"repository": "r", "digest": "sha256:short"}}), "digest"),
        (json!({"settings": {"dev-token": "a-secret-that-would-be-read"}}), "dev-token"),
    ] {
        let output = chart(&values).output().expect("python starts");
        assert!(!output.status.success() && said(&output).contains(problem), "{values}: {}", said(&output));
    }
}

fn kustomized(folder: &str) -> String {
    succeeds(tool("kubectl").arg("kustomize").arg(deploy("kubernetes").join(folder)))
}

fn rendered(values: &serde_json::Value) -> String {
    succeeds(&mut chart(values))
}

fn chart(values: &serde_json::Value) -> std::process::Command {
    let mut command = tool("python");
    command.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/render_chart.py"));
    command.arg(deploy("kubernetes/chart")).arg(values.to_string());
    command
}

fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("a file");
    path
}
