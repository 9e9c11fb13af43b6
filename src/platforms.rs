//! Hosting providers, recognized by the roles, schemas and settings of their platforms.

/// A provider's platform, as visible in a database.
#[derive(Debug, PartialEq, Eq)]
pub struct Platform {
    /// Identifier in reports.
    pub id: &'static str,
    /// Display name.
    pub name: &'static str,
    /// Roles specific to the platform.
    pub roles: &'static [&'static str],
    /// Schemas that may belong to the platform.
    pub schemas: &'static [&'static str],
    /// The subset of `schemas` that identifies the platform.
    pub own_schemas: &'static [&'static str],
    /// Prefix of its settings; empty if it has none.
    pub settings: &'static str,
}

/// All known platforms, in order of precedence.
pub const PLATFORMS: [Platform; 11] = [
    Platform {
        id: "supabase",
        name: "Supabase",
        roles: &["supabase_admin", "supabase_auth_admin", "supabase_storage_admin"],
        schemas: &[
            "_analytics",
            "_realtime",
            "auth",
            "extensions",
            "graphql",
            "graphql_public",
            "net",
            "pgbouncer",
            "pgsodium",
            "pgsodium_masks",
            "realtime",
            "storage",
            "supabase_functions",
            "supabase_migrations",
            "vault",
        ],
        own_schemas: &["supabase_functions", "supabase_migrations", "_realtime", "pgsodium_masks"],
        settings: "",
    },
    Platform {
        id: "neon",
        name: "Neon",
        roles: &["neon_superuser", "neon_service"],
        schemas: &["neon", "neon_auth", "neon_migration"],
        own_schemas: &["neon", "neon_auth", "neon_migration"],
        settings: "neon",
    },
    Platform {
        id: "aws-rds",
        name: "Amazon RDS",
        roles: &["rds_superuser", "rdsadmin", "rds_replication"],
        schemas: &["rdsadmin", "aws_commons", "aws_s3", "aws_lambda"],
        own_schemas: &["rdsadmin", "aws_commons", "aws_s3", "aws_lambda"],
        settings: "rds",
    },
    Platform {
        id: "google-cloud-sql",
        name: "Google Cloud SQL",
        roles: &["cloudsqlsuperuser", "cloudsqladmin"],
        schemas: &["cloudsqladmin", "google_vacuum_mgmt", "google_ml"],
        own_schemas: &["cloudsqladmin", "google_vacuum_mgmt", "google_ml"],
        settings: "cloudsql",
    },
    Platform {
        id: "google-alloydb",
        name: "Google AlloyDB",
        roles: &["alloydbsuperuser", "alloydbadmin"],
        schemas: &["alloydbadmin"],
        own_schemas: &["alloydbadmin"],
        settings: "alloydb",
    },
    Platform {
        id: "azure",
        name: "Azure Database",
        roles: &["azure_pg_admin", "azuresu"],
        schemas: &["azure", "azure_sys", "azure_maintenance"],
        own_schemas: &["azure_sys", "azure_maintenance"],
        settings: "azure",
    },
    Platform {
        id: "digitalocean",
        name: "DigitalOcean",
        roles: &["doadmin"],
        schemas: &[],
        own_schemas: &[],
        settings: "",
    },
    Platform {
        id: "timescale",
        name: "Timescale",
        roles: &["tsdbadmin"],
        schemas: &[
            "_timescaledb_cache",
            "_timescaledb_catalog",
            "_timescaledb_config",
            "_timescaledb_functions",
            "_timescaledb_internal",
            "timescaledb_experimental",
            "timescaledb_information",
        ],
        own_schemas: &["_timescaledb_catalog", "_timescaledb_internal", "timescaledb_information"],
        settings: "timescaledb",
    },
    Platform {
        id: "aiven",
        name: "Aiven",
        roles: &["avnadmin"],
        schemas: &["aiven_extras"],
        own_schemas: &["aiven_extras"],
        settings: "aiven",
    },
    Platform {
        id: "heroku",
        name: "Heroku",
        roles: &[],
        schemas: &["heroku_ext", "_heroku"],
        own_schemas: &["heroku_ext", "_heroku"],
        settings: "",
    },
    Platform {
        id: "planetscale",
        name: "PlanetScale",
        roles: &["pscale_admin", "pscale_superuser"],
        schemas: &["pscale_extensions"],
        own_schemas: &["pscale_extensions"],
        settings: "pscale",
    },
];

/// The platform of a dump, from the roles and schemas that it names, and the signs that match.
pub fn of_dump(roles: &[&str], schemas: &[&str]) -> Option<(&'static Platform, Vec<String>)> {
    recognize(1, roles, schemas, &[])
}

/// The platform of a live database, from its schemas, and the roles and setting prefixes of its server, and
/// the signs that match. Roles belong to all databases of a server, and a dump of another one may have left
/// one behind: it takes two, or one and another sign.
pub fn of_server(roles: &[&str], schemas: &[&str], settings: &[&str]) -> Option<(&'static Platform, Vec<String>)> {
    recognize(2, roles, schemas, settings)
}

fn recognize(
    roles_needed: usize,
    roles: &[&str],
    schemas: &[&str],
    settings: &[&str],
) -> Option<(&'static Platform, Vec<String>)> {
    let named = |kind: &str, names: &[&str], known: &[&str]| -> Vec<String> {
        names.iter().filter(|name| known.contains(name)).map(|name| format!("{kind} {name}")).collect()
    };
    PLATFORMS.iter().find_map(|platform| {
        let of_roles = named("role", roles, platform.roles);
        let mut others = named("schema", schemas, platform.own_schemas);
        if !platform.settings.is_empty() {
            others.extend(named("setting", settings, &[platform.settings]));
        }
        // Each of these names is common, but all three together are Supabase's.
        if platform.id == "supabase" && ["auth", "storage", "realtime"].iter().all(|part| schemas.contains(part)) {
            others.push("schemas auth, storage and realtime".to_owned());
        }
        // Some have only one role.
        let enough = !of_roles.is_empty() && of_roles.len() >= roles_needed.min(platform.roles.len());
        let is_recognized = !others.is_empty() || enough;
        is_recognized.then(|| (platform, [of_roles, others].concat()))
    })
}

/// Whether a schema may belong to a platform. Common names such as `auth` are included.
pub fn may_be_platform(schema: &str) -> bool {
    PLATFORMS.iter().any(|platform| platform.schemas.contains(&schema))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_recognized_by_roles_and_schemas() {
        let id_of = |roles: &[&str], schemas: &[&str]| of_dump(roles, schemas).map(|(platform, _)| platform.id);
        assert_eq!(id_of(&["supabase_admin"], &[]), Some("supabase"));
        assert_eq!(id_of(&[], &["auth", "public", "realtime", "storage"]), Some("supabase"));
        assert_eq!(id_of(&[], &["auth", "public"]), None);
        assert_eq!(id_of(&[], &["heroku_ext"]), Some("heroku"));
        assert_eq!(id_of(&["bob"], &[]), None);
        // One role of a server is not enough.
        let of_server =
            |roles: &[&str], schemas: &[&str]| of_server(roles, schemas, &[]).map(|(platform, _)| platform.id);
        assert_eq!(of_server(&["supabase_admin"], &["public"]), None);
        assert_eq!(of_server(&["supabase_admin", "supabase_auth_admin"], &["public"]), Some("supabase"));
        assert_eq!(of_server(&["bob"], &["heroku_ext"]), Some("heroku"));
    }
}
