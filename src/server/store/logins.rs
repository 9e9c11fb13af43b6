use super::{Store, new_id};
use crate::server::crypto::sha256;
use crate::wire::Organization;

/// A login that waits for a person, or has been decided.
#[derive(Debug, Clone)]
pub(crate) struct CliLogin {
    /// The machine that asks.
    pub device_name: String,
    /// `pending`, `approved` or `denied`.
    pub state: String,
    /// Whether its time is over.
    pub expired: bool,
    /// The organization that it was approved for.
    pub organization: Option<Organization>,
}

/// How long a person has to approve, in minutes.
const MINUTES: i32 = 15;

/// The most logins that wait at a time: asking for one needs no key.
const MOST_WAITING: i64 = 1000;

impl Store {
    /// Remembers a login; gives its id and end. `None` when too many wait already.
    pub(crate) async fn add_login(
        &self,
        device: &str,
        poll_token: &str,
    ) -> anyhow::Result<Option<(String, jiff::Timestamp)>> {
        let client = self.client().await?;
        client.execute("delete from cli_logins where expires_at < now() - interval '1 hour'", &[]).await?;
        let sql = "insert into cli_logins (id, poll_token_sha256, device_name, state, expires_at)
                   select $1, $2, $3, 'pending', now() + make_interval(mins => $4)
                   where (select count(*) from cli_logins where state = 'pending' and expires_at > now()) < $5
                   returning id, expires_at";
        let row = client.query_opt(sql, &[&new_id(), &sha256(poll_token), &device, &MINUTES, &MOST_WAITING]).await?;
        Ok(row.map(|row| (row.get(0), row.get(1))))
    }

    /// A login by its id; with a poll token only for the one who began it.
    pub(crate) async fn login(&self, id: &str, poll_token: Option<&str>) -> anyhow::Result<Option<CliLogin>> {
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

    /// Decides a login that waits: a sealed key approves it, none denies it. False when it does
    /// not wait any more.
    pub(crate) async fn decide_login(&self, id: &str, organization: &str, key: Option<&[u8]>) -> anyhow::Result<bool> {
        let sql = "update cli_logins set state = case when $3::bytea is null then 'denied' else 'approved' end,
                   organization_id = $2, api_key = $3 where id = $1 and state = 'pending' and expires_at > now()";
        Ok(self.client().await?.execute(sql, &[&id, &organization, &key]).await? == 1)
    }

    /// Takes the sealed key of an approved login, which can be done once.
    pub(crate) async fn take_login_key(&self, id: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let sql = "with taken as (select id, api_key from cli_logins where id = $1 and api_key is not null for update)
                   update cli_logins l set api_key = null from taken where l.id = taken.id returning taken.api_key";
        Ok(self.client().await?.query_opt(sql, &[&id]).await?.map(|row| row.get(0)))
    }
}
