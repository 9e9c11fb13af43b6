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
    select 'operator ' || o.oid::pg_catalog.regoperator from pg_catalog.pg_operator o join schema n on n.oid = o.oprnamespace
    where not exists (select from member d where d.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass and d.objid = o.oid)
    union all
    select pg_catalog.format('collation %I.%I', n.nspname, c.collname) from pg_catalog.pg_collation c join schema n on n.oid = c.collnamespace
    where not exists (select from member d where d.classid = 'pg_catalog.pg_collation'::pg_catalog.regclass and d.objid = c.oid)
    union all
    select pg_catalog.format('conversion %I.%I', n.nspname, c.conname) from pg_catalog.pg_conversion c join schema n on n.oid = c.connamespace
    where not exists (select from member d where d.classid = 'pg_catalog.pg_conversion'::pg_catalog.regclass and d.objid = c.oid)
    union all
    select pg_catalog.format('statistics %I.%I', n.nspname, s.stxname) from pg_catalog.pg_statistic_ext s join schema n on n.oid = s.stxnamespace
    where not exists (select from member d where d.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass and d.objid = s.oid)
    union all
    select pg_catalog.format('text search configuration %I.%I', n.nspname, c.cfgname) from pg_catalog.pg_ts_config c join schema n on n.oid = c.cfgnamespace
    where not exists (select from member d where d.classid = 'pg_catalog.pg_ts_config'::pg_catalog.regclass and d.objid = c.oid)
    union all
    select pg_catalog.format('text search dictionary %I.%I', n.nspname, d.dictname) from pg_catalog.pg_ts_dict d join schema n on n.oid = d.dictnamespace
    where not exists (select from member m where m.classid = 'pg_catalog.pg_ts_dict'::pg_catalog.regclass and m.objid = d.oid)
    union all
    select pg_catalog.format('cast (%s as %s)', pg_catalog.format_type(c.castsource, null), pg_catalog.format_type(c.casttarget, null))
    from pg_catalog.pg_cast c
    where c.oid >= 16384
      and not exists (select from pg_catalog.pg_depend d
                      where d.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass and d.objid = c.oid and d.deptype in ('e', 'i'))
    union all
    select 'large object ' || oid from pg_catalog.pg_largeobject_metadata) object order by name limit 20000) listed
