-- The contents of a database as sorted lines that can be compared between servers: every object
-- with its kind, and every table with its row count. Excludes objects of extensions and objects
-- that an import always skips.
with application as (
    select oid, nspname from pg_namespace n
    where nspname !~ '^pg_' and nspname <> 'information_schema'
      and not exists (select from pg_depend d where d.classid = 'pg_namespace'::regclass and d.objid = n.oid and d.deptype = 'e')
), relations as (
    select c.oid, c.relkind, c.relrowsecurity, c.relforcerowsecurity, format('%I.%I', a.nspname, c.relname) as name
    from pg_class c join application a on a.oid = c.relnamespace
    where not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
)
-- Quotes are removed, because the set of reserved words depends on the Postgres version.
select replace(line, '"', '') from (
select format('schema %s', nspname) from application
union all
select format('relation %s %s rls %s %s', relkind, name, relrowsecurity, relforcerowsecurity) from relations where relkind <> 't'
union all
select format('column %s.%s %s notnull %s identity %s generated %s default %s', r.name, a.attname, format_type(a.atttypid, a.atttypmod),
              a.attnotnull, a.attidentity, a.attgenerated, a.atthasdef)
from relations r join pg_attribute a on a.attrelid = r.oid
where r.relkind in ('r', 'p', 'v', 'm', 'c') and a.attnum > 0 and not a.attisdropped
union all
select format('index %s on %s unique %s valid %s', i.indexrelid::regclass, r.name, i.indisunique, i.indisvalid)
from relations r join pg_index i on i.indrelid = r.oid
where r.relkind in ('r', 'p', 'm')
union all
select format('constraint %s %s on %s', c.contype, c.conname, coalesce(r.name, c.contypid::regtype::text))
from pg_constraint c left join relations r on r.oid = c.conrelid join application a on a.oid = c.connamespace
where c.contype <> 'n' and (c.conrelid = 0 or r.name is not null)
union all
select format('trigger %s on %s %s', t.tgname, r.name, t.tgenabled) from pg_trigger t join relations r on r.oid = t.tgrelid where not t.tgisinternal
union all
select format('policy %s on %s for %s to %s', p.polname, r.name, p.polcmd,
              array(select coalesce(rolname, 'public') from unnest(p.polroles) u left join pg_roles on pg_roles.oid = u order by 1))
from pg_policy p join relations r on r.oid = p.polrelid
union all
select format('rule %s on %s', w.rulename, r.name) from pg_rewrite w join relations r on r.oid = w.ev_class
union all
select format('function %s %s.%s(%s)', p.prokind, a.nspname, p.proname, replace(pg_get_function_identity_arguments(p.oid), '"', ''))
from pg_proc p join application a on a.oid = p.pronamespace
where not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
union all
select format('type %s %s.%s', t.typtype, a.nspname, t.typname)
from pg_type t join application a on a.oid = t.typnamespace
where t.typtype in ('d', 'e', 'r', 'c')
  and (t.typrelid = 0 or exists (select from relations r where r.oid = t.typrelid))
  and not exists (select from pg_depend d where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e')
union all
select format('operator %s.%s %s %s', a.nspname, o.oprname, o.oprleft::regtype, o.oprright::regtype)
from pg_operator o join application a on a.oid = o.oprnamespace
where not exists (select from pg_depend d where d.classid = 'pg_operator'::regclass and d.objid = o.oid and d.deptype = 'e')
union all
select format('cast %s as %s', c.castsource::regtype, c.casttarget::regtype) from pg_cast c
where c.oid >= 16384 and not exists (select from pg_depend d where d.classid = 'pg_cast'::regclass and d.objid = c.oid and d.deptype = 'e')
union all
select format('enum %s %s', e.enumtypid::regtype, string_agg(e.enumlabel, ',' order by e.enumsortorder)) from pg_enum e group by e.enumtypid
union all
select format('sequence %s.%s at %s', schemaname, sequencename, last_value) from pg_sequences
union all
select format('extension %s', extname) from pg_extension
union all
select format('publication %s all %s', pubname, puballtables) from pg_publication where not puballtables
union all
select format('large objects %s', count(*)) from pg_largeobject_metadata
union all
select format('comment on %s', d.objoid::regclass) from pg_description d join relations r on r.oid = d.objoid where d.classoid = 'pg_class'::regclass and d.objsubid = 0
union all
select format('rows of %s: %s', name, (xpath('/row/n/text()', query_to_xml('select count(*) as n from ' || case when relkind = 'p' then '' else 'only ' end || name, false, true, '')))[1])
from relations where relkind in ('r', 'p')
) lines (line)
order by 1;
