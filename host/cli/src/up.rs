//! What `up` and `migrate` take. They are read here; what they ask for is the server's.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use node::RemoteFunctions;

use crate::help::{DEFAULT_DATA, exit_codes};

/// Starts a server: the application of the manifest, on the storage that it names.
///
/// Without a manifest the bundled application runs on embedded storage in the data folder. The first interrupt ends
/// the server in order: it takes no new calls, and finishes those that it has.
///
/// With `--functions none --remote URL` it holds the connections of clients, and the functions are remote: on another
/// server, or on Spin. With some names in place of `none`, those run here, and call the others there. It calls them over
/// HTTP as their operator, and they reach its clients through the Redis that both share.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  mpim up\n",
    "  mpim up --listen 0.0.0.0:7080 --data /var/lib/mpim --app spin.toml\n",
    "  mpim up --mysql mysql://mpim@db.example/mpim --redis redis://cache.example\n",
    "  MPIM_REMOTE_TOKEN=... mpim up --functions none --remote http://functions.example:3000 \\\n",
    "    --mysql mysql://mpim@db.example/mpim --redis redis://cache.example\n\n",
    exit_codes!()
))]
pub(crate) struct Up {
    /// Where to listen for clients.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7080")]
    pub(crate) listen: SocketAddr,
    /// Where the server keeps its files.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
    pub(crate) data: PathBuf,
    /// The name of this node, unique in its cluster; one made at the first start when absent.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// Which functions of the manifest run here: all, none, or some, by their names with commas between them. Those that do
    /// not are remote.
    #[arg(long, value_name = "WHICH", default_value = "all")]
    pub(crate) functions: Which,
    /// Where the functions run that do not run here: http://HOST:PORT.
    #[arg(long, value_name = "URL")]
    pub(crate) remote: Option<String>,
    /// The token of the operator there; the one of this server when absent.
    #[arg(long, value_name = "TOKEN", env = "MPIM_REMOTE_TOKEN", hide_env_values = true)]
    remote_token: Option<String>,
    /// The token of the operator of this server; one made at the first start, in DATA/operator.token, when absent.
    #[arg(long, value_name = "TOKEN", env = "MPIM_OPERATOR_TOKEN", hide_env_values = true)]
    pub(crate) operator_token: Option<String>,
    #[command(flatten)]
    pub(crate) storage: Storage,
}

/// Some functions of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    /// All of them.
    All,
    /// Those of these names; the others are remote.
    Some(BTreeSet<String>),
}

impl Which {
    /// The names of those that run on this node; none: all of them.
    pub(crate) fn local(self) -> Option<BTreeSet<String>> {
        match self {
            Self::All => None,
            Self::Some(names) => Some(names),
        }
    }
}

impl FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "none" => Ok(Self::Some(BTreeSet::new())),
            names if names.split(',').all(|name| !name.trim().is_empty()) => Ok(Self::Some(
                names.split(',').map(|name| name.trim().to_owned()).collect(),
            )),
            _ => Err("it must be `all`, `none`, or names of functions with commas between them".to_owned()),
        }
    }
}

impl Up {
    /// Where the functions run that do not run here.
    pub(crate) fn remote_functions(&self) -> Option<RemoteFunctions> {
        self.remote.clone().map(|url| RemoteFunctions {
            url,
            token: self.remote_token.clone(),
        })
    }
}

/// Where the server keeps what it has.
#[derive(Debug, Args)]
pub(crate) struct Storage {
    /// The manifest; the bundled application when absent.
    #[arg(long, value_name = "FILE")]
    pub(crate) app: Option<PathBuf>,
    /// A MySQL or MariaDB database that nodes share, instead of the embedded store.
    #[arg(long, value_name = "URL", env = "MPIM_MYSQL_URL", hide_env_values = true)]
    pub(crate) mysql: Option<String>,
    /// A Redis that nodes share, for cache, leases and queues, instead of this process.
    #[arg(long, value_name = "URL", env = "MPIM_REDIS_URL", hide_env_values = true)]
    pub(crate) redis: Option<String>,
}

/// Brings the database to the newest schema, and does nothing when it is there.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  mpim migrate --data /var/lib/mpim\n",
    "  mpim migrate --mysql mysql://mpim@db.example/mpim\n\n",
    exit_codes!()
))]
pub(crate) struct Migrate {
    /// Where the server keeps its files.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
    pub(crate) data: PathBuf,
    #[command(flatten)]
    pub(crate) storage: Storage,
}
