//! Calls the tools as a server would, and puts the pages of an answer together.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pressmark::auth::{Principal, ScopeSet};
use pressmark::call::{Caller, Content, Lanes, Reports, ToolError};
use pressmark::files::{MountSpec, Tree};
use pressmark::state::{Cursors, MemoryState};
use pressmark::tools::{FindFiles, ListDirectory, SearchText, ToolRegistry, ToolResult};
use serde_json::{Value, json};

pub(crate) const BUDGET: usize = 40_000;

/// The crates that cargo has downloaded: thousands of real files.
pub(crate) fn crates() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let sources = home.expect("a home directory").join("registry/src");
    let mut indexes = std::fs::read_dir(&sources)
        .unwrap_or_else(|error| panic!("{} holds no downloaded crates ({error}); run `cargo fetch`", sources.display()));
    indexes.next().expect("run `cargo fetch`: no crates have been downloaded").expect("readable").path()
}

pub(crate) struct Server {
    tools: ToolRegistry,
    principal: Arc<Principal>,
    budget: usize,
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) text: String,
    pub(crate) structured: Value,
}

impl Server {
    pub(crate) fn new(root: &Path) -> Self {
        Self::with(root, BUDGET, 2)
    }

    pub(crate) fn with(root: &Path, budget: usize, cpu_width: usize) -> Self {
        Self::of(vec![mount(None, root)], budget, cpu_width)
    }

    pub(crate) fn of(mounts: Vec<MountSpec>, budget: usize, cpu_width: usize) -> Self {
        let tree = Arc::new(Tree::open(mounts).expect("a tree"));
        let cursors = Cursors::new(Arc::new(MemoryState::default()), Duration::from_secs(60));
        let lanes = Arc::new(Lanes::new(cpu_width, 0));
        let tools = ToolRegistry::new(lanes, budget, Duration::from_secs(600))
            .with(ListDirectory::new(Arc::clone(&tree), cursors.clone()))
            .with(FindFiles::new(Arc::clone(&tree), cursors.clone()))
            .with(SearchText::new(tree, cursors));
        Self { tools, principal: principal("agent", "files"), budget }
    }

    /// The same server, called by somebody else.
    pub(crate) fn called_by(mut self, principal: Arc<Principal>) -> Self {
        self.principal = principal;
        self
    }

    pub(crate) fn set_caller(&mut self, principal: Arc<Principal>) {
        self.principal = principal;
    }

    pub(crate) async fn call(&self, tool: &str, args: Value) -> Result<Page, ToolError> {
        self.call_reporting(tool, args, Reports::default()).await
    }

    pub(crate) async fn call_reporting(&self, tool: &str, args: Value, reports: Reports) -> Result<Page, ToolError> {
        let args = serde_json::value::to_raw_value(&args).expect("JSON");
        let call = self.tools.authorize(&self.principal, tool, Some(args.get())).expect("allowed");
        let ToolResult { content, structured, error } = {
            let caller = Caller { reports, ..Caller::new(Arc::clone(&self.principal)) };
            call.run(caller).await.done().expect("nothing is asked")?
        };
        assert_eq!(error, None);
        let bytes = serde_json::to_vec(&json!({ "content": content, "structuredContent": structured })).expect("JSON").len();
        assert!(bytes + 300 <= self.budget, "{bytes} bytes in a result of {tool} {args}");
        let [Content::Text { text }] = &content[..] else { panic!("one block of text: {content:?}") };
        let structured = serde_json::from_str(structured.expect("a structured result").get()).expect("JSON");
        Ok(Page { text: text.to_string(), structured })
    }

    /// All pages of an answer. Every cursor is used twice and must give the same page twice.
    pub(crate) async fn pages(&self, tool: &str, args: Value) -> Vec<Page> {
        let mut pages = vec![self.call(tool, args).await.expect("a page")];
        while let Some(cursor) = pages.last().expect("a page").structured.get("next_cursor") {
            let args = json!({ "cursor": cursor });
            let page = self.call(tool, args.clone()).await.expect("a page");
            if pages.len() < 4 {
                assert_same(&page, &self.call(tool, args).await.expect("the page again"));
            }
            assert!(page.text.contains("there is more") == page.structured.get("next_cursor").is_some());
            pages.push(page);
            assert!(pages.len() < 5000, "the pages have no end");
        }
        pages
    }

    /// The paths of all pages.
    pub(crate) async fn paths(&self, tool: &str, args: Value) -> Vec<String> {
        let list = if tool == "search_text" { "files" } else { "entries" };
        let pages = self.pages(tool, args).await;
        let entries = pages.iter().flat_map(|page| page.structured[list].as_array().expect("a list"));
        entries.map(|entry| entry["path"].as_str().expect("a path").to_owned()).collect()
    }
}

pub(crate) fn mount(name: Option<&str>, directory: &Path) -> MountSpec {
    MountSpec { name: name.map(str::to_owned), directory: directory.to_owned(), writable: false }
}

pub(crate) fn principal(subject: &str, scopes: &str) -> Arc<Principal> {
    let scopes = ScopeSet::parse(scopes.split(' '));
    Arc::new(Principal::new("test", subject, scopes))
}

/// Equal but for the handle of the next cursor.
fn assert_same(one: &Page, other: &Page) {
    let list = |page: &Page| (page.structured.get("files").cloned(), page.structured.get("entries").cloned());
    assert_eq!(list(one), list(other));
    assert_eq!(one.structured.get("next_cursor").is_some(), other.structured.get("next_cursor").is_some());
}

/// Writes files into a folder, making folders on the way. A path that ends with a slash is an empty folder.
pub(crate) fn write_all(root: &Path, files: &[(&str, &str)]) {
    for (path, content) in files {
        let at = root.join(path);
        if path.ends_with('/') {
            std::fs::create_dir_all(at).expect("a folder");
        } else {
            std::fs::create_dir_all(at.parent().expect("a parent")).expect("a folder");
            std::fs::write(at, content).expect("a file");
        }
    }
}
