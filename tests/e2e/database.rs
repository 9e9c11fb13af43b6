//! Tests of the API's access to a project's database: extensions and SQL statements.

use crate::support::fixtures::{Project, control_plane, psql};
use crate::support::until;
use serde_json::{Value, json};

fn sql(project: &Project<'_>, body: &Value) -> (u16, Value) {
    let (status, mut response) = control_plane().call("POST", &format!("/v1/projects/{}/sql", project.id), Some(body));
    if status != 200 {
        return (status, response["error"].take());
    }
    (status, response["result"].take())
}

#[test]
fn extensions_are_listed_with_their_state_in_the_project() {
    let project = control_plane().project("extensions");
    let (status, response) = control_plane().call("GET", &format!("/v1/projects/{}/extensions", project.id), None);
    assert_eq!(status, 200, "{response}");
    let list = response["extensions"].as_array().expect("a list");
    let extension = |name: &str| list.iter().find(|entry| entry["name"] == name).expect("listed").clone();
    assert!(extension("vector")["enabled"] == true && extension("vector")["installed_version"].is_string());
    assert!(extension("postgis")["enabled"] == false && extension("postgis")["trusted"] == false);
    assert!(extension("citext")["trusted"] == true && extension("citext")["default_version"].is_string());
    assert!(extension("citext")["installed_version"].is_null() && extension("plpgsql")["enabled"] == true);
    project.sql("create extension citext");
    let (_, response) = control_plane().call("GET", &format!("/v1/projects/{}/extensions", project.id), None);
    assert_eq!(response["extensions"].as_array().expect("a list").len(), list.len());
    assert!(response.to_string().contains("\"installed_version\":\"1."), "{response}");
}

#[test]
fn a_statement_returns_its_rows() {
    let project = control_plane().project("statements");
    project.sql("create table t (n int, b bool, f float8, m numeric, j jsonb, s text, z timestamptz)");
    project.sql("insert into t values (1, true, 1.5, 0.10, '{\"a\": [1]}', 'é', '2026-01-02 03:04:05+00'), (2, null, null, null, null, null, null)");
    let (status, result) = sql(&project, &json!({ "query": "select n, b, f, m, j, s from t order by n;" }));
    assert_eq!(status, 200, "{result}");
    assert_eq!(result["columns"], json!(["n", "b", "f", "m", "j", "s"]));
    assert_eq!(result["rows"], json!([[1, true, 1.5, "0.10", { "a": [1] }, "é"], [2, null, null, null, null, null]]));
    assert!(result["row_count"] == 2 && result["truncated"] == false && result["duration_ms"].is_u64(), "{result}");
    // The statement runs as the project's own role.
    let (_, result) =
        sql(&project, &json!({ "query": "select current_user, rolsuper from pg_roles where rolname = current_user" }));
    assert_eq!(
        (result["rows"][0][0].as_str().expect("a name").starts_with("capy_statements_"), &result["rows"][0][1]),
        (true, &json!(false))
    );
    let (_, result) =
        sql(&project, &json!({ "query": "insert into t select generate_series(10, 19) returning n", "max_rows": 3 }));
    assert_eq!((result["row_count"].as_u64(), &result["truncated"]), (Some(10), &json!(true)));
    assert_eq!(project.sql("select count(*) from t"), "12", "every row was written, not only those returned");
    let (_, result) = sql(&project, &json!({ "query": "delete from t where n >= 10" }));
    assert_eq!((result["row_count"].as_u64(), &result["columns"]), (Some(10), &json!([])));
    for read_only in [false, true] {
        let (status, result) =
            sql(&project, &json!({ "query": "select g from generate_series(1, 100000) g", "read_only": read_only }));
        assert_eq!((status, result["rows"].as_array().map(Vec::len)), (200, Some(1000)));
        assert_eq!((&result["truncated"], &result["rows"][999]), (&json!(true), &json!([1000])));
    }
    for query in ["show server_version_num", "explain select 1", "values (1), (2)", "select 1 -- and a comment"] {
        let (status, result) = sql(&project, &json!({ "query": query, "read_only": true }));
        assert!(status == 200 && result["row_count"].as_u64() > Some(0), "{query}: {result}");
    }
}

#[test]
fn a_read_only_statement_changes_nothing() {
    let project = control_plane().project("readers");
    project.sql("create table t (n int); create sequence s; create function w() returns int language sql as 'insert into t values (1) returning n'");
    let before = project.sql("select count(*) from t");
    for query in [
        "insert into t values (1)",
        "select w()",
        "with x as (insert into t values (1) returning n) select * from x",
        "create table u (n int)",
        "select nextval('s')",
        "do $$ begin insert into t values (1); end $$",
        "select 1; insert into t values (1)",
        "commit; insert into t values (1)",
        "select set_config('transaction_read_only', 'off', false), w()",
        "select 1 into u",
    ] {
        let (status, error) = sql(&project, &json!({ "query": query, "read_only": true }));
        assert_eq!(status, 400, "{query}: {error}");
    }
    for query in ["commit", "rollback", "set transaction read write", "reset all"] {
        sql(&project, &json!({ "query": query, "read_only": true })); // success and failure are both acceptable
    }
    assert_eq!(project.sql("select count(*) from t"), before);
    assert_eq!(project.sql("select to_regclass('u') is null"), "t");
}

#[test]
fn statements_have_size_and_time_limits() {
    let project = control_plane().project("limits");
    for (body, expected_status, expected) in [
        (json!({ "query": "" }), 400, "must be one SQL statement"),
        (json!({ "query": "select '\u{0}'" }), 400, "must be one SQL statement"),
        (json!({}), 400, "missing field `query`"),
        (json!({ "query": "selec 1" }), 400, "42601: syntax error at or near \"selec\""),
        (json!({ "query": "select 1; select 2" }), 400, "must be one SQL statement"),
        (json!({ "query": "select * from nowhere" }), 400, "42P01"),
        (json!({ "query": "select repeat('x', 100000000)" }), 400, "larger than 32.0 MB"),
        (json!({ "query": "select repeat('x', 1000000) from generate_series(1, 100)" }), 400, "larger than 32.0 MB"),
        (json!({ "query": "copy (select 1) to stdout" }), 400, "COPY"),
        (json!({ "query": "copy pg_class from stdin" }), 400, ""),
        (json!({ "query": "copy (select 1) to program 'touch /tmp/x'" }), 400, "42501"),
        (json!({ "query": "select pg_read_file('/etc/passwd')" }), 400, "42501"),
        (json!({ "query": "select pg_terminate_backend(pg_backend_pid())" }), 503, "the database ended the session"),
    ] {
        let (status, error) = sql(&project, &body);
        let error = error.as_str().unwrap_or_default();
        assert!(status == expected_status && error.contains(expected), "{body}: {status} {error}");
    }
    // The time limit also stops a statement that ignores cancellation.
    let running_statements =
        "select count(*) from pg_stat_activity where application_name = 'capydb sql' and datname = current_database()";
    let uncancellable =
        "do $$ begin perform pg_sleep(60); exception when query_canceled then perform pg_sleep(200); end $$";
    let (status, _) = sql(&project, &json!({ "query": uncancellable }));
    assert_eq!(status, 504);
    until("the statement that ignores cancellation is stopped", || psql(&project.url, running_statements) == "0");
    let (status, error) = sql(&project, &json!({ "query": "select pg_sleep(60)" }));
    assert_eq!(
        (status, error.as_str()),
        (504, Some("the statement exceeded the limit of 30 seconds and was rolled back"))
    );
    until("no statement is running", || psql(&project.url, running_statements) == "0");
}

#[test]
fn an_aborted_statement_is_rolled_back() {
    let project = control_plane().project("rolled back");
    project.sql("create table t (s text)");
    for query in [
        "copy (insert into t values ('x') returning s) to stdout",
        "insert into t select repeat('x', 1000000) from generate_series(1, 40) returning s",
        "with x as (insert into t values ('x') returning s) select set_config('client_encoding', 'LATIN1', false), chr(233) from x",
    ] {
        let (status, error) = sql(&project, &json!({ "query": query }));
        assert_eq!(status, 400, "{query}: {error}");
        assert_eq!(project.sql("select count(*) from t"), "0", "{query}");
    }
    // Text that resembles a hostile server's error is returned as text, and JSON is returned unchanged.
    let query = "select 'page?a=1,i=20261123' as a, '{\"n\": 123456789012345678901234567890.10}'::json as j";
    let (status, result) = sql(&project, &json!({ "query": query }));
    assert_eq!((status, &result["rows"][0][0]), (200, &json!("page?a=1,i=20261123")), "{result}");
    for query in ["vacuum t", "create index concurrently on t (s)"] {
        assert_eq!(sql(&project, &json!({ "query": query })).0, 200, "{query} cannot run in a transaction");
    }
    let role = project.sql("select current_user");
    sql(&project, &json!({ "query": format!("alter role {role} password 'another'") }));
    let (status, error) = sql(&project, &json!({ "query": "select 1" }));
    assert!(
        status == 409
            && error.as_str().expect("error message").contains("the password of the project's role was changed"),
        "{status} {error}"
    );
}
