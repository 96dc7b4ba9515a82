//! The composition root: builds every part from the configuration, and holds the one list of tools and the one of prompts.

use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::net::TcpListener;
use url::Url;

use crate::auth::{AuthConfig, AuthSetupError, Authenticator, KeySource, RefreshPolicy};
use crate::call::Lanes;
use crate::changes::Notifier;
use crate::config::{AuthSettings, Config, StateConfig};
use crate::files::{Changes, Touched, Tree, TreeError};
use crate::http::{self, HttpOptions, Origins, ProtectedResource, Readiness, Shutdown, ShutdownTrigger};
use crate::mcp::legacy::SessionLimits;
use crate::mcp::{Features, RequestStates, ServerInfo, Tasks, read_sealing_keys};
use crate::path::TreePath;
use crate::prompts::{AnswerFromFiles, Prompt, PromptRegistry, ReviewChanges, SummarizeFolder};
use crate::resources::{ResourceProvider, ResourceRegistry, TreeResources};
use crate::state::{Cursors, MemoryState, RedisState, SharedState, StateError};
use crate::tools::{
    CopyFile, CreateDirectory, DeleteFile, EditFile, FindFiles, GetFileInfo, ListDirectory, MoveFile, ReadFile, SearchText, Tool,
    ToolRegistry, WriteFile,
};

/// How long calls under way may go on after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(25);
/// Calls that may wait for a place in the CPU lane, for each place in it.
const CPU_QUEUE_PER_CORE: usize = 32;

const INSTRUCTIONS: &str = "Files of a shared tree, by paths that start with /. Begin with list_directory or find_files to see \
what is there; search_text finds text in files; read_file shows one. A result that ends with a next_cursor has more: call the \
same tool again with that cursor alone. To change a file, read it first and pass its version as if_match: then nothing that \
somebody else wrote in between is lost.";

/// A server in the making.
pub struct App {
    config: Config,
    tree: Arc<Tree>,
    state: Arc<dyn SharedState>,
    request_states: RequestStates,
    features: Features,
}

/// A server that listens and waits to be run.
pub struct BoundApp {
    listener: TcpListener,
    server: http::Server,
    stopping: ShutdownTrigger,
    shutdown: Shutdown,
    tasks: Tasks,
    url: Url,
    banner: String,
}

/// Why a server cannot start: one line.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A folder cannot be mounted.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The shared state cannot be reached.
    #[error(transparent)]
    State(#[from] StateError),
    /// Authentication cannot be set up.
    #[error(transparent)]
    Auth(#[from] AuthSetupError),
    /// Callers could change who is let in.
    #[error(
        "the key file {} lies in a writable mount ({mount}): callers could change it and let anybody in; \
         move it out of the served folder, or serve with --read-only",
        file.display()
    )]
    KeysInReach {
        /// Which file.
        file: PathBuf,
        /// Where in the tree its mount is.
        mount: TreePath,
    },
    /// The sealing keys cannot be used.
    #[error("--seal-keys {}: {problem}", file.display())]
    SealKeys {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it, without quoting it.
        problem: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another with --listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

impl App {
    /// Opens the mounts, connects to the shared state and registers the tools and prompts on files.
    ///
    /// # Errors
    /// [`AppError`] for the first part that cannot be built.
    pub async fn new(config: Config) -> Result<Self, AppError> {
        let tree = Arc::new(Tree::open(config.mounts.clone())?);
        keep_keys_out_of_reach(&tree, &config.auth)?;
        let state: Arc<dyn SharedState> = match &config.state {
            StateConfig::Memory => Arc::new(MemoryState::new()),
            StateConfig::Redis(url) => Arc::new(RedisState::connect(url).await?),
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let lanes = Arc::new(Lanes::new(cores, cores * CPU_QUEUE_PER_CORE));
        let cursors = Cursors::new(Arc::clone(&state), config.cursor_ttl);
        let (max_result_bytes, timeout) = (config.max_result_bytes, config.request_timeout);
        let tools = ToolRegistry::new(Arc::clone(&lanes), max_result_bytes, timeout)
            .with(ListDirectory::new(Arc::clone(&tree), cursors.clone()))
            .with(FindFiles::new(Arc::clone(&tree), cursors.clone()))
            .with(SearchText::new(Arc::clone(&tree), cursors.clone()))
            .with(ReadFile::new(Arc::clone(&tree), cursors))
            .with(GetFileInfo::new(Arc::clone(&tree)))
            .with(WriteFile::new(Arc::clone(&tree)))
            .with(EditFile::new(Arc::clone(&tree)))
            .with(CreateDirectory::new(Arc::clone(&tree)))
            .with(MoveFile::new(Arc::clone(&tree)))
            .with(CopyFile::new(Arc::clone(&tree)))
            .with(DeleteFile::new(Arc::clone(&tree)));
        let prompts = PromptRegistry::new(Arc::clone(&lanes), max_result_bytes, timeout)
            .with(SummarizeFolder::new(Arc::clone(&tree)))
            .with(ReviewChanges::new(Arc::clone(&tree)))
            .with(AnswerFromFiles::new(Arc::clone(&tree)));
        let notifier = Notifier::start(Arc::clone(&state));
        let changes = file_changes(&tree, &notifier);
        let resources =
            ResourceRegistry::new(lanes, max_result_bytes, timeout).with(TreeResources::new(Arc::clone(&tree), changes));
        let request_states = request_states(config.seal_keys.as_deref(), &tree)?;
        let features = Features { tools, prompts, resources, notifier };
        Ok(Self { config, tree, state, request_states, features })
    }

    /// Adds a tool of your own, after those on files.
    ///
    /// # Panics
    /// When a tool of that name is there already.
    #[must_use]
    pub fn with<T: Tool>(mut self, tool: T) -> Self {
        self.features.tools = self.features.tools.with(tool);
        self
    }

    /// Tells clients that tools, prompts or resources of your own have changed.
    #[must_use]
    pub fn notifier(&self) -> Notifier {
        self.features.notifier.clone()
    }

    /// Adds a prompt of your own, after those on files.
    ///
    /// # Panics
    /// When a prompt of that name is there already.
    #[must_use]
    pub fn with_prompt<P: Prompt>(mut self, prompt: P) -> Self {
        self.features.prompts = self.features.prompts.with(prompt);
        self
    }

    /// Adds resources of your own.
    ///
    /// # Panics
    /// When their prefix is taken already.
    #[must_use]
    pub fn with_resources<P: ResourceProvider>(mut self, provider: P) -> Self {
        self.features.resources = self.features.resources.with(provider);
        self
    }

    /// Listens, and sets up authentication: from here on the address is known.
    ///
    /// # Errors
    /// [`AppError`] when the address is taken, or keys cannot be read.
    pub async fn bind(self) -> Result<BoundApp, AppError> {
        let address = self.config.listen;
        let listen_error = |source| AppError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen_error)?;
        let local = listener.local_addr().map_err(listen_error)?;
        let base = self.config.public_url.clone().unwrap_or_else(|| address_url(local));
        let url = endpoint_url(&base);

        let auth = auth_config(&self.config.auth, &url);
        let banner = self.banner(&url, &auth);
        let resource = ProtectedResource::new(base.as_str(), auth.jwt.as_ref().and_then(|jwt| jwt.issuer.as_deref()));
        let loopback = local.ip().is_loopback();
        let authenticator = Arc::new(Authenticator::start(auth).await?);
        let (stopping, shutdown) = Shutdown::new();
        let info = server_info(&self.features);
        let features = Arc::new(self.features);
        let tasks = Tasks::new(Arc::clone(&features), Arc::clone(&self.state), self.config.task_ttl);
        let options = HttpOptions {
            info,
            request_states: self.request_states,
            tasks: tasks.clone(),
            authenticator: Arc::clone(&authenticator),
            resource,
            origins: Origins::new(self.config.allow_origin.iter().chain([&base]), loopback),
            readiness: Readiness { state: self.state, tree: self.tree, authenticator },
            shutdown: shutdown.clone(),
            sessions: SessionLimits { ttl: self.config.session_ttl, per_principal: self.config.max_sessions },
            max_stream_age: self.config.max_stream_age,
            max_request_bytes: self.config.max_request_bytes,
            body_timeout: self.config.request_timeout,
        };
        Ok(BoundApp { listener, server: http::router(features, options), stopping, shutdown, tasks, url, banner })
    }

    fn banner(&self, url: &Url, auth: &AuthConfig) -> String {
        let mut text = format!("Pressmark {}: {url}\n", env!("CARGO_PKG_VERSION"));
        for mount in self.tree.mounts() {
            let access = if mount.is_writable() { "writable" } else { "read-only" };
            let _ = writeln!(text, "  files    {} is {} ({access})", mount.path(), mount.directory().display());
        }
        let state = match &self.config.state {
            StateConfig::Memory => "memory, for one replica; several share --state redis://…".to_owned(),
            StateConfig::Redis(url) => url.to_string(),
        };
        let _ = writeln!(text, "  state    {state}");
        if self.config.seal_keys.is_none() && matches!(self.config.state, StateConfig::Redis(_)) {
            let next = "a call that asks its user must come back to this replica; several share --seal-keys FILE";
            let _ = writeln!(text, "  seal     a key of its own: {next}");
        }
        let _ = writeln!(text, "  callers  {}", callers(auth));
        let _ = write!(text, "\nClient configuration:\n{}", client_configuration(url, auth));
        text
    }
}

impl BoundApp {
    /// The URL of the MCP endpoint, as clients reach it.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// What a person should know at the start: a few lines, with a client configuration to copy.
    #[must_use]
    pub fn banner(&self) -> &str {
        &self.banner
    }

    /// The whole server as a service, without its socket: for tests, and for fuzzing. Streams end when `self` is dropped.
    #[must_use]
    pub fn server(&self) -> http::Server {
        self.server.clone()
    }

    /// Serves until `stop` is ready; then finishes the calls under way, within a limit of 25 s. Tasks whose calls may be
    /// repeated are left to other replicas at once.
    pub async fn serve(mut self, stop: impl Future<Output = ()>) {
        let stop = async {
            stop.await;
            self.stopping.begin();
        };
        let tasks = async {
            self.shutdown.begun().await;
            self.tasks.stop(DRAIN).await;
        };
        let (left, ()) = tokio::join!(http::serve(self.listener, self.server, stop, DRAIN), tasks);
        if left > 0 {
            tracing::warn!(connections = left, "stopped before every call was finished");
        }
    }
}

fn keep_keys_out_of_reach(tree: &Tree, auth: &AuthSettings) -> Result<(), AppError> {
    let key_set = match auth.jwt.as_ref().map(|jwt| &jwt.keys) {
        Some(KeySource::File(file)) => Some(file),
        Some(KeySource::Url(_) | KeySource::Discovery) | None => None,
    };
    for file in auth.api_keys.iter().chain(key_set) {
        if let Some(mount) = tree.mount_with(file).filter(|mount| mount.is_writable()) {
            return Err(AppError::KeysInReach { file: file.clone(), mount: mount.path().clone() });
        }
    }
    Ok(())
}

/// The changes of the tree: this machine's, and what the other replicas say that they have changed.
fn file_changes(tree: &Arc<Tree>, notifier: &Notifier) -> Changes {
    let changes = Changes::start(tree);
    let tell = notifier.teller();
    changes.on_announce(move |touched| tell(serde_json::json!({ "files": touched })));
    let hearer = changes.clone();
    notifier.on_foreign(move |what| match what {
        Some(what) => {
            if let Ok(touched) = serde_json::from_value::<Vec<Touched>>(what["files"].clone()) {
                hearer.announced(&touched);
            }
        }
        // Something may have been missed: look at everything that somebody watches.
        None => hearer.announced(&[Touched { path: TreePath::root(), below: true }]),
    });
    changes
}

fn request_states(file: Option<&Path>, tree: &Tree) -> Result<RequestStates, AppError> {
    let Some(file) = file else { return Ok(RequestStates::new(&[])) };
    let error = |problem: String| AppError::SealKeys { file: file.to_owned(), problem };
    if let Some(mount) = tree.mount_with(file) {
        return Err(error(format!("callers could read it in {}; move it out of the served folder", mount.path())));
    }
    let text = std::fs::read_to_string(file).map_err(|source| error(source.to_string()))?;
    let keys = read_sealing_keys(&text).map_err(|problem| error(problem.to_string()))?;
    Ok(RequestStates::new(&keys))
}

fn server_info(features: &Features) -> ServerInfo {
    ServerInfo {
        name: "pressmark".to_owned(),
        title: "Pressmark".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instructions: INSTRUCTIONS.to_owned(),
        prompts: !features.prompts.is_empty(),
        resources: !features.resources.is_empty(),
        tasks: Tasks::are_offered(features),
    }
}

fn address_url(address: SocketAddr) -> Url {
    #[expect(clippy::expect_used, reason = "an address and port make a URL")]
    Url::parse(&format!("http://{address}")).expect("a URL")
}

fn endpoint_url(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/mcp", base.path().trim_end_matches('/')));
    url
}

/// Fills in what needed the address: the audience of tokens, and the token of a first run.
fn auth_config(settings: &AuthSettings, url: &Url) -> AuthConfig {
    let mut jwt = settings.jwt.clone();
    if let Some(jwt) = &mut jwt
        && jwt.audiences.is_empty()
    {
        jwt.audiences.push(url.to_string());
    }
    let configured = jwt.is_some() || settings.api_keys.is_some() || settings.no_auth;
    let random_token = || format!("dev-{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>()));
    let dev_token = settings.dev_token.clone().or_else(|| (!configured).then(random_token));
    AuthConfig {
        jwt,
        api_keys: settings.api_keys.clone(),
        dev_token,
        no_auth: settings.no_auth,
        refresh: RefreshPolicy::default(),
    }
}

fn callers(auth: &AuthConfig) -> String {
    let mut ways = Vec::new();
    if let Some(jwt) = &auth.jwt {
        ways.push(match &jwt.issuer {
            Some(issuer) => format!("tokens of {issuer} for {}", jwt.audiences.join(", ")),
            None => format!("tokens of any issuer in the key set for {}", jwt.audiences.join(", ")),
        });
    }
    if let Some(file) = &auth.api_keys {
        ways.push(format!("API keys in {}", file.display()));
    }
    if auth.dev_token.is_some() {
        ways.push("the development token below".to_owned());
    }
    if auth.no_auth {
        ways.push("every program on this machine, without a token".to_owned());
    }
    ways.join("; ")
}

fn client_configuration(url: &Url, auth: &AuthConfig) -> String {
    let mut server = serde_json::json!({ "type": "http", "url": url.as_str() });
    // Where clients get tokens from the issuer themselves, the URL is all that they need.
    let token = match auth {
        AuthConfig { dev_token: Some(token), .. } => Some(token.as_str()),
        AuthConfig { jwt: None, api_keys: Some(_), .. } => Some("YOUR-API-KEY"),
        AuthConfig { .. } => None,
    };
    if let Some(token) = token {
        server["headers"] = serde_json::json!({ "Authorization": format!("Bearer {token}") });
    }
    format!("{:#}", serde_json::json!({ "mcpServers": { "pressmark": server } }))
}
