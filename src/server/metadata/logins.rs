//! CLI logins that are approved in a browser.

use super::{Caller, Store, new_id};
use crate::server::crypto::sha256;
use crate::wire::Organization;
use tokio_postgres::types::ToSql;

/// A CLI login that is pending, approved or denied.
#[derive(Debug, Clone)]
pub(crate) struct CliLogin {
    /// Name of the machine to log in.
    pub device_name: String,
    /// `pending`, `approved` or `denied`.
    pub state: String,
    /// Whether it has expired.
    pub expired: bool,
    /// The organization that it was approved for.
    pub organization: Option<Organization>,
}

/// The fields of a new login.
pub(crate) struct NewLogin<'a> {
    /// Name of the machine to log in.
    pub device: &'a str,
    /// Token of the client that started the login.
    pub poll_token: &'a str,
    /// Name of the key to create.
    pub key_name: Option<&'a str>,
    /// Expiry of that key.
    pub key_expires_at: Option<jiff::Timestamp>,
}

/// How long a login can be approved, in minutes.
const MINUTES: i32 = 15;

/// Maximum number of pending logins, because starting one needs no key.
const MAX_PENDING: i64 = 1000;

impl Store {
    /// Stores a login, and returns its id and expiry. `None` if too many logins are pending.
    pub(crate) async fn add_login(&self, new: &NewLogin<'_>) -> anyhow::Result<Option<(String, jiff::Timestamp)>> {
        let client = self.client().await?;
        let sql =
            "insert into cli_logins (id, poll_token_sha256, device_name, state, key_name, key_expires_at, expires_at)
                   select $1, $2, $3, 'pending', $4, $5, now() + make_interval(mins => $6)
                   where (select count(*) from cli_logins where state = 'pending' and expires_at > now()) < $7
                   returning id, expires_at";
        let (id, token) = (new_id(), sha256(new.poll_token));
        let row = client
            .query_opt(sql, &[&id, &token, &new.device, &new.key_name, &new.key_expires_at, &MINUTES, &MAX_PENDING])
            .await?;
        Ok(row.map(|row| (row.get(0), row.get(1))))
    }

    /// Deletes expired logins, and keys that were approved but never fetched.
    pub(crate) async fn delete_old_logins(&self) -> anyhow::Result<()> {
        let sql = "with gone as (delete from cli_logins where expires_at < now() - interval '1 hour' returning *)
                   delete from api_keys where id in (select api_key_id from gone where api_key is not null)";
        self.client().await?.execute(sql, &[]).await?;
        Ok(())
    }

    /// A login by its id. With a poll token, only if the token matches.
    pub(crate) async fn login(&self, id: &str, poll_token: Option<&str>) -> anyhow::Result<Option<CliLogin>> {
        if id.contains('\0') {
            return Ok(None); // Postgres text cannot contain NUL
        }
        let sql = "select l.device_name, l.state, l.expires_at < now(), o.id, o.name, o.slug
                   from cli_logins l left join organizations o on o.id = l.organization_id
                   where l.id = $1 and ($2::bytea is null or l.poll_token_sha256 = $2)";
        let row = self.client().await?.query_opt(sql, &[&id, &poll_token.map(sha256)]).await?;
        Ok(row.map(|row| CliLogin {
            device_name: row.get(0),
            state: row.get(1),
            expired: row.get(2),
            organization: row.get::<_, Option<String>>(3).map(|id| Organization {
                id,
                name: row.get(4),
                slug: row.get(5),
            }),
        }))
    }

    /// Denies a pending login. False if it is no longer pending.
    pub(crate) async fn deny_login(&self, id: &str) -> anyhow::Result<bool> {
        let sql = "update cli_logins set state = 'denied' where id = $1 and state = 'pending' and expires_at > now()";
        Ok(self.client().await?.execute(sql, &[&id]).await? == 1)
    }

    /// Approves a pending login, and in the same statement creates a key with the permissions of the
    /// approver. False if the login is no longer pending.
    pub(crate) async fn approve_login(
        &self,
        id: &str,
        caller: &Caller,
        key: &str,
        sealed: &[u8],
    ) -> anyhow::Result<bool> {
        let sql = "with approved as (
                       update cli_logins set state = 'approved', organization_id = $2, api_key_id = $3, api_key = $4
                       where id = $1 and state = 'pending' and expires_at > now()
                       returning key_name, key_expires_at)
                   insert into api_keys (id, organization_id, project_id, key_sha256, scopes, name, expires_at)
                   select $3, $2, $5, $6, $7, key_name,
                       least(key_expires_at, (select expires_at from api_keys where id = $8)) from approved";
        let Caller { organization, project_id, scopes, key_id: approver } = caller;
        let (key_id, hash) = (new_id(), sha256(key));
        let client = self.client().await?;
        let values: [&(dyn ToSql + Sync); 8] =
            [&id, &organization.id, &key_id, &sealed, project_id, &hash, scopes, approver];
        Ok(client.execute(sql, &values).await? == 1)
    }

    /// Removes and returns the encrypted key of an approved login. Works once, and before the expiry.
    pub(crate) async fn take_login_key(&self, id: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let sql = "with taken as (select id, api_key from cli_logins
                                  where id = $1 and api_key is not null and expires_at > now() for update)
                   update cli_logins l set api_key = null from taken where l.id = taken.id returning taken.api_key";
        Ok(self.client().await?.query_opt(sql, &[&id]).await?.map(|row| row.get(0)))
    }
}
