//! Rows of `spatial_ref_sys` that both PostGIS and the dump bring. `pg_dump` leaves out the rows of the
//! extension, but dumps of that table alone, of older versions and of other programs contain them.

use crate::server::target::exists;
use postgres_protocol::escape::escape_identifier;
use tokio_postgres::Client;

const NAME: &str = "capydb_replace_spatial_reference";

/// Schema of `spatial_ref_sys` if PostGIS created it.
const SCHEMA: &str = "select n.nspname::text from pg_extension e join pg_namespace n on n.oid = e.extnamespace
                      where e.extname = 'postgis' and to_regclass(format('%I.spatial_ref_sys', n.nspname)) is not null";

/// Until [`keep`], each row that is loaded into `spatial_ref_sys` replaces the extension's own. The
/// trigger runs with the rights of whoever loads.
pub(super) async fn replace(session: &Client) -> anyhow::Result<()> {
    let Some(row) = session.query_opt(SCHEMA, &[]).await? else { return Ok(()) };
    let schema = escape_identifier(row.get(0));
    let sql = format!(
        "create function {schema}.{NAME}() returns trigger language plpgsql set search_path = pg_catalog as $$ begin
             delete from {schema}.spatial_ref_sys where srid = new.srid;
             return new;
         end $$;
         create trigger {NAME} before insert on {schema}.spatial_ref_sys for each row execute function {schema}.{NAME}();
         alter table {schema}.spatial_ref_sys enable always trigger {NAME}"
    );
    Ok(session.batch_execute(&sql).await?)
}

/// Ends [`replace`].
pub(super) async fn keep(session: &Client) -> anyhow::Result<()> {
    let Some(row) = session.query_opt(SCHEMA, &[]).await? else { return Ok(()) };
    let schema = escape_identifier(row.get(0));
    if exists(session, "select from pg_trigger where tgname = $1", &[&NAME]).await? {
        session.batch_execute(&format!("drop function {schema}.{NAME}() cascade")).await?;
    }
    Ok(())
}
