//! Postgres providers: recognizing their hosts, choosing an endpoint that supports dumps, and
//! migration guides.

use super::SourceUrl;

/// A Postgres provider.
#[derive(Debug, PartialEq, Eq)]
pub struct Provider {
    /// Argument of `capydb import guide`.
    pub id: &'static str,
    /// Display name.
    pub name: &'static str,
    /// Domains of its hosts.
    pub hosts: &'static [&'static str],
    /// Where to find the right connection string.
    pub connection_string_help: &'static str,
    /// Known pitfalls of an import from this provider.
    pub caveats: &'static [&'static str],
    /// Which of its endpoints support dumps.
    pub endpoints: EndpointRule,
    /// Whether its databases are reachable only from the user's machine or network.
    pub is_local_only: bool,
}

/// How to tell endpoints that support dumps from those that do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointRule {
    /// All known endpoints support dumps.
    Any,
    /// The host has a pooler and the server itself on different ports.
    PoolerPort {
        /// Port of the pooler.
        pooler: u16,
        /// Port of the server.
        direct: u16,
    },
    /// Suffix of the first label of a pooler's host name.
    PoolerSuffix(&'static str),
    /// Hosts with this prefix are internal, and the pooler's port serves named pools.
    PrivatePrefix {
        /// Prefix of internal hosts.
        prefix: &'static str,
        /// Port of the pooler.
        pooler: u16,
        /// Port of the server.
        direct: u16,
    },
    /// Suffix of hosts that are reachable only inside the provider's network.
    InternalSuffix(&'static str),
    /// Hosts without a dot are reachable only inside the provider's network.
    InternalWithoutDot,
    /// Only hosts with the public suffix are public; hosts with the prefix are poolers.
    PublicSuffix {
        /// Suffix of public hosts.
        public: &'static str,
        /// Prefix of poolers.
        pooler: &'static str,
    },
}

/// Advice about a source URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// The URL is usable as it is.
    Fine,
    /// Use this endpoint of the same database instead.
    Rewrite(&'static Provider, SourceUrl, Why),
    /// The URL is unusable; [`Provider::connection_string_help`] describes where to find the right one.
    Refuse(&'static Provider, Why),
}

impl Advice {
    /// The problem as one sentence; `None` if the URL is usable.
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::Fine => None,
            Self::Rewrite(provider, _, why) | Self::Refuse(provider, why) => {
                Some(format!("the URL points to {why} ({})", provider.name))
            }
        }
    }

    /// Which URL to use instead, without its password.
    pub fn fix(&self) -> Option<String> {
        match self {
            Self::Fine => None,
            Self::Rewrite(_, instead, _) => Some(format!("use {instead} instead")),
            Self::Refuse(provider, _) => Some(format!("find a URL that works: {}", provider.connection_string_help)),
        }
    }
}

/// Why an endpoint is unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A transaction pooler: a dump needs a single session for its snapshot.
    Pooled,
    /// A named pool, whose name takes the place of the database name.
    Pool,
    /// The host is reachable only inside the provider's network.
    Internal,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pooled => "a pooled endpoint, which does not support dumps",
            Self::Pool => {
                "a connection pool, which does not support dumps; if the URL ends in the pool's name, replace it with the database name"
            }
            Self::Internal => "a host that is reachable only inside the provider's network",
        })
    }
}

/// All known providers.
pub const PROVIDERS: [Provider; 16] = [
    Provider {
        id: "neon",
        name: "Neon",
        hosts: &["neon.tech"],
        connection_string_help: "Console → your project → Connect, with connection pooling turned off (the host has no `-pooler`)",
        caveats: &[
            "Each branch has its own URL: use the URL of the production branch.",
            "A database scaled to zero starts on the first connection; if the connection times out, rerun the command.",
            "Old clients without SNI fail with `endpoint … not found`. capydb sends SNI, so the direct host works.",
            "Postgres 18 projects are rejected: they are newer than the target.",
        ],
        endpoints: EndpointRule::PoolerSuffix("-pooler"),
        is_local_only: false,
    },
    Provider {
        id: "supabase",
        name: "Supabase",
        hosts: &["supabase.co", "supabase.com"],
        connection_string_help: "Dashboard → Connect → Session pooler (port 5432, user postgres.PROJECT); the direct host requires the IPv4 add-on",
        caveats: &[
            "The transaction pooler (port 6543) does not support dumps; use port 5432 on the same host.",
            "The direct host db.PROJECT.supabase.co is IPv6-only without the IPv4 add-on.",
            "The pooler host's prefix (aws-0, aws-1) differs by project: copy the host from the dashboard.",
            "The schemas auth, storage, realtime, vault and graphql belong to the platform. Replace foreign keys to auth.users and policies that call auth.uid().",
            "pg_graphql, pgsodium, supabase_vault and pg_net are not available on the target: drop them in a copy of the database, or dump only the application's schemas (pg_dump -Fc -n public).",
        ],
        endpoints: EndpointRule::PoolerPort { pooler: 6543, direct: 5432 },
        is_local_only: false,
    },
    Provider {
        id: "railway",
        name: "Railway",
        hosts: &["rlwy.net", "railway.app", "railway.internal"],
        connection_string_help: "Postgres service → Variables → DATABASE_PUBLIC_URL",
        caveats: &[
            "The host in DATABASE_URL (railway.internal) is reachable only inside Railway.",
            "The public URL needs the TCP proxy: turn it on in Settings → Networking, and off again after the import.",
            "Traffic through the proxy is billed as egress.",
            "The default database name is railway.",
        ],
        endpoints: EndpointRule::InternalSuffix(".railway.internal"),
        is_local_only: false,
    },
    Provider {
        id: "render",
        name: "Render",
        hosts: &["render.com"],
        connection_string_help: "database → Info → Connections → External Database URL",
        caveats: &[
            "The internal URL has a short host (dpg-…-a) that is reachable only inside Render.",
            "If the source does not respond, allow the control plane's IP address under Access Control.",
            "Connections must use TLS, which is the default here.",
            "Free databases expire and are deleted after the grace period.",
        ],
        endpoints: EndpointRule::InternalWithoutDot,
        is_local_only: false,
    },
    Provider {
        id: "heroku",
        name: "Heroku",
        hosts: &[],
        connection_string_help: "heroku pg:credentials:url DATABASE --app APP (run it right before the import: credentials rotate)",
        caveats: &[
            "Use the URL of the database, not of a connection-pool attachment.",
            "The certificate does not match the host name: use sslmode=require; verify-full fails.",
            "Extensions may be in the schema heroku_ext.",
            "Databases in Private and Shield Spaces are not publicly reachable: dump from a one-off dyno.",
            "heroku maintenance:on stops writes during the migration.",
        ],
        endpoints: EndpointRule::Any,
        is_local_only: false,
    },
    Provider {
        id: "rds",
        name: "Amazon RDS and Aurora",
        hosts: &["rds.amazonaws.com"],
        connection_string_help: "RDS console → the instance (Aurora: the cluster's writer endpoint) → Connectivity & security",
        caveats: &[
            "The instance must be publicly accessible and its security group must allow the control plane's IP address; otherwise run with --via-dump from a machine inside the VPC.",
            "Reader endpoints lag behind the writer.",
            "Objects owned by rdsadmin and the extensions aws_s3, aws_commons and aws_lambda are not imported.",
            "Logical replication requires rds.logical_replication = 1 in the parameter group and a restart.",
        ],
        endpoints: EndpointRule::Any,
        is_local_only: false,
    },
    Provider {
        id: "cloud-sql",
        name: "Google Cloud SQL and AlloyDB",
        hosts: &[],
        connection_string_help: "instance → Overview → public IP address, with the database's user and password",
        caveats: &[
            "Add the control plane's IP address to the authorized networks; for a private IP, run with --via-dump inside the network.",
            "Connection names (project:region:instance) are not hosts: run the Auth Proxy and import with --via-dump.",
            "cloudsqlsuperuser is not a superuser and may be unable to read some objects.",
        ],
        endpoints: EndpointRule::Any,
        is_local_only: false,
    },
    Provider {
        id: "azure",
        name: "Azure Database for PostgreSQL",
        hosts: &["postgres.database.azure.com"],
        connection_string_help: "flexible server → Overview → Server name, port 5432",
        caveats: &[
            "Port 6432 is the built-in PgBouncer, which does not support dumps; use port 5432 on the same host.",
            "The firewall rules (Networking) must allow the control plane's IP address.",
            "The schemas and databases azure, azure_sys and azure_maintenance belong to the platform.",
        ],
        endpoints: EndpointRule::PoolerPort { pooler: 6432, direct: 5432 },
        is_local_only: false,
    },
    Provider {
        id: "digitalocean",
        name: "DigitalOcean",
        hosts: &["db.ondigitalocean.com"],
        connection_string_help: "Databases → the cluster → Connection details → public network, port 25060",
        caveats: &[
            "URLs with port 25061 point to a connection pool and end in the pool's name: replace it with the database name.",
            "Hosts that start with private- are reachable only inside the VPC.",
            "Trusted sources must include the control plane's IP address.",
        ],
        endpoints: EndpointRule::PrivatePrefix { prefix: "private-", pooler: 25061, direct: 25060 },
        is_local_only: false,
    },
    Provider {
        id: "fly",
        name: "Fly.io",
        hosts: &["flycast", "fly.dev"],
        connection_string_help: "No public URL: run `fly proxy 15432:5432 --app APP` (Managed Postgres: `fly mpg proxy`) and use that port on localhost",
        caveats: &[
            "Import through the proxy with --via-dump, which runs pg_dump on this machine and uploads the dump.",
            "Hosts under .flycast and .internal are reachable only inside Fly's network; pgbouncer hosts do not support dumps.",
        ],
        endpoints: EndpointRule::PublicSuffix { public: ".fly.dev", pooler: "pgbouncer." },
        is_local_only: true,
    },
    Provider {
        id: "aiven",
        name: "Aiven",
        hosts: &["aivencloud.com"],
        connection_string_help: "service → Overview → Connection information → Service URI",
        caveats: &[
            "Do not use the URI of a connection pool.",
            "The service's allowed IP addresses must include the control plane's.",
            "The extension aiven_extras is not available on the target: drop it in a copy of the database.",
        ],
        endpoints: EndpointRule::Any,
        is_local_only: false,
    },
    Provider {
        id: "crunchy",
        name: "Crunchy Bridge",
        hosts: &["postgresbridge.com"],
        connection_string_help: "cluster → Connection → the role's URL, port 5432",
        caveats: &[
            "Port 5431 is PgBouncer, which does not support dumps.",
            "The cluster's firewall rules must allow the control plane's IP address.",
        ],
        endpoints: EndpointRule::PoolerPort { pooler: 5431, direct: 5432 },
        is_local_only: false,
    },
    Provider {
        id: "planetscale",
        name: "PlanetScale",
        hosts: &["psdb.cloud"],
        connection_string_help: "database → Connect → Postgres role, port 5432",
        caveats: &["Port 6432 is PgBouncer, which does not support dumps.", "Connections must use TLS."],
        endpoints: EndpointRule::PoolerPort { pooler: 6432, direct: 5432 },
        is_local_only: false,
    },
    Provider {
        id: "timescale",
        name: "Timescale (Tiger Data)",
        hosts: &["tsdb.cloud.timescale.com"],
        connection_string_help: "service → Connection info → direct connection (not the pooler)",
        caveats: &[
            "timescaledb is not available on the target: copy hypertables to plain tables, then drop the extension.",
        ],
        endpoints: EndpointRule::Any,
        is_local_only: false,
    },
    Provider {
        id: "xata",
        name: "Xata, Prisma Postgres, Nile",
        hosts: &["xata.sh", "db.prisma.io", "thenile.dev"],
        connection_string_help: "direct TCP connection string, which starts with postgres://",
        caveats: &["prisma+postgres:// URLs point to an HTTP proxy, not to a Postgres server."],
        endpoints: EndpointRule::Any,
        is_local_only: false,
    },
    Provider {
        id: "local",
        name: "This machine or a private network",
        hosts: &[],
        connection_string_help: "the URL that psql uses on this machine, with --via-dump",
        caveats: &[
            "The control plane cannot reach this network: --via-dump runs pg_dump here and uploads the dump.",
            "--via-dump needs a pg_dump no older than the source and no newer than the target; `capydb doctor` lists the installed versions.",
        ],
        endpoints: EndpointRule::Any,
        is_local_only: true,
    },
];

/// Recognizes a provider by a host name.
pub fn recognize(host: &str) -> Option<&'static Provider> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if is_render_short(&host) {
        return named("render");
    }
    let below = |ending: &&str| host == **ending || host.strip_suffix(*ending).is_some_and(|rest| rest.ends_with('.'));
    PROVIDERS.iter().find(|provider| provider.hosts.iter().any(below))
}

/// The provider with this id.
pub fn named(id: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.id == id)
}

/// Checks a URL against the provider's endpoint rule.
pub fn advise(url: &SourceUrl) -> Advice {
    let Some(provider) = recognize(url.host()) else { return Advice::Fine };
    let host = url.host().trim_end_matches('.').to_ascii_lowercase();
    let rewrite = |url, why| Advice::Rewrite(provider, url, why);
    match provider.endpoints {
        EndpointRule::PoolerSuffix(suffix) => {
            let direct = host.split_once('.').and_then(|(label, rest)| Some((label.strip_suffix(suffix)?, rest)));
            direct.map_or(Advice::Fine, |(label, rest)| rewrite(url.with_host(&format!("{label}.{rest}")), Why::Pooled))
        }
        EndpointRule::PoolerPort { pooler, direct } if url.port() == pooler => {
            rewrite(url.with_port(direct), Why::Pooled)
        }
        EndpointRule::PrivatePrefix { prefix, pooler, direct } => {
            let pooled = url.port() == pooler;
            match host.strip_prefix(prefix) {
                Some(public) if pooled => rewrite(url.with_host(public).with_port(direct), Why::Pool),
                Some(public) => rewrite(url.with_host(public), Why::Internal),
                None if pooled => rewrite(url.with_port(direct), Why::Pool),
                None => Advice::Fine,
            }
        }
        EndpointRule::InternalSuffix(suffix) if host.ends_with(suffix) => Advice::Refuse(provider, Why::Internal),
        EndpointRule::InternalWithoutDot if !host.contains('.') => Advice::Refuse(provider, Why::Internal),
        EndpointRule::PublicSuffix { pooler, .. } if host.starts_with(pooler) => Advice::Refuse(provider, Why::Pooled),
        EndpointRule::PublicSuffix { public, .. } if !host.ends_with(public) => Advice::Refuse(provider, Why::Internal),
        _ => Advice::Fine,
    }
}

/// Whether a host is internal to Render: such names have no dots.
fn is_render_short(host: &str) -> bool {
    host.starts_with("dpg-") && !host.contains('.')
}

#[cfg(test)]
mod tests;
