//! The Dockerfiles, by hadolint; no container engine is asked for.

use std::path::Path;

use crate::{deploy, succeeds, tool};

#[test]
fn dockerfiles_are_clean() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = [root.join("Dockerfile"), deploy("identity/Dockerfile"), deploy("cloudflare/Dockerfile")];
    succeeds(tool("hadolint").args(files));
}

/// On nothing, as a number, without a shell, and healthy by its own word.
#[test]
fn the_image_holds_the_program_alone() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile")).expect("a file");
    let (_, last) = text.split_once("\nFROM scratch\n").expect("the last stage is on nothing");
    for line in ["COPY --from=build /image/ /", "USER 65532:65532", r#"ENTRYPOINT ["/usr/local/bin/pressmark", "serve"]"#] {
        assert!(last.lines().any(|found| found == line), "{line}");
    }
    assert!(last.contains(r#"CMD ["/usr/local/bin/pressmark", "healthcheck"]"#) && last.contains("org.opencontainers.image."));
    assert!(!last.lines().any(|line| line.starts_with("RUN")), "there is no shell to run anything");
    let version = format!("ARG VERSION={}", env!("CARGO_PKG_VERSION"));
    assert!(last.contains(&version), "{version}");
}
