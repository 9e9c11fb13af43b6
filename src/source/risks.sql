-- Risks of importing a source database as one JSON document, read in a read-only transaction.
set statement_timeout = '30s';
set search_path = pg_catalog;
begin read only;
with schema as (
    select oid, nspname from pg_namespace
    where nspname !~ '^pg_' and nspname <> 'information_schema'
), member as (
    select classid, objid, refobjid as extension from pg_depend
    where deptype = 'e' and refclassid = 'pg_extension'::regclass
), config as (
    -- Tables of extensions whose rows pg_dump reads, with the condition for these rows.
    select e.extname, t.oid, nullif(e.extcondition[t.number], '') as condition
    from pg_extension e, unnest(e.extconfig) with ordinality t (oid, number)
), relation as (
    select c.oid, c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity, c.relowner, c.reltoastrelid,
           n.oid as schema_oid, format('%I.%I', n.nspname, c.relname) as name
    from pg_class c join schema n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'm', 'S')
      and not exists (select from member d where d.classid = 'pg_class'::regclass and d.objid = c.oid)
), dumped as (
    -- What pg_dump reads rows from: those of materialized views are computed anew.
    select oid, relkind, name, schema_oid, relrowsecurity, relforcerowsecurity, relowner from relation where relkind <> 'm'
    union all
    select c.oid, c.relkind, format('%I.%I', n.nspname, c.relname), n.oid, c.relrowsecurity, c.relforcerowsecurity, c.relowner
    from config t join pg_class c on c.oid = t.oid join pg_namespace n on n.oid = c.relnamespace
), routine as (
    select p.oid, p.proowner, p.prosecdef, p.proleakproof, p.proconfig, p.oid::regprocedure::text as name,
           coalesce(to_jsonb(p) ->> 'prosupport', '-') as support, l.lanname, l.lanpltrusted
    from pg_proc p join schema n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang
    where not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype in ('e', 'i'))
), data_type as (
    select t.oid, t.typtype, t.typisdefined, t.oid::regtype::text as name from pg_type t join schema n on n.oid = t.typnamespace
    where not exists (select from pg_depend d where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype in ('e', 'i'))
      and not exists (select from pg_type e where e.typarray = t.oid)
), superuser_object as (
    select format('function %s: language %s', name, lanname) as name from routine
    where (lanname in ('c', 'internal') or not lanpltrusted)
      and not exists (select from pg_aggregate a where a.aggfnoid = routine.oid)
    union all
    select format('function %s: LEAKPROOF', name) from routine where proleakproof and lanname not in ('c', 'internal')
    union all
    select format('function %s: support function', name) from routine where support not in ('-', '0')
    union all
    select format('transform for %s language %I', t.trftype::regtype, l.lanname)
    from pg_transform t join pg_language l on l.oid = t.trflang
    where not exists (select from member d where d.classid = 'pg_transform'::regclass and d.objid = t.oid)
    union all
    select format('aggregate %s: state of type internal', r.name) from routine r join pg_aggregate a on a.aggfnoid = r.oid
    where a.aggtranstype = 'internal'::regtype
    union all
    select format('operator class %I.%I', n.nspname, o.opcname) from pg_opclass o join schema n on n.oid = o.opcnamespace
    where not exists (select from member d where d.classid = 'pg_opclass'::regclass and d.objid = o.oid)
    union all
    select format('operator family %I.%I', n.nspname, o.opfname) from pg_opfamily o join schema n on n.oid = o.opfnamespace
    where not exists (select from member d where d.classid = 'pg_opfamily'::regclass and d.objid = o.oid)
      and not exists (select from pg_opclass c where c.opcfamily = o.oid)
    union all
    select format('cast (%s as %s)', c.castsource::regtype, c.casttarget::regtype) from pg_cast c
    where c.oid >= 16384
      and (c.castmethod = 'b' or not exists (
          select from pg_type t where t.oid in (c.castsource, c.casttarget) and t.oid >= 16384
            and not exists (select from member d where d.classid = 'pg_type'::regclass and d.objid = t.oid)))
      and not exists (select from pg_depend d where d.classid = 'pg_cast'::regclass and d.objid = c.oid and d.deptype in ('e', 'i'))
    union all
    select format('base type %s', name) from data_type where typtype = 'b' or not typisdefined
    union all
    select format('text search parser %I.%I', n.nspname, p.prsname) from pg_ts_parser p join schema n on n.oid = p.prsnamespace
    where not exists (select from member d where d.classid = 'pg_ts_parser'::regclass and d.objid = p.oid)
    union all
    select format('text search template %I.%I', n.nspname, t.tmplname) from pg_ts_template t join schema n on n.oid = t.tmplnamespace
    where not exists (select from member d where d.classid = 'pg_ts_template'::regclass and d.objid = t.oid)
    union all
    select format('access method %I', amname) from pg_am
    where oid >= 16384 and not exists (select from member d where d.classid = 'pg_am'::regclass and d.objid = pg_am.oid)
    union all
    select format('language %I', lanname) from pg_language l
    where lanispl and oid >= 16384 and not exists (select from member d where d.classid = 'pg_language'::regclass and d.objid = l.oid)
    union all
    select format('foreign data wrapper %I', fdwname) from pg_foreign_data_wrapper f
    where not exists (select from member d where d.classid = 'pg_foreign_data_wrapper'::regclass and d.objid = f.oid)
    union all
    select format('foreign server %I', srvname) from pg_foreign_server f
    where not exists (select from member d where d.classid = 'pg_foreign_server'::regclass and d.objid = f.oid)
), me as (
    select oid, rolconnlimit, rolsuper, rolsuper or rolbypassrls as sees_all from pg_roles where rolname = current_user
), here as (
    select d.oid, d.datconnlimit, to_jsonb(d) as properties, pg_encoding_to_char(d.encoding) as encoding
    from pg_database d where d.datname = current_database()
), session as (
    select count(*) as all_roles, count(*) filter (where usesysid = me.oid) as own, count(*) filter (where datid = here.oid) as in_database
    from pg_stat_activity, me, here where datid is not null
)
select json_build_object(
    'role', current_user,
    'database', current_database(),
    'is_standby', pg_is_in_recovery(),
    'objects', (select count(*) from pg_class c join schema n on n.oid = c.relnamespace
                where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
                  and not exists (select from member d where d.classid = 'pg_class'::regclass and d.objid = c.oid))
        + (select count(*) from routine) + (select count(*) from data_type),
    'names', (NAMES)::json,
    'other_databases', (
        select coalesce(json_agg(datname order by datname), '[]') from (
            select datname from pg_database
            where datallowconn and not datistemplate and datname <> current_database() and has_database_privilege(oid, 'connect')
            order by datname limit 20) other),
    'closed_schemas', (
        select coalesce(json_agg(format('%I', nspname) order by nspname), '[]') from schema s
        where not has_schema_privilege(s.oid, 'usage') and exists (select from dumped r where r.schema_oid = s.oid)),
    'unreadable', (
        select coalesce(json_agg(name order by name), '[]') from dumped
        where case relkind when 'S' then not has_sequence_privilege(oid, 'select') else not has_table_privilege(oid, 'select') end),
    'unreadable_large_objects', (
        select count(*) from pg_largeobject_metadata o, me
        where not me.rolsuper and not pg_has_role(o.lomowner, 'usage') and current_setting('lo_compat_privileges') = 'off'
          and not exists (select from aclexplode(o.lomacl) a
                          where a.privilege_type = 'SELECT' and (a.grantee = 0 or pg_has_role(a.grantee, 'usage')))),
    'hidden_rows', (
        select coalesce(json_agg(name order by name), '[]') from dumped, me
        where relrowsecurity and relkind <> 'p' and not me.sees_all
          and (relforcerowsecurity or not pg_has_role(relowner, 'usage'))),
    'row_security', (
        select coalesce(json_agg(name order by name), '[]') from relation
        where relkind in ('r', 'p') and relrowsecurity and not relforcerowsecurity),
    'policy_roles', (
        select coalesce(json_agg(distinct format('%I', r.rolname)), '[]')
        from pg_policy p cross join unnest(p.polroles) role join pg_roles r on r.oid = role join relation t on t.oid = p.polrelid),
    'definer_functions', (
        select coalesce(json_agg(name order by name), '[]') from routine p
        where p.prosecdef and exists (select from relation r where r.relowner <> p.proowner)),
    'definer_views', (
        select coalesce(json_agg(distinct format('%I.%I', n.nspname, v.relname)), '[]')
        from pg_class v join schema n on n.oid = v.relnamespace
        join pg_rewrite w on w.ev_class = v.oid
        join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass
        join relation r on r.oid = d.refobjid
        where v.relkind = 'v' and r.relrowsecurity and v.relowner <> r.relowner
          and coalesce(array_to_string(v.reloptions, ','), '') !~ 'security_invoker=(true|on|1|yes)'),
    'unlogged', (
        select coalesce(json_agg(name order by name), '[]') from relation where relpersistence = 'u' and relkind in ('r', 'S')),
    'large_objects', (select count(*) from pg_largeobject_metadata),
    'invalid_indexes', (
        select coalesce(json_agg(format('%s on %s', i.indexrelid::regclass, r.name) order by r.name), '[]')
        from pg_index i join relation r on r.oid = i.indrelid where not i.indisvalid and r.relkind in ('r', 'm')),
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
    'extension_tables', (
        select coalesce(json_agg(json_build_object('name', format('%I.%I', n.nspname, c.relname), 'extension', e.extname) order by 1), '[]')
        from member m join pg_class c on m.classid = 'pg_class'::regclass and c.oid = m.objid
        join pg_namespace n on n.oid = c.relnamespace join pg_extension e on e.oid = m.extension
        where c.relkind in ('r', 'p') and c.oid not in (select oid from config) and has_table_privilege(c.oid, 'select')
          and has_schema_privilege(n.oid, 'usage')),
    'configuration_tables', (
        select coalesce(json_agg(json_build_object('name', c.oid::regclass::text, 'extension', t.extname, 'condition', t.condition)), '[]')
        from config t join pg_class c on c.oid = t.oid
        where t.condition is not null and c.relkind = 'r' and has_table_privilege(c.oid, 'select')
          and has_schema_privilege(c.relnamespace, 'usage')),
    'wide_tables', (
        select coalesce(json_agg(json_build_object('name', name, 'expression', expression)), '[]') from (
            select r.name, string_agg(
                format(case atttypid when 'bytea'::regtype then 'coalesce(octet_length(%I), 0)::bigint * 2' else 'coalesce(octet_length(%I), 0)::bigint' end, attname), ' + ') as expression
            from relation r join pg_attribute a on a.attrelid = r.oid
            where r.relkind = 'r' and r.reltoastrelid <> 0 and a.attnum > 0 and not a.attisdropped
              and atttypid in ('bytea'::regtype, 'text'::regtype, 'varchar'::regtype)
              and pg_relation_size(r.reltoastrelid) > 1048576 and pg_relation_size(r.oid) < 67108864
              and has_table_privilege(r.oid, 'select')
            group by r.oid, r.name, r.reltoastrelid order by pg_relation_size(r.reltoastrelid) desc limit 10) wide),
    'superuser_objects', (select coalesce(json_agg(name order by name), '[]') from superuser_object),
    'definitions', (
        -- What functions of indexes and materialized views may name without a schema, as SQL.
        select coalesce(string_agg(text || E';\n', '' order by kind) filter (where length < 2000000), '') from (
            select kind, text, sum(octet_length(text)) over (order by kind, text) as length from (
                select 1 as kind, format('create table %s ()', name) as text from relation
                union all
                select 1, format('create type %I.%I as enum ()', n.nspname, t.typname)
                from data_type d join pg_type t on t.oid = d.oid join schema n on n.oid = t.typnamespace
                where d.typtype in ('d', 'e', 'r') or (select relkind from pg_class where oid = t.typrelid) = 'c'
                union all
                select 2, pg_get_functiondef(oid) from routine r
                where lanname in ('sql', 'plpgsql') and not exists (select from pg_aggregate a where a.aggfnoid = r.oid)
                union all
                select 3, pg_get_indexdef(i.indexrelid) from pg_index i join relation r on r.oid = i.indrelid
                where i.indexprs is not null or i.indpred is not null
                union all
                select 4, format('create view %I.%I as %s', n.nspname, c.relname, rtrim(pg_get_viewdef(c.oid), ';'))
                from pg_class c join schema n on n.oid = c.relnamespace
                where c.relkind = 'v'
                  and not exists (select from member d where d.classid = 'pg_class'::regclass and d.objid = c.oid)
                union all
                select 5, format('create materialized view %s as %s', r.name, rtrim(pg_get_viewdef(r.oid), ';'))
                from relation r join pg_class c on c.oid = r.oid where r.relkind = 'm' and c.relispopulated
            ) definition) limited),
    'text_columns', (
        -- Text of a database that never checked it, from small to large tables.
        select coalesce(json_agg(json_build_object('name', name, 'expression', expression)), '[]') from (
            select r.name, string_agg(format('coalesce(%I::text, '''')', attname), ' || ') as expression
            from here, relation r join pg_attribute a on a.attrelid = r.oid
            where here.encoding = 'SQL_ASCII' and r.relkind = 'r' and a.attnum > 0 and not a.attisdropped
              and atttypid in ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'json'::regtype, 'jsonb'::regtype)
              and has_table_privilege(r.oid, 'select')
            group by r.oid, r.name order by pg_relation_size(r.oid) limit 100) texts),
    'function_settings', (
        select coalesce(json_agg(json_build_object('function', name, 'setting', split_part(config, '=', 1))), '[]')
        from routine, unnest(proconfig) config),
    'settings', (
        select coalesce(json_agg(json_build_object('role', r.rolname, 'name', split_part(config, '=', 1),
                                                   'value', substr(config, strpos(config, '=') + 1))
                                 order by r.rolname nulls first, (s.setdatabase = 0) desc), '[]')
        from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole cross join here cross join unnest(s.setconfig) config
        where s.setdatabase = here.oid or (s.setdatabase = 0 and r.rolname = current_user)),
    'collation', (
        select json_build_object(
            'encoding', encoding, 'provider', coalesce(properties ->> 'datlocprovider', 'c'),
            'collate', properties ->> 'datcollate', 'ctype', properties ->> 'datctype',
            'locale', coalesce(properties ->> 'datlocale', properties ->> 'daticulocale'),
            'rules', properties ->> 'daticurules') from here),
    'sorted_indexes', (
        select coalesce(json_agg(distinct i.indexrelid::regclass::text), '[]')
        from pg_index i join relation r on r.oid = i.indrelid join pg_attribute a on a.attrelid = i.indexrelid
        where a.attcollation = 100),
    'tables', (select count(*) from relation where relkind in ('r', 'p')),
    'lock_capacity', current_setting('max_locks_per_transaction')::bigint
        * (select sum(setting::bigint) from pg_settings
           where name in ('max_connections', 'max_prepared_transactions', 'autovacuum_max_workers',
                          'max_worker_processes', 'max_wal_senders')),
    'free_connections', (
        select least(
            current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint - all_roles,
            case when me.rolconnlimit >= 0 and not me.rolsuper then me.rolconnlimit - own end,
            case when here.datconnlimit >= 0 and not me.rolsuper then here.datconnlimit - in_database end)
        from session, me, here),
    'collations', COLLATIONS
)::text;
rollback;
