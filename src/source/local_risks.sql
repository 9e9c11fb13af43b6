-- Risks of dumping a source database as one JSON document, read in a read-only transaction.
set statement_timeout = '30s';
set search_path = pg_catalog;
begin read only;
with schema as (
    select oid, nspname from pg_namespace
    where nspname !~ '^pg_' and nspname <> 'information_schema'
), relation as (
    select c.oid, c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity, c.relowner, n.oid as schema_oid,
           format('%I.%I', n.nspname, c.relname) as name
    from pg_class c join schema n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'm', 'S')
      and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
), me as (
    select oid, rolsuper or rolbypassrls as sees_all from pg_roles where rolname = current_user
)
select json_build_object(
    'role', current_user,
    'closed_schemas', (
        select coalesce(json_agg(format('%I', nspname) order by nspname), '[]') from schema s
        where not has_schema_privilege(s.oid, 'usage') and exists (select from relation r where r.schema_oid = s.oid)),
    'unreadable', (
        select coalesce(json_agg(name order by name), '[]') from relation
        where case relkind when 'S' then not has_sequence_privilege(oid, 'select') else not has_table_privilege(oid, 'select') end),
    'hidden_rows', (
        select coalesce(json_agg(name order by name), '[]') from relation, me
        where relrowsecurity and not me.sees_all
          and (relforcerowsecurity or not pg_has_role(relowner, 'usage'))),
    'unlogged', (select coalesce(json_agg(name order by name), '[]') from relation where relpersistence = 'u' and relkind = 'r'),
    'large_objects', (select count(*) from pg_largeobject_metadata),
    'invalid_indexes', (
        select coalesce(json_agg(format('%s on %s', i.indexrelid::regclass, r.name) order by r.name), '[]')
        from pg_index i join relation r on r.oid = i.indrelid where not i.indisvalid and r.relkind = 'r'),
    'unvalidated', (
        select coalesce(json_agg(format('%I on %s', c.conname, r.name) order by r.name, c.conname), '[]')
        from pg_constraint c join relation r on r.oid = c.conrelid where not c.convalidated and c.contype in ('f', 'c')),
    'extension_users', (
        select coalesce(json_object_agg(extname, users), '{}') from (
            select e.extname, json_agg(distinct pg_describe_object(u.classid, u.objid, u.objsubid)) as users
            from pg_extension e
            join pg_depend m on m.refclassid = 'pg_extension'::regclass and m.refobjid = e.oid and m.deptype = 'e'
            join pg_depend u on u.refclassid = m.classid and u.refobjid = m.objid and u.deptype in ('n', 'a')
            where e.extname <> 'plpgsql'
              and u.classid not in ('pg_amop'::regclass, 'pg_amproc'::regclass, 'pg_opclass'::regclass, 'pg_opfamily'::regclass)
              and not exists (select from pg_depend own where own.classid = u.classid and own.objid = u.objid and own.deptype = 'e')
            group by e.extname) used),
    'collations', COLLATIONS
)::text;
rollback;
