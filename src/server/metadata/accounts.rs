//! API keys and organizations.

use super::{Store, new_id};
use crate::server::crypto::sha256;
use crate::wire::Organization;

/// The caller of a request: the holder of a valid API key.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Id of the key, for rate limits.
    pub key_id: String,
    /// The organization that owns the key.
    pub organization: Organization,
    /// The only project that the key may access, if the key is restricted.
    pub project_id: Option<String>,
    /// Scopes of the key.
    pub scopes: Vec<String>,
}

impl Caller {
    /// Whether the key has a scope.
    pub(crate) fn may(&self, scope: &str) -> bool {
        self.scopes.iter().any(|has| has == scope)
    }
}

impl Store {
    /// Finds the holder of a key. Only hashes are stored and compared, so timing reveals nothing about
    /// a key.
    pub(crate) async fn caller(&self, key: &str) -> anyhow::Result<Option<Caller>> {
        let sql = "select o.id, o.name, o.slug, k.project_id, k.scopes, k.id
                   from api_keys k join organizations o on o.id = k.organization_id where k.key_sha256 = $1 and (k.expires_at is null or k.expires_at > now())";
        let row = self.client().await?.query_opt(sql, &[&sha256(key)]).await?;
        Ok(row.map(|row| Caller {
            organization: Organization { id: row.get(0), name: row.get(1), slug: row.get(2) },
            project_id: row.get(3),
            scopes: row.get(4),
            key_id: row.get(5),
        }))
    }

    /// Id and name of the organization with this slug, created if missing.
    pub(crate) async fn organization(&self, name: &str, slug: &str) -> anyhow::Result<(String, String)> {
        let client = self.client().await?;
        let sql = "insert into organizations (id, name, slug) values ($1, $2, $3) on conflict (slug) do nothing";
        client.execute(sql, &[&new_id(), &name, &slug]).await?;
        let row = client.query_one("select id, name from organizations where slug = $1", &[&slug]).await?;
        Ok((row.get(0), row.get(1)))
    }

    /// Stores a key of an organization.
    pub(crate) async fn add_key(&self, organization: &str, key: &str) -> anyhow::Result<()> {
        let sql = "insert into api_keys (id, organization_id, key_sha256, scopes) values ($1, $2, $3, $4)
                   on conflict (key_sha256) do nothing";
        let scopes = ["projects:read", "projects:write"].map(str::to_owned).to_vec();
        self.client().await?.execute(sql, &[&new_id(), &organization, &sha256(key), &scopes]).await?;
        Ok(())
    }

    /// Revokes a key. False if it does not exist.
    pub(crate) async fn remove_key(&self, key: &str) -> anyhow::Result<bool> {
        let sql = "delete from api_keys where key_sha256 = $1";
        Ok(self.client().await?.execute(sql, &[&sha256(key)]).await? == 1)
    }
}
