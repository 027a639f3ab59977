//! One connection, and how it is made: to one server, or to all nodes of a cluster.

use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_read_routing::RandomReplicaStrategy;
use redis::cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo, Pipeline, ProtocolVersion, RedisError,
    RedisFuture, RedisResult, Value,
};

use super::address::shown;
use super::fault;
use crate::pool;

/// How often a command is sent again to a cluster whose slots move, before its failure is told.
const CLUSTER_RETRIES: u32 = 4;
/// Pauses before those, in milliseconds.
const CLUSTER_PAUSES_MS: (u64, u64) = (5, 100);

/// A connection. Clones are the same one; what several callers ask at once is sent without waiting for each other.
#[derive(Clone)]
pub(super) enum Line {
    /// To one server.
    Server(MultiplexedConnection),
    /// To each node of a cluster.
    Cluster(ClusterConnection),
}

impl Line {
    /// Whether the other end answers; of a cluster any of its nodes, whose connections it keeps itself.
    pub(super) async fn ping(&mut self) -> RedisResult<()> {
        let ping = redis::cmd("PING");
        match self {
            Self::Server(connection) => ping.exec_async(connection).await,
            Self::Cluster(connection) => {
                let first = Some(ResponsePolicy::OneSucceeded);
                let anybody = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllNodes, first));
                connection
                    .route_command(ping, anybody)
                    .await?
                    .extract_error()
                    .map(|_| ())
            }
        }
    }
}

impl ConnectionLike for Line {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// Where a connection goes.
#[derive(Clone)]
pub(super) struct Dial {
    end: End,
    /// Whose server, and where; for messages.
    pub(super) server: String,
    pub(super) connect_timeout: Duration,
}

#[derive(Clone)]
enum End {
    Server(Client),
    Cluster(Box<ClusterClient>),
}

impl Dial {
    /// Goes to one server.
    pub(super) fn server(role: &str, url: &str, connect_timeout: Duration) -> RedisResult<Self> {
        let info = url.into_connection_info()?;
        // The third protocol tells at once when a connection is gone, also one that nobody uses.
        let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        Ok(Self {
            end: End::Server(Client::open(info.set_redis_settings(redis))?),
            server: format!("redis of {role} at {}", shown(url)),
            connect_timeout,
        })
    }

    /// Goes to all nodes of a cluster. A node that does not answer within `patience` is given up for the call.
    pub(super) fn cluster(
        role: &str,
        urls: &[String],
        connect_timeout: Duration,
        patience: Duration,
        reads_replicas: bool,
    ) -> RedisResult<Self> {
        let (pause_min, pause_max) = CLUSTER_PAUSES_MS;
        let mut client = ClusterClient::builder(urls.iter().map(String::as_str))
            .connection_timeout(connect_timeout)
            .response_timeout(patience)
            .retries(CLUSTER_RETRIES)
            .min_retry_wait(pause_min)
            .max_retry_wait(pause_max);
        if reads_replicas {
            client = client.read_routing_strategy(RandomReplicaStrategy);
        }
        let servers = urls.iter().map(|url| shown(url)).collect::<Vec<_>>();
        Ok(Self {
            end: End::Cluster(Box::new(client.build()?)),
            server: format!("redis cluster of {role} at {}", servers.join(", ")),
            connect_timeout,
        })
    }

    /// Makes a connection; `gone` is called when it is known to have ended.
    pub(super) async fn line(&self, gone: impl Fn() + Send + Sync + 'static) -> RedisResult<Line> {
        let patience = match self.end {
            End::Server(_) => self.connect_timeout,
            // One node that does not answer takes all of its time before the others are asked who has what.
            End::Cluster(_) => self.connect_timeout * 3,
        };
        let made = tokio::time::timeout(patience, self.open(gone)).await;
        made.unwrap_or_else(|_| {
            let late = format!("{patience:?}");
            Err(RedisError::from((ErrorKind::Io, "no connection within", late)))
        })
    }

    async fn open(&self, gone: impl Fn() + Send + Sync + 'static) -> RedisResult<Line> {
        match &self.end {
            End::Server(client) => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(self.connect_timeout))
                    .set_response_timeout(None)
                    .set_push_sender(move |push: redis::PushInfo| {
                        if push.kind == redis::PushKind::Disconnection {
                            gone();
                        }
                        Ok::<_, ()>(())
                    });
                let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
                Ok(Line::Server(connection))
            }
            End::Cluster(client) => Ok(Line::Cluster(client.get_async_connection().await?)),
        }
    }
}

impl pool::Connect for Dial {
    type Connection = Line;

    async fn connect(&self) -> Result<Line, String> {
        let made = self.line(|| {}).await;
        made.map_err(|error| fault::of(&error, &self.server).to_string())
    }

    async fn check(&self, line: &mut Line) -> Result<(), String> {
        line.ping()
            .await
            .map_err(|error| fault::of(&error, &self.server).to_string())
    }
}
