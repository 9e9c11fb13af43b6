//! What a dump does not contain is carried over or told.

use crate::grade;
use crate::support::fixtures::{control_plane, psql, source, try_psql};

#[test]
fn row_security_that_does_not_apply_is_told() {
    let url = source().create(
        "live_rls",
        "create role live_app login password 'source-secret';
         create table orders (id int primary key, tenant text); insert into orders values (1, 'a'), (2, 'b'), (3, 'b');
         alter table orders enable row level security;
         create policy by_tenant on orders to live_app using (tenant = current_setting('app.tenant', true));
         create table forced (id int); alter table forced enable row level security; alter table forced force row level security;
         create table plain (id int); insert into plain values (1);
         grant select (id, tenant) on orders to live_app; grant usage on schema public to live_app",
    );
    let graded = grade("live rls", &url).has("row_security_applies", "warn", &["public.orders", "live_app"]);
    assert!(!graded.report.to_string().contains("public.forced"), "{}", graded.report);
    let output = graded.imported();
    assert!(output.stdout.contains("warning") && output.stdout.contains("public.orders"), "{output:#?}");
    // The project's role sees all rows, a role with the rights of the source's sees its own.
    let seen = "set app.tenant = 'a'; select count(*) from orders";
    assert_eq!(graded.project.sql(seen), "3");
    let url_of = |role: &str| {
        let output = control_plane().run(&["projects", "url", "--project", "live-rls", "--role", role]).succeeds();
        output.stdout.trim().to_owned()
    };
    let app = url_of("live_app");
    assert_eq!(psql(&app, seen), "1");
    assert_eq!(app, url_of("live_app"), "the URL stays the same");
    assert!(try_psql(&app, "insert into orders values (4, 'a')").stderr.contains("permission denied for table orders"));
    assert!(try_psql(&app, "select * from plain").stderr.contains("permission denied for table plain"));
    // It is no member of the role that all projects share.
    assert!(try_psql(&app, "set role live_app").stderr.contains("permission denied to set role"));
    // Any other role may read and write what policies allow.
    let other = url_of("Some Report");
    assert_eq!(
        psql(
            &other,
            "insert into plain values (2); select (select count(*) from plain), (select count(*) from orders)"
        ),
        "2|0"
    );
    // Revoked rights are not granted again by printing the URL, and the next import keeps the roles.
    let login = psql(&other, "select current_user");
    graded.project.sql(&format!("revoke all on plain from \"{login}\""));
    assert!(
        try_psql(&url_of("Some Report"), "select * from plain").stderr.contains("permission denied for table plain")
    );
    graded.imported();
    assert_eq!(psql(&app, seen), "1");
    assert_eq!(psql(&other, "select count(*) from plain"), "1");
    // Another project with the same role name sees nothing of this one.
    let stranger = control_plane().project("live stranger");
    let output =
        control_plane().run(&["projects", "url", "--project", &stranger.slug, "--role", "live_app"]).succeeds();
    let stranger_url = output.stdout.trim();
    let (start, rest) = stranger_url.rsplit_once('/').expect("a URL");
    let parameters = rest.split_once('?').expect("parameters").1;
    let database = graded.project.sql("select current_database()");
    let foreign = try_psql(&format!("{start}/{database}?{parameters}"), "select * from orders");
    assert!(foreign.stderr.contains("permission denied for database"), "{foreign:#?}");
    for name in ["pg_read_all_data", "", "postgres"] {
        let output = control_plane().run(&["projects", "url", "--project", "live-rls", "--role", name]);
        if output.code == 0 {
            let superuser = "select rolsuper from pg_catalog.pg_roles where rolname = current_user";
            assert_eq!(psql(output.stdout.trim(), superuser), "f");
        } else {
            output.fails(1, "name must have");
        }
    }
}

#[test]
fn rights_of_other_owners_are_told() {
    let url = source().create(
        "live_definer",
        "create role live_other; grant create on schema public to live_other;
         create table secret (id int); alter table secret enable row level security;
         create function peek() returns bigint language sql security definer as 'select count(*) from public.secret';
         alter function peek() owner to live_other; grant select on secret to live_other;
         create view peeking as select * from secret; alter view peeking owner to live_other;
         create view invoking with (security_invoker = true) as select * from secret; alter view invoking owner to live_other",
    );
    let graded = grade("live definer", &url).has(
        "definer_rights_kept",
        "warn",
        &["SECURITY DEFINER function public.peek()", "view public.peeking"],
    );
    assert!(!graded.report.to_string().contains("invoking"), "{}", graded.report);
}

#[test]
fn a_materialized_view_is_computed_from_all_rows() {
    let url = source().create(
        "live_forced",
        "create table t (id int primary key, tenant int); insert into t select i, i % 3 from generate_series(1, 30) i;
         alter table t enable row level security; alter table t force row level security;
         create policy p on t using (tenant = 0);
         create materialized view counts as select tenant, count(*) from t group by 1",
    );
    let graded = grade("live forced", &url).only(&[]);
    graded.imported();
    assert_eq!(graded.project.sql("select tenant, count from counts order by 1"), "0|10\n1|10\n2|10");
    assert_eq!(graded.project.sql("select relforcerowsecurity from pg_class where relname = 't'"), "t");
}

#[test]
fn settings_of_the_database_are_carried_over() {
    let url = source().create(
        "live_settings",
        "create schema app; create table app.users (id int primary key); insert into app.users values (1);
         create role live_batch;
         alter database live_settings set search_path = app, \"$user\", public;
         alter database live_settings set timezone = 'America/New_York';
         alter database live_settings set app.token = 'canary-setting';
         alter database live_settings set log_statement = 'all';
         alter database live_settings set default_transaction_read_only = off;
         alter database live_settings set plpgsql.check_asserts = off;
         alter role live_batch in database live_settings set statement_timeout = '1h'",
    );
    let graded = grade("live settings", &url).has(
        "database_settings_kept",
        "warn",
        &["carried over: search_path, TimeZone, app.token", "log_statement", "statement_timeout of role live_batch"],
    );
    assert!(!graded.report.to_string().contains("canary-setting"), "{}", graded.report);
    // A setting of an earlier import does not outlast this one.
    let database = graded.project.sql("select current_database()");
    graded.project.sql(&format!("alter database {database} set timezone = 'Asia/Kolkata'"));
    let output = graded.imported();
    assert!(!format!("{output:?}").contains("canary-setting"), "{output:#?}");
    assert!(output.stdout.contains("SETTING log_statement"), "{output:#?}");
    assert_eq!(graded.project.sql("select count(*) from users"), "1");
    assert_eq!(
        graded
            .project
            .sql("select current_setting('search_path'), current_setting('timezone'), current_setting('app.token')"),
        "app, \"$user\", public|America/New_York|canary-setting"
    );
}

#[test]
fn text_is_sorted_as_in_the_source() {
    psql(
        &source().url("postgres"),
        "create database live_german locale_provider icu icu_locale 'de-DE' template template0",
    );
    let url = source().url("live_german");
    psql(&url, "create table n (v text primary key); insert into n values ('a'), ('B'), ('ä'), ('z'), ('Z')");
    let graded = grade("live german", &url).has("database_collation_kept", "pass", &["de-DE (ICU)"]);
    graded.imported();
    let sorted = "select string_agg(v, '' order by v) from n";
    assert_eq!(graded.project.sql(sorted), psql(&url, sorted));
    // In place, the target keeps its order, and that is told.
    let other = crate::support::fixtures::control_plane().project("live german in place");
    let output = other.import(&["--source-url", &url, "--wait"]).succeeds();
    assert!(output.stderr.contains("database_collation_kept") && output.stdout.contains("warning"), "{output:#?}");
    assert_ne!(other.sql(sorted), psql(&url, sorted));
}
