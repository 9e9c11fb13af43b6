//! Checks the foreign keys of a database whose rows were loaded with foreign keys off.

/// SQL that fails if rows violate a validated foreign key, and names each key with the number of its
/// rows. The server never checks such rows itself. Runs as the owner, so row security that is forced
/// on owners is suspended.
pub(super) const CHECK_FOREIGN_KEYS: &str = r"
reset session_replication_role;
do $capydb$
declare
    forced regclass[] := array(select oid::regclass from pg_catalog.pg_class where relforcerowsecurity);
    item regclass;
    key record;
    violations bigint;
    total bigint := 0;
    keys text[] := '{}';
begin
    set local search_path = pg_catalog;
    foreach item in array forced loop
        execute format('alter table %s no force row level security', item);
    end loop;
    for key in
        select c.conname,
               format('%s%s', case when source.relkind = 'p' then '' else 'only ' end, c.conrelid::regclass) as source,
               format('%s%s', case when target.relkind = 'p' then '' else 'only ' end, c.confrelid::regclass) as target,
               c.conrelid::regclass as name,
               c.confmatchtype = 'f' as is_full,
               (select string_agg(format('source.%I', a.attname), ', ' order by k.position)
                from unnest(c.conkey) with ordinality k (number, position)
                join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.number) as columns,
               (select string_agg(format('target.%I operator(%I.%s) source.%I', t.attname, n.nspname, o.oprname, s.attname),
                                  ' and ' order by k.position)
                from unnest(c.conkey, c.confkey, c.conpfeqop) with ordinality k (source, target, operator, position)
                join pg_attribute s on s.attrelid = c.conrelid and s.attnum = k.source
                join pg_attribute t on t.attrelid = c.confrelid and t.attnum = k.target
                join pg_operator o on o.oid = k.operator
                join pg_namespace n on n.oid = o.oprnamespace) as is_match
        from pg_constraint c
        join pg_class source on source.oid = c.conrelid
        join pg_class target on target.oid = c.confrelid
        where c.contype = 'f' and c.convalidated and c.conparentid = 0
        order by c.conrelid::regclass::text, c.conname
    loop
        -- MATCH FULL rejects rows in which only some of the columns are null.
        execute format('select count(*) from %s source where %s and not exists (select from %s target where %s)',
                       key.source,
                       format(case when key.is_full then 'num_nonnulls(%s) > 0' else 'num_nulls(%s) = 0' end, key.columns),
                       key.target, key.is_match)
            into violations;
        if violations > 0 then
            total := total + violations;
            keys := keys || format('%s rows of %s violate %I', violations, key.name, key.conname);
        end if;
    end loop;
    foreach item in array forced loop
        execute format('alter table %s force row level security', item);
    end loop;
    if total > 0 then
        raise exception using errcode = '23503',
            message = format('rows were loaded with foreign keys off, and %s of them violate a foreign key: %s',
                             total, array_to_string(keys[1:10], '; '));
    end if;
end
$capydb$;
";
