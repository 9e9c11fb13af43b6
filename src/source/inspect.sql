-- Facts about a source database as one JSON document, read in a read-only transaction.
set statement_timeout = '15s';
set search_path = pg_catalog;
begin read only;
select json_build_object(
    'server_version', current_setting('server_version'),
    'database_size_bytes', pg_database_size(current_database()),
    'extensions', (
        select coalesce(json_agg(json_build_object('name', extname, 'version', extversion) order by extname), '[]')
        from pg_extension),
    'schemas', (
        select coalesce(json_agg(nspname order by nspname), '[]')
        from pg_namespace n
        where nspname !~ '^pg_' and nspname <> 'information_schema'
          and not exists (select from pg_depend d where d.classid = 'pg_namespace'::regclass and d.objid = n.oid and d.deptype = 'e')),
    'roles', (
        select coalesce(json_agg(rolname order by rolname), '[]')
        from pg_roles
        where rolname in ('rds_superuser', 'cloudsqlsuperuser', 'alloydbsuperuser', 'azure_pg_admin', 'neon_superuser',
                          'supabase_admin', 'doadmin', 'tsdbadmin', 'avnadmin', 'pscale_admin', 'pscale_superuser')),
    'setting_prefixes', (
        select coalesce(json_agg(distinct split_part(name, '.', 1)), '[]')
        from pg_settings
        where name ~ '^(rds|azure|cloudsql|alloydb|neon|pscale)\.'),
    'event_triggers', (
        select coalesce(json_agg(evtname order by evtname), '[]')
        from pg_event_trigger t
        where not exists (select from pg_depend d where d.classid = 'pg_event_trigger'::regclass and d.objid = t.oid and d.deptype = 'e')),
    'auth_fks', (
        select coalesce(json_agg(json_build_object('constraint', c.conname, 'source_table', c.conrelid::regclass::text,
                                                   'target_table', c.confrelid::regclass::text) order by c.conname), '[]')
        from pg_constraint c
        join pg_class target on target.oid = c.confrelid
        join pg_namespace tn on tn.oid = target.relnamespace
        join pg_class source on source.oid = c.conrelid
        join pg_namespace sn on sn.oid = source.relnamespace
        where c.contype = 'f' and tn.nspname = 'auth' and sn.nspname not in ('auth', 'storage', 'realtime')),
    'auth_policy_tables', (
        select coalesce(json_agg(distinct p.polrelid::regclass::text), '[]')
        from pg_policy p
        join pg_class c on c.oid = p.polrelid
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname not in ('auth', 'storage', 'realtime')
          and concat(pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) like '%auth.%'),
    'wal_level', current_setting('wal_level'),
    'max_replication_slots', current_setting('max_replication_slots')::int,
    'used_replication_slots', (select count(*) from pg_replication_slots),
    'max_wal_senders', current_setting('max_wal_senders')::int,
    'role_can_replicate', (select rolreplication or rolsuper from pg_roles where rolname = current_user)
)::text;
rollback;
