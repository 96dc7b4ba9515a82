//! The composition root: builds every part from the configuration, and holds the one list of tools and the one of prompts.

mod banner;

use std::future::Future;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::net::TcpListener;
use url::Url;

use self::banner::Banner;
use crate::audit::Audit;
use crate::auth::{AuthConfig, AuthSetupError, Authenticator, KeySetFetches, KeySource, RefreshPolicy};
use crate::call::{Lane, LaneLoad, Lanes};
use crate::changes::Notifier;
use crate::config::{AuthSettings, Config, LogFormat, StateConfig};
use crate::files::{Changes, Touched, Tree, TreeError};
use crate::http::{
    self, ConnectionOptions, HandshakeFailure, HttpOptions, ListenAddress, Listener, Origins, ProtectedResource, Readiness,
    Shutdown, ShutdownTrigger, Tls, Watch,
};
use crate::mcp::legacy::SessionLimits;
use crate::mcp::{Features, RequestStates, ServerInfo, Tasks, read_sealing_keys};
use crate::metrics::{Metrics, Reading};
use crate::path::TreePath;
use crate::prompts::{AnswerFromFiles, Prompt, PromptRegistry, ReviewChanges, SummarizeFolder};
use crate::resources::{ResourceProvider, ResourceRegistry, TreeResources};
use crate::state::{Cursors, MemoryState, RedisState, SharedState, StateError};
use crate::tools::{
    CopyFile, CreateDirectory, DeleteFile, EditFile, FindFiles, GetFileInfo, ListDirectory, MoveFile, ReadFile, SearchText, Tool,
    ToolRegistry, WriteFile,
};
use crate::traces::{TraceSettings, TraceSettingsError, Traces};

/// How long calls under way may go on after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(25);
/// How long the last spans may take to be sent, after the last call.
const LAST_SPANS: Duration = Duration::from_secs(3);
/// Calls that may wait for a place in the CPU lane, for each place in it.
const CPU_QUEUE_PER_CORE: usize = 32;

const INSTRUCTIONS: &str = "Files of a shared tree, by paths that start with /. Begin with list_directory or find_files to see \
what is there; search_text finds text in files; read_file shows one. A result that ends with a next_cursor has more: call the \
same tool again with that cursor alone.";
const WRITING_INSTRUCTIONS: &str = " To change a file, read it first and pass its version as if_match: then nothing that \
somebody else wrote in between is lost.";

/// A server in the making.
pub struct App {
    config: Config,
    tree: Arc<Tree>,
    state: Arc<dyn SharedState>,
    request_states: RequestStates,
    features: Features,
    metrics: Arc<Metrics>,
    audit: Audit,
}

/// A server that listens and waits to be run.
pub struct BoundApp {
    listener: Listener,
    connections: ConnectionOptions,
    server: http::Server,
    stopping: ShutdownTrigger,
    shutdown: Shutdown,
    tasks: Tasks,
    url: Url,
    banner: Banner,
    log_format: LogFormat,
    /// Where spans go; None when there are no traces.
    traces: Option<Traces>,
    /// The counts, and where they are read.
    scrapes: Option<(TcpListener, Arc<Metrics>)>,
}

/// Why a server cannot start: one line.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A folder cannot be mounted.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The shared state cannot be reached.
    #[error("{source} ({url}); see that Redis runs there and lets this server in, or change --state")]
    State {
        /// Where it is, without credentials.
        url: String,
        /// Why not.
        source: StateError,
    },
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
    /// The sealing keys cannot be read.
    #[error("--seal-keys {}: {source}", file.display())]
    SealKeysUnreadable {
        /// Which file.
        file: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The certificate cannot be used, or its key would be served.
    #[error("--tls-cert, --tls-key: {0}")]
    Tls(String),
    /// The audit log cannot be kept.
    #[error("--audit-log {}: {source}; choose a file that this server may write, in a folder that is there", file.display())]
    Audit {
        /// Which file.
        file: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Callers could read the audit log, or change it.
    #[error("--audit-log {}: callers could read it in {mount}; move it out of the served folder", file.display())]
    AuditInReach {
        /// Which file.
        file: PathBuf,
        /// Where in the tree its mount is.
        mount: TreePath,
    },
    /// Traces cannot be sent.
    #[error(transparent)]
    Traces(#[from] TraceSettingsError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another with {option}")]
    Listen {
        /// The setting that names it.
        option: &'static str,
        /// Where.
        address: ListenAddress,
        /// Why not.
        source: io::Error,
    },
}

impl AppError {
    /// Is a setting to blame, so that the same start fails on every machine?
    #[must_use]
    pub fn is_of_settings(&self) -> bool {
        match self {
            Self::Tree(error) => matches!(error, TreeError::Empty | TreeError::Duplicate(_) | TreeError::BadName(_)),
            Self::KeysInReach { .. } | Self::SealKeys { .. } | Self::AuditInReach { .. } | Self::Traces(_) => true,
            Self::State { .. }
            | Self::Auth(_)
            | Self::SealKeysUnreadable { .. }
            | Self::Tls(_)
            | Self::Audit { .. }
            | Self::Listen { .. } => false,
        }
    }
}

impl App {
    /// Opens the mounts, connects to the shared state and registers the tools and prompts on files.
    ///
    /// # Errors
    /// [`AppError`] for the first part that cannot be built.
    pub async fn new(config: Config) -> Result<Self, AppError> {
        let tree = Arc::new(Tree::open(config.mounts.clone())?);
        keep_keys_out_of_reach(&tree, &config.auth)?;
        let metrics = Arc::new(Metrics::new());
        let audit = audit(config.audit_log.as_deref(), &tree, &metrics)?;
        let state: Arc<dyn SharedState> = match &config.state {
            StateConfig::Memory => Arc::new(MemoryState::new()),
            StateConfig::Redis(url) => {
                let away = |source| AppError::State { url: url.to_string(), source };
                Arc::new(RedisState::connect(url).await.map_err(away)?.counted_by(metrics.state_operations()))
            }
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let lanes = Arc::new(Lanes::new(cores, cores * CPU_QUEUE_PER_CORE).timed_by(&metrics.lane_waits()));
        watch_lanes(&metrics, &lanes);
        let cursors = Cursors::new(Arc::clone(&state), config.cursor_ttl);
        let (max_result_bytes, timeout) = (config.max_result_bytes, config.request_timeout);
        let mut tools = ToolRegistry::new(Arc::clone(&lanes), max_result_bytes, timeout)
            .with_path_headers(config.path_headers)
            .with_audit(audit.clone())
            .with(ListDirectory::new(Arc::clone(&tree), cursors.clone()))
            .with(FindFiles::new(Arc::clone(&tree), cursors.clone()))
            .with(SearchText::new(Arc::clone(&tree), cursors.clone()))
            .with(ReadFile::new(Arc::clone(&tree), cursors))
            .with(GetFileInfo::new(Arc::clone(&tree)));
        if is_writable(&tree) {
            tools = tools
                .with(WriteFile::new(Arc::clone(&tree)))
                .with(EditFile::new(Arc::clone(&tree)))
                .with(CreateDirectory::new(Arc::clone(&tree)))
                .with(MoveFile::new(Arc::clone(&tree)))
                .with(CopyFile::new(Arc::clone(&tree)))
                .with(DeleteFile::new(Arc::clone(&tree)));
        }
        let prompts = PromptRegistry::new(Arc::clone(&lanes), max_result_bytes, timeout)
            .with_audit(audit.clone())
            .with(SummarizeFolder::new(Arc::clone(&tree)))
            .with(ReviewChanges::new(Arc::clone(&tree)))
            .with(AnswerFromFiles::new(Arc::clone(&tree)));
        let notifier = Notifier::start(Arc::clone(&state));
        let changes = file_changes(&tree, &notifier);
        let resources = ResourceRegistry::new(lanes, max_result_bytes, timeout)
            .with_audit(audit.clone())
            .with(TreeResources::new(Arc::clone(&tree), changes));
        let request_states = request_states(config.seal_keys.as_deref(), &tree)?;
        let features = Features { tools, prompts, resources, notifier };
        Ok(Self { config, tree, state, request_states, features, metrics, audit })
    }

    /// The files that are served, for tools of your own: [`View::new`](crate::files::View::new) with this and the caller of
    /// a call ([`CallContext::principal`](crate::call::CallContext::principal)) gives what the caller may see and change.
    #[must_use]
    pub fn tree(&self) -> Arc<Tree> {
        Arc::clone(&self.tree)
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
        let tls = start_tls(&self.config, &self.tree, &self.metrics).await?;
        keep_socket_out_of_reach(&self.config.listen, &self.tree)?;
        let listener = Listener::bind(&self.config.listen).await;
        let listener = listener.map_err(|source| cannot_listen("--listen", self.config.listen.clone(), source))?;
        let scrapes = match self.config.metrics_listen {
            Some(address) => {
                let listener = TcpListener::bind(address).await;
                let listener = listener.map_err(|source| cannot_listen("--metrics-listen", address.into(), source))?;
                let local = listener.local_addr().unwrap_or(address);
                tracing::info!(url = format!("http://{local}/metrics"), "metrics can be read");
                Some((listener, Arc::clone(&self.metrics)))
            }
            None => None,
        };
        let local = listener.address();
        let base = self.config.public_url.clone().unwrap_or_else(|| address_url(local, tls.is_some()));
        let url = endpoint_url(&base);

        let (auth, made_token) = auth_config(&self.config.auth, &url);
        let banner = Banner::new(&self.config, &self.tree, (&url, local), (&auth, made_token));
        let resource = ProtectedResource::new(base.as_str(), auth.jwt.as_ref().and_then(|jwt| jwt.issuer.as_deref()));
        let loopback = matches!(local, ListenAddress::Tcp(address) if address.ip().is_loopback());
        let authenticator = Arc::new(Authenticator::start(auth).await?);
        watch_tokens(&self.metrics, &authenticator);
        watch_key_set(&self.metrics, &authenticator);
        let traces = traces(self.config.otlp_endpoint.as_ref(), &self.metrics)?;
        let (stopping, shutdown) = Shutdown::new();
        let info = server_info(&self.features, is_writable(&self.tree));
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
            metrics: self.metrics,
            proxies: self.config.trusted_proxies,
            watch: Watch { traces: traces.clone(), audit: self.audit },
            shutdown: shutdown.clone(),
            sessions: SessionLimits { ttl: self.config.session_ttl, per_principal: self.config.max_sessions },
            max_stream_age: self.config.max_stream_age,
            max_request_bytes: self.config.max_request_bytes,
            body_timeout: self.config.request_timeout,
            calls_per_second: self.config.calls_per_second,
        };
        let (server, log_format) = (http::router(features, options), self.config.log_format);
        let Config { keep_alive, max_connections, .. } = self.config;
        let connections = ConnectionOptions { tls, keep_alive, max_connections };
        Ok(BoundApp { listener, connections, server, stopping, shutdown, tasks, url, banner, log_format, traces, scrapes })
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
    pub fn banner(&self) -> String {
        self.banner.to_string()
    }

    /// Tells that the server listens: by the banner on stdout, or, where log lines are JSON, by one of those. A token that
    /// was made for this run is told by the banner alone.
    pub fn announce(&self) {
        match self.log_format {
            LogFormat::Json if !self.banner.shows_token => self.banner.log(),
            LogFormat::Json | LogFormat::Text => {
                // A reader that is gone (`pressmark serve | head -1`) is no reason not to serve.
                let _ = writeln!(io::stdout(), "{}", self.banner);
            }
        }
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
        let calls = async { tokio::join!(http::serve(self.listener, self.connections, self.server, stop, DRAIN), tasks) };
        let scrapes = async {
            if let Some((listener, metrics)) = self.scrapes {
                http::serve_metrics(listener, metrics).await;
            }
            std::future::pending().await
        };
        let (left, ()) = tokio::select! {
            ended = calls => ended,
            never = scrapes => never,
        };
        if left > 0 {
            tracing::warn!(connections = left, "stopped before every call was finished");
        }
        if let Some(traces) = self.traces {
            traces.finish(LAST_SPANS).await;
        }
    }
}

fn keep_socket_out_of_reach(address: &ListenAddress, tree: &Tree) -> Result<(), AppError> {
    let ListenAddress::Unix(path) = address else { return Ok(()) };
    match path.parent().and_then(|folder| tree.mount_with(folder)).filter(|mount| mount.is_writable()) {
        Some(mount) => {
            let problem = format!("callers could remove the socket in {}", mount.path());
            Err(cannot_listen("--listen", address.clone(), io::Error::new(io::ErrorKind::InvalidInput, problem)))
        }
        None => Ok(()),
    }
}

fn cannot_listen(option: &'static str, address: ListenAddress, source: io::Error) -> AppError {
    AppError::Listen { option, address, source }
}

async fn start_tls(config: &Config, tree: &Tree, metrics: &Metrics) -> Result<Option<Arc<Tls>>, AppError> {
    let Some(files) = config.tls.clone() else { return Ok(None) };
    if let Some(mount) = tree.mount_with(&files.key) {
        let problem = format!("callers could read the key in {}; move it out of the served folder", mount.path());
        return Err(AppError::Tls(problem));
    }
    let tls = Arc::new(Tls::start(files).await.map_err(AppError::Tls)?);
    watch_tls(metrics, &tls);
    Ok(Some(tls))
}

fn watch_tls(metrics: &Metrics, tls: &Arc<Tls>) {
    let expires = Arc::clone(tls);
    metrics.watch_gauges(
        "tls_certificate_expiry_seconds",
        "When the server's certificate expires, in seconds since 1970; 0 when that cannot be read",
        vec![(&[], Box::new(move || expires.expires().unwrap_or_default()))],
    );
    let reading = |labels, failure| -> Reading {
        let tls = Arc::clone(tls);
        (labels, Box::new(move || tls.failures(failure)))
    };
    let readings = vec![
        reading(&[("reason", "closed")], HandshakeFailure::Closed),
        reading(&[("reason", "timeout")], HandshakeFailure::Timeout),
        reading(&[("reason", "refused")], HandshakeFailure::Refused),
    ];
    metrics.watch_counters("tls_handshake_failures", "Connections that ended before the TLS handshake did", readings);
}

fn watch_lanes(metrics: &Metrics, lanes: &Arc<Lanes>) {
    let reading = |labels, lane, read: fn(LaneLoad) -> u64| -> Reading {
        let lanes = Arc::clone(lanes);
        (labels, Box::new(move || read(lanes.load(lane))))
    };
    let both = |read| vec![reading(&[("lane", "io")], Lane::Io, read), reading(&[("lane", "cpu")], Lane::Cpu, read)];
    metrics.watch_gauges("lane_width", "Calls that have a place in a lane at most", both(|load| load.width as u64));
    metrics.watch_gauges("lane_running", "Calls that have a place in a lane", both(|load| load.running as u64));
    metrics.watch_gauges("lane_queued", "Calls that wait for a place in a lane", both(|load| load.queued as u64));
    metrics.watch_counters("lane_turned_away", "Calls for which a lane had no room to wait", both(|load| load.turned_away));
}

fn watch_tokens(metrics: &Metrics, authenticator: &Arc<Authenticator>) {
    let reading = |labels, read: fn(&Authenticator) -> u64| -> Reading {
        let authenticator = Arc::clone(authenticator);
        (labels, Box::new(move || read(&authenticator)))
    };
    let readings = vec![
        reading(&[("cache", "hit")], Authenticator::tokens_recognised),
        reading(&[("cache", "miss")], Authenticator::tokens_checked),
    ];
    metrics.watch_counters("tokens", "Signed tokens, found among those checked a moment ago or checked now", readings);
}

/// Keys in a file are looked at with the file; what an issuer gives is fetched now and again, and that can fail for long.
fn watch_key_set(metrics: &Metrics, authenticator: &Arc<Authenticator>) {
    if authenticator.key_set_fetches().is_none() {
        return;
    }
    let reading = |labels, read: fn(KeySetFetches) -> u64| -> Reading {
        let authenticator = Arc::clone(authenticator);
        (labels, Box::new(move || authenticator.key_set_fetches().map_or(0, read)))
    };
    let outcomes =
        vec![reading(&[("outcome", "ok")], |fetches| fetches.done), reading(&[("outcome", "error")], |fetches| fetches.failed)];
    metrics.watch_counters("key_set_fetches", "Attempts to get the keys of the authorization server", outcomes);
    let last = vec![reading(&[], |fetches| fetches.last)];
    metrics.watch_gauges("key_set_timestamp_seconds", "When its keys were fetched last, in Unix time; 0 before", last);
}

fn audit(file: Option<&Path>, tree: &Tree, metrics: &Metrics) -> Result<Audit, AppError> {
    let Some(file) = file else { return Ok(Audit::to_log()) };
    let out_of_reach = |place: Option<&Path>| match place.and_then(|place| tree.mount_with(place)) {
        Some(mount) => Err(AppError::AuditInReach { file: file.to_owned(), mount: mount.path().clone() }),
        None => Ok(()),
    };
    // A file that is not there yet is where its folder is, unless a link leads from there: seen when it is there.
    out_of_reach(Some(file)).and(out_of_reach(file.parent()))?;
    let audit = Audit::to_file(file).map_err(|source| AppError::Audit { file: file.to_owned(), source })?;
    out_of_reach(Some(file))?;
    let reading = |labels, read: fn(&Audit) -> u64| -> Reading {
        let audit = audit.clone();
        (labels, Box::new(move || read(&audit)))
    };
    let readings = vec![reading(&[("outcome", "written")], Audit::written), reading(&[("outcome", "lost")], Audit::lost)];
    metrics.watch_counters("audit_lines", "Lines for the audit file: written, or lost because they could not be", readings);
    Ok(audit)
}

fn traces(endpoint: Option<&Url>, metrics: &Metrics) -> Result<Option<Traces>, AppError> {
    let Some(settings) = TraceSettings::find(endpoint)? else { return Ok(None) };
    let traces = Traces::start(&settings)?;
    tracing::info!(collector = settings.url().as_str(), by = settings.option(), "spans are sent to a collector");
    let reading = |labels, read: fn(&Traces) -> u64| -> Reading {
        let traces = traces.clone();
        (labels, Box::new(move || read(&traces)))
    };
    let readings =
        vec![reading(&[("outcome", "exported")], Traces::exported), reading(&[("outcome", "dropped")], Traces::dropped)];
    metrics.watch_counters("spans", "Spans that the collector has taken, or that were given up", readings);
    Ok(Some(traces))
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
    let text = std::fs::read_to_string(file).map_err(|source| AppError::SealKeysUnreadable { file: file.to_owned(), source })?;
    let keys = read_sealing_keys(&text).map_err(|problem| error(problem.to_string()))?;
    warn_if_exposed(file);
    Ok(RequestStates::new(&keys))
}

/// Who has the keys can make up what calls have learned.
fn warn_if_exposed(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    if file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        tracing::warn!("the file of --seal-keys can be read by other users of this machine; run chmod 600 on it");
    }
}

/// Can anything be changed through this server?
fn is_writable(tree: &Tree) -> bool {
    tree.mounts().any(|mount| mount.is_writable())
}

fn server_info(features: &Features, writable: bool) -> ServerInfo {
    ServerInfo {
        name: "pressmark".to_owned(),
        title: "Pressmark".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instructions: [INSTRUCTIONS, if writable { WRITING_INSTRUCTIONS } else { "" }].concat(),
        prompts: !features.prompts.is_empty(),
        resources: !features.resources.is_empty(),
        tasks: Tasks::are_offered(features),
    }
}

fn address_url(address: &ListenAddress, tls: bool) -> Url {
    #[expect(clippy::expect_used, reason = "an address and port make a URL")]
    Url::parse(&address.url(tls)).expect("a URL")
}

fn endpoint_url(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/mcp", base.path().trim_end_matches('/')));
    url
}

/// Fills in what needed the address: the audience of tokens, and the token of a first run. Was one made?
fn auth_config(settings: &AuthSettings, url: &Url) -> (AuthConfig, bool) {
    let mut jwt = settings.jwt.clone();
    if let Some(jwt) = &mut jwt
        && jwt.audiences.is_empty()
    {
        jwt.audiences.push(url.to_string());
    }
    let configured = jwt.is_some() || settings.api_keys.is_some() || settings.dev_token.is_some() || settings.no_auth;
    let random_token = || format!("dev-{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>()));
    let dev_token = settings.dev_token.clone().or_else(|| (!configured).then(random_token));
    let auth = AuthConfig {
        jwt,
        api_keys: settings.api_keys.clone(),
        dev_token,
        no_auth: settings.no_auth,
        refresh: RefreshPolicy::default(),
    };
    (auth, !configured)
}
