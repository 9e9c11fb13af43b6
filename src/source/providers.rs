//! What is known of providers: how their hosts are recognised, which endpoint carries a dump,
//! and what to tell a person who comes from there.

use super::SourceUrl;

/// A provider of Postgres databases.
#[derive(Debug, PartialEq, Eq)]
pub struct Provider {
    /// The word for `capydb import guide`.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Endings of its host names; the dot before them counts.
    pub hosts: &'static [&'static str],
    /// Where the right connection string is found.
    pub string: &'static str,
    /// What to know before a move.
    pub caveats: &'static [&'static str],
    /// Which of its endpoints can carry a dump.
    pub endpoints: EndpointRule,
    /// Whether only this machine can reach its databases.
    pub is_local_only: bool,
}

/// How a provider's endpoints that can carry a dump differ from those that cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointRule {
    /// All endpoints can, as far as is known.
    Any,
    /// This port is a pooler; the same host has the server itself on the other.
    PoolerPort {
        /// Port of the pooler.
        pooler: u16,
        /// Port of the server.
        direct: u16,
    },
    /// The first label of a pooler's host name ends with this.
    PoolerSuffix(&'static str),
    /// Hosts with this prefix are internal, and the pooler's port has databases of its own.
    PrivatePrefix {
        /// Prefix of internal hosts.
        prefix: &'static str,
        /// Port of the pooler.
        pooler: u16,
        /// Port of the server.
        direct: u16,
    },
    /// Hosts with this ending exist in the provider's own network only.
    InternalSuffix(&'static str),
    /// Hosts without a dot exist in the provider's own network only.
    InternalWithoutDot,
    /// Only hosts with this ending are public; those with the prefix are poolers.
    PublicSuffix {
        /// Ending of public hosts.
        public: &'static str,
        /// Prefix of poolers.
        pooler: &'static str,
    },
}

/// What to do about a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// Nothing speaks against it.
    Fine,
    /// The same database has an endpoint that carries a dump; this is it, and why.
    Rewrite(&'static Provider, SourceUrl, Why),
    /// It cannot work, for this reason; the right string is where [`Provider::string`] says.
    Refuse(&'static Provider, Why),
}

impl Advice {
    /// What is wrong with the URL, in one sentence; `None` when it is fine.
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::Fine => None,
            Self::Rewrite(provider, _, why) | Self::Refuse(provider, why) => {
                Some(format!("this is {why} ({})", provider.name))
            }
        }
    }

    /// Which URL to use instead. It shows no password.
    pub fn fix(&self) -> Option<String> {
        match self {
            Self::Fine => None,
            Self::Rewrite(_, instead, _) => Some(format!("use {instead}")),
            Self::Refuse(provider, _) => Some(format!("where to find the public URL: {}", provider.string)),
        }
    }
}

/// What is wrong with an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A transaction pooler: a dump needs one session for its snapshot.
    Pooled,
    /// A pool that has a name of its own, which stands where the database's name should.
    Pool,
    /// Only the provider's own network knows the host.
    Internal,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pooled => "a pooled endpoint, which cannot carry a dump",
            Self::Pool => {
                "a connection pool, which cannot carry a dump; if its last part is the pool's name, put the database's there"
            }
            Self::Internal => "a host that only the provider's own network knows",
        })
    }
}

/// All providers that are known.
pub const PROVIDERS: [Provider; 16] = [
    Provider {
        id: "neon",
        name: "Neon",
        hosts: &["neon.tech"],
        string: "Console → your project → Connect; switch connection pooling off, so that the host has no `-pooler`",
        caveats: &[
            "The URL stands for one branch: choose the one that production uses.",
            "A database that is scaled to zero wakes at the first connection; if that times out, run the command again.",
            "Old clients answer `endpoint … not found`: they do not send the host name in TLS. The direct host works here.",
            "Projects on Postgres 18 are newer than the target and are refused.",
        ],
        endpoints: EndpointRule::PoolerSuffix("-pooler"),
        is_local_only: false,
    },
    Provider {
        id: "supabase",
        name: "Supabase",
        hosts: &["supabase.co", "supabase.com"],
        string: "Dashboard → Connect → Session pooler: port 5432, user postgres.PROJECT. The direct host works only with the IPv4 add-on",
        caveats: &[
            "The Transaction pooler (port 6543) cannot carry a dump; port 5432 of the same host can.",
            "The direct host db.PROJECT.supabase.co has an IPv6 address only, unless the IPv4 add-on is bought.",
            "The prefix of the pooler's host (aws-0, aws-1) differs by project: copy it, it cannot be guessed.",
            "The schemas auth, storage, realtime, vault and graphql are the platform's. Foreign keys to auth.users and policies that call auth.uid() need a replacement.",
            "pg_graphql, pgsodium, supabase_vault and pg_net are not available on the target: drop them on a copy, or dump the schemas of the application alone (pg_dump -Fc -n public).",
        ],
        endpoints: EndpointRule::PoolerPort { pooler: 6543, direct: 5432 },
        is_local_only: false,
    },
    Provider {
        id: "railway",
        name: "Railway",
        hosts: &["rlwy.net", "railway.app", "railway.internal"],
        string: "The Postgres service → Variables → DATABASE_PUBLIC_URL",
        caveats: &[
            "DATABASE_URL names a host below railway.internal, which exists inside Railway only.",
            "The TCP proxy behind the public URL may be switched off: Settings → Networking. It can be closed again after the import.",
            "Traffic through the proxy is billed as egress.",
            "The database is usually called railway.",
        ],
        endpoints: EndpointRule::InternalSuffix(".railway.internal"),
        is_local_only: false,
    },
    Provider {
        id: "render",
        name: "Render",
        hosts: &["render.com"],
        string: "The database → Info → Connections → External Database URL",
        caveats: &[
            "The internal URL has a short host (dpg-…-a) that only Render's own network knows.",
            "Access Control has a list of addresses: a source that does not answer is mostly missing there.",
            "The connection must be encrypted, which it is unless the URL says otherwise.",
            "Free databases expire; their data is gone after the grace period.",
        ],
        endpoints: EndpointRule::InternalWithoutDot,
        is_local_only: false,
    },
    Provider {
        id: "heroku",
        name: "Heroku",
        hosts: &[],
        string: "heroku pg:credentials:url DATABASE --app APP, right before the import: credentials rotate",
        caveats: &[
            "Take the URL of the database, not of a connection-pool attachment.",
            "The certificate does not fit the host's name: leave sslmode=require as it is, verify-full fails.",
            "Extensions may live in the schema heroku_ext.",
            "Databases of private and shield spaces cannot be reached from outside: dump from a one-off dyno.",
            "heroku maintenance:on stops the writers for the time of the move.",
        ],
        endpoints: EndpointRule::Any,
        is_local_only: false,
    },
    Provider {
        id: "rds",
        name: "Amazon RDS and Aurora",
        hosts: &["rds.amazonaws.com"],
        string: "RDS console → the instance, or of Aurora the cluster's writer endpoint → Connectivity & security",
        caveats: &[
            "The instance must be publicly accessible and its security group must let the import in; else use --via-dump from a machine inside.",
            "Reader endpoints lag behind the writer.",
            "Objects of rdsadmin and the extensions aws_s3, aws_commons and aws_lambda do not travel.",
            "Logical replication needs rds.logical_replication = 1 in the parameter group, and a restart.",
        ],
        endpoints: EndpointRule::Any,
        is_local_only: false,
    },
    Provider {
        id: "cloud-sql",
        name: "Google Cloud SQL and AlloyDB",
        hosts: &[],
        string: "The instance → Overview → public IP address; the user and password are those of the database",
        caveats: &[
            "The importer's address must be among the authorized networks; a private IP needs --via-dump from inside the network.",
            "Connection names (project:region:instance) are sockets of the Auth Proxy, not hosts: run the proxy and use --via-dump.",
            "cloudsqlsuperuser is not a superuser: some objects may not be readable for it.",
        ],
        endpoints: EndpointRule::Any,
        is_local_only: false,
    },
    Provider {
        id: "azure",
        name: "Azure Database for PostgreSQL",
        hosts: &["postgres.database.azure.com"],
        string: "The flexible server → Overview → Server name; port 5432",
        caveats: &[
            "Port 6432 is the built-in PgBouncer and cannot carry a dump; port 5432 of the same host can.",
            "The firewall rules (Networking) must let the import in.",
            "The schemas and databases azure, azure_sys and azure_maintenance are the platform's.",
        ],
        endpoints: EndpointRule::PoolerPort { pooler: 6432, direct: 5432 },
        is_local_only: false,
    },
    Provider {
        id: "digitalocean",
        name: "DigitalOcean",
        hosts: &["db.ondigitalocean.com"],
        string: "Databases → the cluster → Connection details → public network, port 25060",
        caveats: &[
            "Port 25061 is a connection pool, and its last part of the URL is the pool's name: put the database's name there.",
            "Hosts that begin with private- are reachable inside the VPC only.",
            "Trusted sources must let the import in.",
        ],
        endpoints: EndpointRule::PrivatePrefix { prefix: "private-", pooler: 25061, direct: 25060 },
        is_local_only: false,
    },
    Provider {
        id: "fly",
        name: "Fly.io",
        hosts: &["flycast", "fly.dev"],
        string: "There is no public address: run `fly proxy 15432:5432 --app APP` (managed: `fly mpg proxy`) and use that port on localhost",
        caveats: &[
            "Import with --via-dump through the proxy: it dumps on this machine and uploads.",
            "Hosts below flycast and internal exist inside Fly's network only; pgbouncer hosts cannot carry a dump.",
        ],
        endpoints: EndpointRule::PublicSuffix { public: ".fly.dev", pooler: "pgbouncer." },
        is_local_only: true,
    },
    Provider {
        id: "aiven",
        name: "Aiven",
        hosts: &["aivencloud.com"],
        string: "The service → Overview → Connection information → Service URI",
        caveats: &[
            "Not the URI of a connection pool.",
            "The allowed IP addresses of the service must let the import in.",
            "aiven_extras belongs to the platform.",
        ],
        endpoints: EndpointRule::Any,
        is_local_only: false,
    },
    Provider {
        id: "crunchy",
        name: "Crunchy Bridge",
        hosts: &["postgresbridge.com"],
        string: "The cluster → Connection → the role's URL, port 5432",
        caveats: &[
            "Port 5431 is PgBouncer and cannot carry a dump.",
            "The cluster's firewall rules must let the import in.",
        ],
        endpoints: EndpointRule::PoolerPort { pooler: 5431, direct: 5432 },
        is_local_only: false,
    },
    Provider {
        id: "planetscale",
        name: "PlanetScale",
        hosts: &["psdb.cloud"],
        string: "The database → Connect → Postgres role, port 5432",
        caveats: &["Port 6432 is PgBouncer and cannot carry a dump.", "The connection must be encrypted."],
        endpoints: EndpointRule::PoolerPort { pooler: 6432, direct: 5432 },
        is_local_only: false,
    },
    Provider {
        id: "timescale",
        name: "Timescale (Tiger Data)",
        hosts: &["tsdb.cloud.timescale.com"],
        string: "The service → Connection info → direct connection, not the pooler",
        caveats: &[
            "timescaledb is not available on the target: copy hypertables into plain tables first, then drop the extension.",
        ],
        endpoints: EndpointRule::Any,
        is_local_only: false,
    },
    Provider {
        id: "xata",
        name: "Xata, Prisma Postgres, Nile",
        hosts: &["xata.sh", "db.prisma.io", "thenile.dev"],
        string: "The direct TCP connection string, which begins with postgres://",
        caveats: &["prisma+postgres:// is the address of an HTTP proxy, not of a Postgres server."],
        endpoints: EndpointRule::Any,
        is_local_only: false,
    },
    Provider {
        id: "local",
        name: "This machine or a private network",
        hosts: &[],
        string: "The same URL that psql uses here, with --via-dump",
        caveats: &[
            "The service cannot reach this network: --via-dump runs pg_dump here and uploads the dump.",
            "It needs a pg_dump that is not older than the source and not newer than the target; `capydb doctor` lists those found.",
        ],
        endpoints: EndpointRule::Any,
        is_local_only: true,
    },
];

/// The provider of a host, if the name gives it away.
pub fn recognize(host: &str) -> Option<&'static Provider> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if is_render_short(&host) {
        return named("render");
    }
    let below = |ending: &&str| host == **ending || host.strip_suffix(*ending).is_some_and(|rest| rest.ends_with('.'));
    PROVIDERS.iter().find(|provider| provider.hosts.iter().any(below))
}

/// The provider of a word.
pub fn named(id: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.id == id)
}

/// Checks a URL against the endpoints of its provider.
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

/// Render's internal hosts have no dots.
fn is_render_short(host: &str) -> bool {
    host.starts_with("dpg-") && !host.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(text: &str) -> String {
        match advise(&SourceUrl::parse(text).expect("reads")) {
            Advice::Fine => "fine".into(),
            Advice::Rewrite(_, url, why) => format!("{url} because it was {why}"),
            Advice::Refuse(provider, why) => format!("{}: {why}", provider.id),
        }
    }

    #[test]
    fn hosts_give_their_provider_away() {
        for (host, id) in [
            ("ep-a-1.eu-central-1.aws.neon.tech", "neon"),
            ("db.abc.supabase.co", "supabase"),
            ("aws-0-eu.pooler.supabase.com.", "supabase"),
            ("a.proxy.rlwy.net", "railway"),
            ("dpg-abc-a", "render"),
            ("dpg-abc-a.frankfurt-postgres.render.com", "render"),
            ("x.abc.eu-west-1.rds.amazonaws.com", "rds"),
            ("x.postgres.database.azure.com", "azure"),
            ("x-do-user-1.b.db.ondigitalocean.com", "digitalocean"),
            ("app.flycast", "fly"),
            ("pg-x.aivencloud.com", "aiven"),
            ("p.abc.db.postgresbridge.com", "crunchy"),
            ("x.pg.psdb.cloud", "planetscale"),
            ("a.b.tsdb.cloud.timescale.com", "timescale"),
            ("db.prisma.io", "xata"),
        ] {
            assert_eq!(recognize(host).map(|provider| provider.id), Some(id), "{host}");
        }
        for host in ["db.example.com", "notneon.tech", "neon.tech.example.com", "10.0.0.1"] {
            assert_eq!(recognize(host), None, "{host}");
        }
    }

    #[test]
    fn what_can_be_derived_is_mended() {
        for (given, mended) in [
            ("ep-a-1-pooler.eu.aws.neon.tech/d", "ep-a-1.eu.aws.neon.tech/d"),
            ("aws-0-eu.pooler.supabase.com:6543/d", "aws-0-eu.pooler.supabase.com:5432/d"),
            ("x.postgres.database.azure.com:6432/d", "x.postgres.database.azure.com:5432/d"),
            ("private-x.b.db.ondigitalocean.com:25061/d", "x.b.db.ondigitalocean.com:25060/d"),
            ("x.b.db.ondigitalocean.com:25061/d", "x.b.db.ondigitalocean.com:25060/d"),
            ("p.abc.db.postgresbridge.com:5431/d", "p.abc.db.postgresbridge.com:5432/d"),
            ("x.pg.psdb.cloud:6432/d", "x.pg.psdb.cloud:5432/d"),
        ] {
            let said = advice(&format!("postgres://u:secret@{given}"));
            assert!(said.starts_with(&format!("postgres://u:***@{mended} because it was a ")), "{said}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for (given, words) in [
            ("postgres.railway.internal:5432/railway", "railway: a host that only"),
            ("dpg-abc-a/d", "render: a host that only"),
            ("app.flycast:5432/d", "fly: a host that only"),
            ("pgbouncer.x.fly.dev/d", "fly: a pooled endpoint"),
        ] {
            let said = advice(&format!("postgres://u:secret@{given}"));
            assert!(said.starts_with(words), "{said}");
        }
    }

    #[test]
    fn direct_endpoints_are_left_alone() {
        for given in [
            "ep-a-1.eu-central-1.aws.neon.tech/d",
            "aws-0-eu.pooler.supabase.com:5432/d",
            "my-pooler.example.com:6543/d",
            "x.abc.eu-west-1.rds.amazonaws.com/d",
        ] {
            assert_eq!(advice(&format!("postgres://u@{given}")), "fine", "{given}");
        }
    }
}
