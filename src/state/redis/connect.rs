//! Makes a connection to whatever the URL names: one server, the master that Sentinels know of, or a cluster.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_ok;
use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue};
use redis::{IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::time::timeout;

use super::error::{needs_credentials, reason};
use super::url::{Node, RedisUrl, Topology};
use crate::state::StateError;

/// One TCP connection with its handshakes.
const NODE_LIMIT: Duration = Duration::from_secs(1);
/// All that it takes to be ready for commands: asking Sentinels, or learning the shape of a cluster, comes on top.
const CONNECT_LIMIT: Duration = Duration::from_millis(1_500);
/// One answer from one server.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// One command in a cluster, with redirections and repetitions.
const CLUSTER_ANSWER_LIMIT: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    pub(super) async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        match self {
            // Without the box of the trait that all connections have in common.
            Self::Server(connection) => {
                Ok(redis::from_redis_value(connection.send_packed_command(command).await?.extract_error()?)?)
            }
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }

    /// A cluster's connection is many: it replaces its broken ones, and follows masters that move.
    pub(super) fn mends_itself(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

/// What is told of every message, and of the end of the connection.
pub(super) type Receiver = Arc<dyn AsyncPushSender>;

/// Makes a connection for commands within [`CONNECT_LIMIT`] or fails.
pub(super) async fn connect(url: &RedisUrl) -> Result<Connection, StateError> {
    in_time(async {
        match &url.topology {
            Topology::Server => server(url, &url.nodes[0], true).await.map(Connection::Server),
            Topology::Sentinel { service } => master(url, service, None).await.map(Connection::Server),
            Topology::Cluster => cluster(url).await.map(Connection::Cluster),
        }
    })
    .await
}

/// Makes a connection for subscriptions within [`CONNECT_LIMIT`] or fails. In a cluster any node will do, because each
/// hears what is published on any other.
pub(super) async fn connect_to_subscribe(url: &RedisUrl, receiver: Receiver) -> Result<MultiplexedConnection, StateError> {
    in_time(async {
        match &url.topology {
            Topology::Server => receiving_server(url, &url.nodes[0], Some(receiver)).await,
            Topology::Sentinel { service } => master(url, service, Some(receiver)).await,
            Topology::Cluster => {
                let ways = url.nodes.iter().map(|node| {
                    let receiver = receiver.clone();
                    Box::pin(async move {
                        let mut connection = receiving_server(url, node, Some(receiver)).await?;
                        check_subscriber(url, &mut connection).await?;
                        Ok(connection)
                    })
                });
                select_ok(ways).await.map(|(connection, _)| connection)
            }
        }
    })
    .await
}

/// Does a connection made by [`connect_to_subscribe`] still bring what is published? A node that is cut off from its
/// cluster answers and hears nothing.
pub(super) async fn check_subscriber(url: &RedisUrl, connection: &mut MultiplexedConnection) -> RedisResult<()> {
    if url.topology != Topology::Cluster {
        return redis::cmd("PING").query_async(connection).await;
    }
    let state: String = redis::cmd("CLUSTER").arg("INFO").query_async(connection).await?;
    if state.lines().any(|line| line == "cluster_state:ok") {
        return Ok(());
    }
    Err(RedisError::from((ErrorKind::Server(ServerErrorKind::ClusterDown), "the node is not in a working cluster")))
}

async fn in_time<T>(attempt: impl Future<Output = RedisResult<T>>) -> Result<T, StateError> {
    match timeout(CONNECT_LIMIT, attempt).await {
        Ok(result) => result.map_err(|error| StateError { reason: reason(&error) }),
        Err(_) => Err(StateError { reason: "Redis cannot be reached (timed out)".to_owned() }),
    }
}

/// Makes a connection to one server.
pub(super) async fn server(url: &RedisUrl, node: &Node, with_credentials: bool) -> RedisResult<MultiplexedConnection> {
    open(info(url, node, with_credentials)?, config()).await
}

async fn receiving_server(url: &RedisUrl, node: &Node, receiver: Option<Receiver>) -> RedisResult<MultiplexedConnection> {
    let Some(receiver) = receiver else { return server(url, node, true).await };
    let info = info(url, node, true)?;
    // Only in this version of the protocol can messages come between answers.
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    open(info.set_redis_settings(settings), config().set_push_sender(receiver)).await
}

fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(Some(NODE_LIMIT)).set_response_timeout(Some(ANSWER_LIMIT))
}

async fn open(info: ConnectionInfo, config: AsyncConnectionConfig) -> RedisResult<MultiplexedConnection> {
    Client::open(info)?.get_multiplexed_async_connection_with_config(&config).await
}

fn info(url: &RedisUrl, node: &Node, with_credentials: bool) -> RedisResult<ConnectionInfo> {
    let mut settings = RedisConnectionInfo::default();
    if with_credentials {
        settings = settings.set_db(url.database);
        if let Some(username) = &url.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &url.password {
            settings = settings.set_password(password);
        }
    }
    let host = node.host.clone();
    let address = if url.tls {
        ConnectionAddr::TcpTls { host, port: node.port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, node.port)
    };
    Ok(address.into_connection_info()?.set_redis_settings(settings))
}

async fn cluster(url: &RedisUrl) -> RedisResult<ClusterConnection> {
    let nodes = url.nodes.iter().map(|node| info(url, node, true)).collect::<RedisResult<Vec<_>>>()?;
    ClusterClientBuilder::new(nodes)
        .connection_timeout(NODE_LIMIT)
        .response_timeout(ANSWER_LIMIT)
        .overall_response_timeout(Some(CLUSTER_ANSWER_LIMIT))
        // Enough to follow a key that moves; a node that is away is told to the caller, who can come again.
        .retries(3)
        .min_retry_wait(20)
        .max_retry_wait(200)
        .build()?
        .get_async_connection()
        .await
}

/// Asks all Sentinels at once and takes the first whose answer proves right: one that is cut off from the others goes
/// on naming a master that is none any more.
async fn master(url: &RedisUrl, service: &str, receiver: Option<Receiver>) -> RedisResult<MultiplexedConnection> {
    let ways = url.nodes.iter().map(|sentinel| {
        let receiver = receiver.clone();
        Box::pin(async move {
            let node = ask_sentinel(url, sentinel, service).await?;
            let mut connection = receiving_server(url, &node, receiver).await?;
            let role: Vec<Value> = redis::cmd("ROLE").query_async(&mut connection).await?;
            if role.first() != Some(&Value::BulkString(b"master".to_vec())) {
                return Err(RedisError::from((ErrorKind::Server(ServerErrorKind::ReadOnly), "not the master")));
            }
            Ok(connection)
        })
    });
    select_ok(ways).await.map(|(connection, _)| connection)
}

async fn ask_sentinel(url: &RedisUrl, sentinel: &Node, service: &str) -> RedisResult<Node> {
    let mut question = redis::cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(service);
    let answer: Option<(String, u16)> = ask_as_sentinel(url, sentinel, &question).await?;
    let (host, port) = answer.ok_or_else(|| RedisError::from((ErrorKind::MasterNameNotFoundBySentinel, "unknown service")))?;
    Ok(Node { host, port })
}

/// Sentinels often ask for no credentials, and refuse those who give some; those that do ask get the servers' own.
pub(super) async fn ask_as_sentinel<T: FromRedisValue>(url: &RedisUrl, sentinel: &Node, question: &Cmd) -> RedisResult<T> {
    let mut connection = server(url, sentinel, false).await?;
    match question.query_async(&mut connection).await {
        Err(error) if needs_credentials(&error) => {
            let mut connection = server(url, sentinel, true).await?;
            question.query_async(&mut connection).await
        }
        answer => answer,
    }
}
