//! Unit tests for source URLs.

use super::*;
use proptest::prelude::*;

fn parse_error(text: &str) -> SourceUrlError {
    SourceUrl::parse(text).expect_err(text)
}

#[test]
fn every_part_is_parsed() {
    let url =
        SourceUrl::parse("postgresql://ann:p%40ss@db.example.com:6000/my%20app?sslmode=disable").expect("a valid URL");
    assert_eq!(url.host(), "db.example.com");
    assert_eq!(url.port(), 6000);
    assert_eq!(url.user(), "ann");
    assert_eq!(url.password().as_deref(), Some("p@ss"));
    assert_eq!(url.database(), "my app");
    assert_eq!(url.ssl_mode(), SslMode::Disable);
}

#[test]
fn invalid_urls_are_rejected_with_the_reason() {
    assert_eq!(parse_error("  "), SourceUrlError::Empty);
    assert_eq!(parse_error("mysql://u:p@h/d"), SourceUrlError::Scheme("`mysql://`".into()));
    assert_eq!(parse_error("host=h password=canary"), SourceUrlError::NoUser);
    assert_eq!(parse_error("some words"), SourceUrlError::Scheme("no scheme".into()));
    assert_eq!(parse_error("postgres://"), SourceUrlError::NoHost);
    assert_eq!(parse_error("postgres:///db"), SourceUrlError::NoHost);
    assert_eq!(parse_error("postgres://u@/db"), SourceUrlError::NoHost);
    assert_eq!(parse_error("postgres://u:p@h"), SourceUrlError::NoDatabase);
    assert_eq!(parse_error("postgres://u:p@h/"), SourceUrlError::NoDatabase);
    assert_eq!(parse_error("postgres://h/d"), SourceUrlError::NoUser);
    assert_eq!(parse_error("postgres://u:p@h:99999/d"), SourceUrlError::Port);
    assert_eq!(parse_error("postgres://u:p@h:x/d"), SourceUrlError::Port);
    assert_eq!(parse_error("postgres://u:p@h:0/d"), SourceUrlError::Port);
    assert_eq!(parse_error("postgres://u:p@h1,h2/d"), SourceUrlError::SeveralHosts);
    assert_eq!(parse_error("postgres://u:p@h1:1,h2:2/d"), SourceUrlError::SeveralHosts);
    assert_eq!(parse_error("postgres://u:p@%2Ftmp/d"), SourceUrlError::Socket);
    assert_eq!(parse_error("postgres://u:p@%5B%2Ftmp%5D/d"), SourceUrlError::Socket);
    assert!(matches!(parse_error("postgres://u:p@h1%2\tch2/d"), SourceUrlError::Syntax(_)));
    assert!(matches!(parse_error("postgres://u:p@h/d?host=/tmp"), SourceUrlError::Parameter(..)));
    assert!(matches!(parse_error("postgres://u:p@h/d?%68ostaddr=127.0.0.1"), SourceUrlError::Parameter(..)));
    assert!(matches!(parse_error("postgres://u:p@h/d?sslkey=/k"), SourceUrlError::Parameter(..)));
    assert_eq!(parse_error("postgres://u:p@h/d?sslmode=off"), SourceUrlError::SslMode("off".into()));
    assert_eq!(parse_error("postgres://u:p#w@h/d"), SourceUrlError::Ambiguous);
    assert!(matches!(parse_error("postgres://u:p@h/d#x"), SourceUrlError::Syntax(_)));
    assert!(matches!(parse_error("postgres://u:p%zz@h/d"), SourceUrlError::Syntax(_)));
}

#[test]
fn a_socket_is_accepted_only_for_local_sources() {
    for text in [
        "postgres://u:p@%2Frun%2Fpostgresql/d",
        "postgres://u:p@/d?host=/run/postgresql",
        "postgres://u:p@/d?sslmode=disable&host=%2Frun%2Fpostgresql",
    ] {
        assert_eq!(parse_error(text), SourceUrlError::Socket);
        let url = SourceUrl::parse_local(text).expect("a valid URL");
        assert_eq!((url.host(), url.port(), url.database()), ("/run/postgresql", 5432, "d"), "{text}");
        assert!(url.is_socket());
    }
    assert_eq!(SourceUrl::parse_local("postgres://u@:5433/d?host=/tmp").expect("a valid URL").port(), 5433);
    assert!(matches!(parse_error("postgres://u:p@h/d?host=/tmp"), SourceUrlError::Parameter(..)));
}

#[test]
fn a_comma_in_the_password_is_not_a_host_list() {
    assert_eq!(SourceUrl::parse("postgres://u:a,b@h/d").expect("a valid URL").host(), "h");
}

#[test]
fn normalization_adds_tls_and_removes_irrelevant_parameters() {
    let url = SourceUrl::parse("postgres://u:p@h/d?schema=public&pgbouncer=true").expect("a valid URL");
    let (url, changes) = url.normalize();
    assert_eq!(url.expose(), "postgres://u:p@h/d?sslmode=require");
    let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        changes,
        [
            "added sslmode=require to encrypt the connection",
            "removed parameters that do not affect a dump: schema, pgbouncer",
        ]
    );
}

#[test]
fn a_complete_url_is_unchanged() {
    let text = "postgres://u:p@h/d?sslmode=disable";
    let (url, changes) = SourceUrl::parse(text).expect("a valid URL").normalize();
    assert_eq!((url.expose(), changes.len()), (text, 0));
}

#[test]
fn the_endpoint_option_of_neon_is_kept() {
    let url = SourceUrl::parse("postgres://u:p@h/d?options=endpoint%3Dep-x&sslmode=require").expect("a valid URL");
    assert_eq!(url.normalize().0.options().as_deref(), Some("endpoint=ep-x"));
}

#[test]
fn display_and_debug_output_contain_no_secret() {
    let url = SourceUrl::parse("postgres://u:canary@h:1/d?sslmode=require&token=canary").expect("a valid URL");
    assert_eq!(url.to_string(), "postgres://u:***@h:1/d?sslmode=require");
    assert!(!format!("{url:?}").contains("canary"));
}

/// The table of forms that the page's tests read too.
#[derive(serde::Deserialize)]
struct Case {
    text: String,
    /// The URL that it stands for; absent if the text is refused.
    url: Option<String>,
    /// The start of the error.
    error: Option<String>,
}

#[test]
fn the_forms_that_people_paste_are_read() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../../tests/support/source-urls.json")).expect("a table of cases");
    assert!(cases.len() > 60);
    for case in cases {
        let parsed = SourceUrl::parse(&case.text);
        match (case.url, case.error) {
            (Some(url), None) => {
                let parsed = parsed.unwrap_or_else(|error| panic!("{}: {error}", case.text));
                assert_eq!(parsed.normalize().0.expose(), url, "{}", case.text);
            }
            (None, Some(error)) => {
                let found = parsed.map(|url| url.expose().to_owned()).expect_err(&case.text).to_string();
                assert!(found.starts_with(&error), "{}: {found}", case.text);
            }
            _ => panic!("{}: neither or both", case.text),
        }
    }
}

#[test]
fn changes_are_named() {
    let changes = |text: &str| {
        let (url, changes) = SourceUrl::parse(text).expect(text).normalize();
        (url.to_string(), changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    };
    assert_eq!(
        changes("export DATABASE_URL='postgresql+asyncpg://u:p@h/d?ssl=false'"),
        (
            "postgres://u:***@h/d?sslmode=disable".to_owned(),
            "read the URL from the pasted text; replaced the scheme postgresql+asyncpg:// with postgres://; \
             read ssl=false as sslmode=disable"
                .to_owned()
        )
    );
}

proptest! {
    #[test]
    fn errors_for_arbitrary_text_contain_no_password(text in "\\PC*") {
        let _ = SourceUrl::parse(&text);
        if let Err(error) = SourceUrl::parse(&format!("postgres://u:CANARY{text}@h/d")) {
            prop_assert!(!error.to_string().contains("CANARY"));
        }
    }

    /// A raw special character moves the end of the password: whatever the reading, nothing behind the
    /// colon is shown as host or database, and the password is either read whole or not at all.
    #[test]
    fn a_raw_password_is_read_whole_or_refused(password in "[A-Za-z0-9@/?#:%+&=!$]{1,24}", database in "[a-z]{1,8}") {
        let text = format!("postgres://app:{password}@db.example.com:6000/{database}");
        match SourceUrl::parse(&text) {
            Ok(url) => {
                prop_assert_eq!((url.host(), url.port(), url.database()), ("db.example.com", 6000, database.as_str()));
                prop_assert_eq!(url.to_string(), format!("postgres://app:***@db.example.com:6000/{database}"));
            }
            Err(error) => prop_assert!(password.len() < 4 || !error.to_string().contains(&password), "{}", error),
        }
    }

    #[test]
    fn any_password_is_preserved_but_never_displayed(password in "[ -~]{1,30}") {
        let mut url = Url::parse("postgres://u@h/d").expect("a valid URL");
        url.set_password(Some(&format!("CANARY{password}"))).expect("a URL with a host");
        // `set_password` does not encode a literal %, so such passwords are skipped.
        prop_assume!(!password.contains('%'));
        let source = SourceUrl::parse(url.as_str()).expect("a valid URL");
        prop_assert_eq!(source.password(), Some(format!("CANARY{password}")));
        prop_assert!(!source.to_string().contains("CANARY"));
        let (normalized, _) = source.normalize();
        prop_assert_eq!(normalized.password(), Some(format!("CANARY{password}")));
    }
}
