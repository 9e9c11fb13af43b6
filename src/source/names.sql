-- Names of the application's objects as one JSON list, the same on both sides of an import.
with schema as (
    select oid, nspname from pg_catalog.pg_namespace
    where nspname !~ '^pg_' and nspname <> 'information_schema'
), member as (
    select classid, objid from pg_catalog.pg_depend where deptype = 'e'
)
select coalesce(pg_catalog.json_agg(name), '[]')::text from (
    select pg_catalog.left(name, 300) as name from (
    -- Tables, views, sequences and indexes share their names.
    select pg_catalog.format('relation %I.%I', n.nspname, c.relname) as name
    from pg_catalog.pg_class c join schema n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f', 'i', 'I')
      and not exists (select from member d where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid)
    union all
    select pg_catalog.format('function %I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid))
    from pg_catalog.pg_proc p join schema n on n.oid = p.pronamespace
    where not exists (select from pg_catalog.pg_depend d
                      where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype in ('e', 'i'))
    union all
    select pg_catalog.format('type %I.%I', n.nspname, t.typname)
    from pg_catalog.pg_type t join schema n on n.oid = t.typnamespace left join pg_catalog.pg_class c on c.oid = t.typrelid
    where (t.typtype in ('d', 'e', 'r') or c.relkind = 'c')
      and not exists (select from member d where d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.objid = t.oid)
    union all
    select 'large object ' || oid from pg_catalog.pg_largeobject_metadata) object order by name limit 20000) listed
