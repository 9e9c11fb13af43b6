//! What fails is foreseen, and what is foreseen fails.

use crate::grade;
use crate::support::fixtures::{Source, control_plane, psql, source, test_dir, try_psql};

#[test]
fn an_empty_source_does_not_replace_a_full_target() {
    let full = source().create("live_full", "create table orders (id int primary key); insert into orders values (1)");
    let empty = source().create("live_empty", "");
    let graded = grade("live full", &full).only(&[]);
    graded.imported();
    // The target has tables now.
    let arguments = ["--source-url", &empty, "--recreate", "--wait"];
    let refused = graded.project.import(&arguments).fails(5, "source_not_empty");
    assert!(refused.stderr.contains("the database live_empty is empty"), "{refused:#?}");
    assert!(
        refused.stderr.contains("live_full has tables") && refused.stderr.contains("--allow-empty"),
        "{refused:#?}"
    );
    let job =
        graded.project.import_by_api(&serde_json::json!({ "confirm": true, "recreate": true, "source_url": empty }));
    assert!(job.to_string().contains("is empty, and would replace a target that has tables"), "{job}");
    assert_eq!(graded.project.sql("select count(*) from orders"), "1");
    graded.project.import(&[&arguments[..], &["--allow-empty"]].concat()).succeeds();
    assert_eq!(graded.project.sql("select to_regclass('orders') is null"), "t");
    // The same from a dump, made here or given.
    let full_project = control_plane().project("live full again");
    full_project.import(&["--source-url", &full, "--recreate", "--wait"]).succeeds();
    let dump = test_dir().join("empty.dump");
    source().dump("live_empty", "custom", &dump);
    let file = dump.to_str().expect("UTF-8 path");
    let replaced = full_project.import(&["--file", file, "--recreate", "--wait"]).fails(1, "the dump is empty");
    assert!(replaced.stderr.contains("--allow-empty"), "{replaced:#?}");
    assert_eq!(full_project.sql("select count(*) from orders"), "1");
    full_project.import(&["--file", file, "--recreate", "--allow-empty", "--wait"]).succeeds();
    // An empty target loses nothing.
    grade("live empty", &empty).has("source_not_empty", "warn", &["live_full has tables"]).imported();
}

#[test]
fn objects_that_need_a_superuser_are_refused() {
    for (name, sql, object) in [
        ("internal", "create function up(text) returns text language internal immutable strict as 'upper'", "function public.up(text): language internal"),
        ("leakproof", "create function lp(int) returns int language sql immutable leakproof as 'select $1'", "function public.lp(integer): LEAKPROOF"),
        (
            "operators",
            "create function cmp(int, int) returns int language sql immutable as 'select $2 - $1';
             create operator class backwards for type int using btree as operator 1 >, operator 2 >=, operator 3 =, operator 4 <=, operator 5 <, function 1 cmp(int, int)",
            "operator class public.backwards",
        ),
        ("family", "create operator family fam using btree", "operator family public.fam"),
        ("custom", "create function f() returns int language sql set app.x = '1' as 'select 1'", "function public.f(): sets app.x"),
        ("support", "create function s(int) returns int language sql support generate_series_int4_support as 'select 1'", "function public.s(integer): support function"),
        ("citext", "create extension citext; create function ci(citext) returns int language sql as 'select 1'; create cast (citext as int) with function ci(citext)", "cast (public.citext as integer)"),
        ("setting", "create function f() returns int language sql set session_replication_role = replica as 'select 1'", "function public.f(): sets session_replication_role"),
        ("cast", "create type pair as (a int); create function to_pair(text) returns pair language sql immutable as 'select row(1)::pair';
                  create cast (text as pair) with function to_pair(text); create cast (int8 as timestamptz) without function", "cast (bigint as timestamp with time zone)"),
        ("wrapper", "create foreign data wrapper nothing; create server far foreign data wrapper nothing; create foreign table f (x int) server far", "foreign server far"),
        ("aggregate", "create aggregate sum_of(int8) (sfunc = int8_avg_accum, stype = internal, finalfunc = numeric_poly_sum)", "aggregate public.sum_of(bigint)"),
    ] {
        let url = source().create(&format!("live_{name}"), &format!("create table t (id int); {sql}"));
        grade(&format!("su {name}"), &url).has("no_superuser_objects", "fail", &[object]).refused("no_superuser_objects");
    }
}

#[test]
fn functions_that_rely_on_the_search_path_are_named() {
    for (name, sql, function) in [
        (
            "index",
            "create table docs (id int, body text);
             create function norm(t text) returns text language sql immutable as $$ select lower(t) $$;
             create function slug(t text) returns text language plpgsql immutable as $$ begin return norm(t); end $$;
             create index on docs (slug(body))",
            "ALTER FUNCTION public.slug SET search_path",
        ),
        (
            "nested",
            "create table docs (id int);
             create function total() returns bigint language sql stable as 'select count(*) from docs';
             create view sums as select total() as n; create materialized view totals as select n from sums",
            "ALTER FUNCTION public.total SET search_path",
        ),
        (
            "view",
            "create table docs (id int);
             create function total() returns bigint language sql stable as 'select count(*) from docs';
             create materialized view totals as select total() as n",
            "ALTER FUNCTION public.total SET search_path",
        ),
    ] {
        let url = source().create(&format!("live_path_{name}"), sql);
        let graded = grade(&format!("path {name}"), &url).has("functions_find_their_tables", "fail", &[function]);
        // What the fix says works.
        let function = function.split_whitespace().nth(2).expect("a function");
        graded.refused("functions_find_their_tables");
        psql(&url, &format!("alter function {function} set search_path = public, pg_temp"));
        grade(&format!("path {name} fixed"), &url).only(&[]).imported();
    }
}

/// All commands of a fix are complete, so that they can be pasted.
#[test]
fn fixes_name_all_objects() {
    let url = source().create(
        "live_many_fixes",
        "create role many_reader login password 'source-secret'; create schema \"Odd.\"; create table \"Odd.\".last (id serial);
         grant usage on schema \"Odd.\" to many_reader;
         do $$ begin for t in 1..9 loop execute format('create table t%s (id int)', t); end loop; end $$",
    );
    let reader = url.replace("owner:", "many_reader:");
    let fix = grade("many unreadable", &reader).has("source_readable", "fail", &["11 tables"]).fix("source_readable");
    psql(&url, fix.split_once("run as the owner: ").expect("a command").1);
    grade("many readable", &reader).has("source_readable", "pass", &[]);
}

#[test]
fn functions_that_need_no_search_path_are_left_alone() {
    let url = source().create(
        "live_path_own",
        "create table cfg (id int); create table n (i int);
         create function sets() returns bigint language plpgsql as
             'begin perform set_config(''search_path'', ''public'', true); return (select count(*) from cfg); end';
         create function branches(x int) returns bigint language plpgsql immutable as
             'begin if x = 99 then return (select count(*) from cfg); end if; return x; end';
         create function variable(docs int) returns bigint language plpgsql immutable as
             'declare n bigint; begin n := docs; with d as (select 1) select count(*) from d into n; return n; end';
         create materialized view counts as select sets() as c;
         create index on n (branches(i)); create index on n (variable(i))",
    );
    grade("path own", &url).only(&[]).imported();
}

#[test]
fn rights_are_graded_as_a_dump_needs_them() {
    let url = source().create(
        "live_rights",
        "create role live_reader login password 'source-secret';
         create table open (id int); insert into open values (1); grant select on open to live_reader;
         create materialized view computed as select count(*) from open;
         create table parent (id int) partition by range (id); create table part partition of parent for values from (0) to (9);
         alter table parent enable row level security; grant select on parent, part to live_reader",
    );
    let reader = url.replace("owner:", "live_reader:");
    // The rows of a materialized view are never read.
    let graded = grade("live reader", &reader).has("source_readable", "pass", &[]).has("all_rows_visible", "pass", &[]);
    graded.imported();
    assert_eq!(graded.project.sql("select count from computed"), "1");
    psql(&url, "select lo_from_bytea(4711, 'x')");
    let graded = grade("live reader objects", &reader).has("source_readable", "fail", &["1 large object"]);
    let fix = graded.fix("source_readable");
    graded.refused("source_readable");
    psql(&url, fix.split_once("run as the owner: ").expect("a command").1);
    grade("live reader granted", &reader).has("source_readable", "pass", &[]).imported();
}

#[test]
fn the_configuration_tables_of_an_extension_must_be_readable() {
    let server = Source::start(17, &[]);
    let url = server.create(
        "config",
        "create extension postgis; revoke select on spatial_ref_sys from public;
         create role config_reader login password 'source-secret';
         create table t (id int, g geometry); grant select on t to config_reader",
    );
    grade("config reader", &url.replace("owner:", "config_reader:"))
        .has("source_readable", "fail", &["public.spatial_ref_sys"])
        .refused("source_readable");
}

#[test]
fn limits_of_the_source_are_foreseen() {
    let server = Source::start(15, &["max_locks_per_transaction=10", "max_connections=20"]);
    let url = server.create(
        "many",
        "do $$ begin for t in 1..700 loop execute format('create table t%s (id int)', t); commit; end loop; end $$",
    );
    grade("many tables", &url)
        .has("locks_available", "fail", &["700 tables", "max_locks_per_transaction"])
        .refused("locks_available");
    let url = server.create(
        "huge",
        "create table b (id int, d bytea);
         insert into b select 1, decode(repeat('5c', 300 * 1024 * 1024), 'hex') || decode(repeat('00', 300 * 1024 * 1024), 'hex')",
    );
    grade("huge row", &url).has("rows_within_limits", "fail", &["public.b", "1.3 GB"]).refused("rows_within_limits");
}

#[test]
fn text_of_an_unknown_encoding_is_read_before_the_dump() {
    psql(&source().url("postgres"), "create database live_ascii encoding 'SQL_ASCII' template template0 locale 'C'");
    let url = source().url("live_ascii");
    psql(&url, "create table t (v text); insert into t values (E'caf\\xc3\\xa9')");
    let graded = grade("ascii utf8", &url).has("source_encoding_known", "warn", &["SQL_ASCII"]);
    graded.imported();
    assert_eq!(graded.project.sql("select v from t"), "café");
    psql(&url, "insert into t values (E'caf\\xe9')");
    let graded = grade("ascii latin", &url).has("source_encoding_known", "fail", &["public.t", "--source-encoding"]);
    graded.refused("source_encoding_known");
}

#[test]
fn names_on_both_sides_are_found_before_the_dump() {
    let first = source().create(
        "live_first",
        "create schema app; create table app.a (id int primary key); insert into app.a values (1);
         create table app.parts (id int) partition by range (id);
         create type app.state as enum ('x'); create function app.f(int) returns int language sql as 'select 1';
         create operator app.=== (leftarg = int, rightarg = int, function = int4eq);
         create collation app.c (provider = icu, locale = 'de'); create text search configuration app.words (copy = english);
         select lo_from_bytea(50001, 'x')",
    );
    let second = source().create(
        "live_second",
        "create schema app; create table app.b (id int primary key); insert into app.b values (2)",
    );
    let graded = grade("live names", &first);
    graded.imported();
    // A schema of the same name is no clash.
    graded.project.import(&["--source-url", &second, "--wait"]).succeeds();
    assert_eq!(graded.project.sql("select (select id from app.a), (select id from app.b)"), "1|2");
    let again = graded.project.import(&["--source-url", &first, "--wait"]).fails(5, "names_free_on_target");
    for name in [
        "relation app.a",
        "relation app.a_pkey",
        "relation app.parts",
        "type app.state",
        "function app.f(integer)",
        "large object 50001",
        "operator app.===(integer,integer)",
        "collation app.c",
        "text search configuration app.words",
    ] {
        assert!(again.stderr.contains(name), "no {name}: {again:#?}");
    }
}

#[test]
fn rows_that_a_standby_does_not_have_are_told() {
    let primary = Source::start(15, &["wal_level=replica"]);
    let url = primary.create(
        "app",
        "create unlogged table cache (id serial, v text); insert into cache (v) values ('x');
         create table kept (id int); insert into kept values (1)",
    );
    grade("primary", &url).has("all_rows_included", "pass", &[]).has("no_unlogged_tables", "warn", &["either way"]);
    let standby = primary.standby();
    let graded = grade("standby", &format!("{}?sslmode=disable", standby.url("app")))
        .has("all_rows_included", "warn", &["public.cache", "import from the primary"])
        .has("no_unlogged_tables", "warn", &["public.cache"]);
    let output = graded.imported();
    assert!(output.stdout.contains("ROWS OF public.cache"), "{output:#?}");
    assert_eq!(graded.project.sql("select (select count(*) from cache), (select count(*) from kept)"), "0|1");
}

#[test]
fn rows_that_pg_dump_leaves_out_are_told() {
    let server = Source::start(17, &[]);
    let url = server.create(
        "left_out",
        "create extension hstore; create table owned (x int); insert into owned values (1), (2);
         alter extension hstore add table owned;
         create extension postgis; update spatial_ref_sys set srtext = 'changed' where srid = 4326;
         insert into spatial_ref_sys values (990001, 'me', 1, 'x', 'y');
         create table t (x int, y int); insert into t values (1, 1), (1, 2)",
    );
    try_psql(&url, "create unique index concurrently twice on t (x)");
    let graded = grade("left out", &url)
        .has("all_rows_included", "warn", &["public.owned (2)", "spatial_ref_sys (1)"])
        .has("indexes_valid", "warn", &["twice", "pg_dump leaves them out"]);
    let output = graded.imported();
    for text in ["2 × ROWS OF public.owned", "1 × CHANGED ROWS OF public.spatial_ref_sys", "1 × INDEX"] {
        assert!(output.stdout.contains(text), "no {text}: {output:#?}");
    }
    assert_eq!(graded.project.sql("select srtext from spatial_ref_sys where srid = 990001"), "x");
}

#[test]
fn a_source_of_a_newer_version_is_refused() {
    let server = Source::start(18, &[]);
    let url = server.create("newer", "create table t (id int)");
    grade("newer", &url)
        .has("source_version_compatible", "fail", &["Postgres 18"])
        .refused("source_version_compatible");
}
