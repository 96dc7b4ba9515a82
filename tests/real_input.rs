//! Real input of real size: the sources that cargo has downloaded, and one file of 1 GiB made of them.

mod support;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use support::client::McpClient;
use support::server::Pressmark;

const TOKEN: &str = "a-token-for-tests";
const GIBIBYTE: u64 = 1 << 30;

/// Where cargo unpacks what it downloads.
fn cargo_sources() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"))).expect("CARGO_HOME or HOME");
    let sources = home.join("registry/src");
    assert!(sources.is_dir(), "{} is missing: cargo fills it when it builds this project", sources.display());
    sources
}

/// All text files below `folder` one after the other, again and again, until there is a gibibyte. Gives its hash.
fn compose(folder: &Path, into: &Path) -> blake3::Hash {
    let mut texts = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path)
                && !text.contains('\0')
                && !text.starts_with('\u{feff}')
            {
                texts.push(text);
            }
        }
    }
    assert!(texts.len() > 1_000, "only {} text files: is this cargo's folder?", texts.len());
    let (mut file, mut hasher, mut left) = (BufWriter::new(File::create(into).expect("a file")), blake3::Hasher::new(), GIBIBYTE);
    for text in texts.iter().cycle() {
        let mut cut = text.len().min(usize::try_from(left).expect("64 bits"));
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        file.write_all(&text.as_bytes()[..cut]).expect("room on the disk");
        hasher.update(&text.as_bytes()[..cut]);
        left -= cut as u64;
        // The last character may not fit; a byte or two short of a gibibyte is as good.
        if cut < text.len() {
            break;
        }
    }
    file.flush().expect("room on the disk");
    hasher.finalize()
}

#[tokio::test]
async fn a_gibibyte_is_read_to_its_end_by_cursor() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("all-sources.txt");
    let expected = compose(&cargo_sources(), &file);
    let size = file.metadata().expect("just written").len();
    assert!(size > GIBIBYTE - 4);
    let path = folder.path().to_str().expect("UTF-8");
    let server = Pressmark::start(&[path, "--dev-token", TOKEN, "--max-result-bytes", "2000000"]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));

    let (mut hasher, mut bytes, mut pages) = (blake3::Hasher::new(), 0, 0_u32);
    let mut arguments = json!({"path": "/all-sources.txt"});
    loop {
        let reply = client.call_tool("read_file", arguments).await;
        assert!(!reply.is_tool_error(), "page {pages}: {}", reply.text);
        assert!(reply.text.len() <= 2_000_000, "page {pages} has {} bytes", reply.text.len());
        let text = reply.content(0);
        hasher.update(text.as_bytes());
        bytes += text.len() as u64;
        pages += 1;
        match reply.structured()["next_cursor"].as_str() {
            Some(cursor) => arguments = json!({"cursor": cursor}),
            None => break,
        }
    }
    assert_eq!(bytes, size, "after {pages} pages");
    assert_eq!(hasher.finalize(), expected, "the bytes are the file's");
}
