//! Records what a statement contains: the objects it creates, and the roles, settings and schemas
//! it names. Used for plain dumps and for the definitions in archives.

use super::catalog_changes::removed_column;
use super::contents::{Contents, DumpLocation, Finding};
use super::extension_use::used_extensions;
use super::references::qualified_names;
use super::search_path::{called_functions, open_function, open_view};
use super::statement::{beginning, extension, policy_roles, qualified, role_list};
use super::superuser::requirement;
use super::tokens::{Token, Tokens, first_word};
use super::treatment::{
    DATABASE_REASON, MISSING_PUBLICATION_REASON, ROLE_REASON, Refusal, RefusalScope, SEVERAL_DATABASES, Treatment,
};

/// Location of a statement, computed only if it is shown.
pub(super) type At<'a> = &'a dyn Fn() -> DumpLocation;

/// Tokens read of a statement. No relevant statement written by pg_dump has more; bounds memory.
const MAX_TOKENS: usize = 20_000;

/// Words between `CREATE` and the kind of object.
const MODIFIERS: [&str; 15] = [
    "OR",
    "REPLACE",
    "UNLOGGED",
    "GLOBAL",
    "LOCAL",
    "TEMP",
    "TEMPORARY",
    "UNIQUE",
    "TRUSTED",
    "PROCEDURAL",
    "CONSTRAINT",
    "RECURSIVE",
    "DEFAULT",
    "IF",
    "NOT",
];

/// Records a statement of a plain dump, given its treatment.
pub(super) fn record_statement(contents: &mut Contents, text: &[u8], treatment: &Treatment, at: At<'_>) {
    let first = first_word(text).to_ascii_uppercase();
    record_treatment(contents, text, treatment, at);
    let tokens: Vec<Token> = Tokens::new(text).take(64).collect();
    match first.as_slice() {
        b"CREATE" => {
            record_create(contents, text, &tokens, at);
            record_requirements(contents, text, at);
        }
        b"ALTER" => {
            record_alter(contents, text, at);
            record_requirements(contents, text, at);
        }
        b"GRANT" | b"REVOKE" => record_grant(contents, text, at),
        b"SET" => record_setting(contents, text, &tokens, at),
        b"SELECT" if tokens.iter().any(|token| token.is("LO_CREATE") || token.is("LO_CREAT")) => {
            contents.record(Finding::LargeObject, "", || (at(), beginning(text)));
        }
        b"SELECT" if tokens.iter().any(|token| token.is("INTO")) => contents.tables_for_data += 1,
        b"COPY" if *treatment == Treatment::CopyRows => contents.tables_with_data += 1,
        b"DROP" => contents.tolerates_existing = true,
        b"DO" | b"CALL" => contents.code_blocks += 1,
        _ => {}
    }
}

fn record_treatment(contents: &mut Contents, text: &[u8], treatment: &Treatment, at: At<'_>) {
    let shown = || (at(), beginning(text));
    match treatment {
        Treatment::Begin | Treatment::Commit => contents.record(Finding::Transaction, "", shown),
        Treatment::SkipAndReport(kind, reason) => contents.skip_object(kind, reason),
        Treatment::AlterPublication(name) if !contents.publications.contains(name) => {
            contents.skip_object("PUBLICATION", MISSING_PUBLICATION_REASON);
        }
        Treatment::Role => {
            contents.skip_object("ROLE", ROLE_REASON);
            contents.record(Finding::Role, "", shown);
        }
        Treatment::ReplicationRole => contents.sets_replication_role = true,
        Treatment::Database => record_database(contents, text, at),
        Treatment::DropSchema(name) => contents.record(Finding::DroppedSchema, name, shown),
        Treatment::Refuse(Refusal { scope, reason }) => {
            let (finding, subject) = match scope {
                RefusalScope::WholeServer => (Finding::ServerObject, *reason),
                RefusalScope::ServerFiles => (Finding::ServerFile, ""),
                RefusalScope::Import => (Finding::Refused, *reason),
            };
            contents.record(finding, subject, shown);
            if contents.refusal.is_none() {
                contents.refusal = Some((at(), (*reason).to_owned()));
            }
        }
        Treatment::Skip if sets_role(text) => {
            let role = Tokens::new(text).filter_map(|token| token.name().or_else(|| literal(text, &token))).last();
            if let Some(role) = role.filter(|role| role != "none" && role != "default") {
                contents.record(Finding::SetRole, &role, shown);
            }
        }
        _ => {}
    }
}

/// `CREATE DATABASE` and its settings are skipped, as `pg_dump --create` writes them for one database.
fn record_database(contents: &mut Contents, text: &[u8], at: At<'_>) {
    contents.skip_object("DATABASE", DATABASE_REASON);
    if first_word(text).eq_ignore_ascii_case(b"drop") {
        contents.dropped_database.get_or_insert_with(|| (at(), beginning(text)));
    }
    if !first_word(text).eq_ignore_ascii_case(b"create") {
        return;
    }
    contents.databases += 1;
    if contents.databases > 1 {
        contents.record(Finding::ServerObject, SEVERAL_DATABASES, || (at(), beginning(text)));
        contents.refusal.get_or_insert_with(|| (at(), SEVERAL_DATABASES.to_owned()));
    }
}

/// The text of a statement's first literal (`SET SESSION AUTHORIZATION 'bob'`).
fn literal(text: &[u8], token: &Token) -> Option<String> {
    if *token != Token::Literal {
        return None;
    }
    let inside = text.split(|byte| *byte == b'\'').nth(1)?;
    Some(String::from_utf8_lossy(inside).into_owned())
}

/// Whether a statement is `SET [SESSION|LOCAL] ROLE` or `SET SESSION AUTHORIZATION`.
fn sets_role(text: &[u8]) -> bool {
    first_word(text).eq_ignore_ascii_case(b"set")
        && Tokens::new(text).skip(1).take(2).any(|token| token.is("ROLE") || token.is("AUTHORIZATION"))
}

/// Records a `CREATE`.
pub(super) fn record_create(contents: &mut Contents, text: &[u8], tokens: &[Token], at: At<'_>) {
    let is_modifier = |token: &Token| MODIFIERS.iter().any(|word| token.is(word));
    let Some(place) = tokens.iter().skip(1).position(|token| !is_modifier(token)) else { return };
    let (Token::Word(kind), rest) = (&tokens[place + 1], &tokens[place + 2..]) else { return };
    if ["TABLE", "VIEW", "MATERIALIZED", "FUNCTION", "PROCEDURE", "TYPE", "DOMAIN", "SEQUENCE"].contains(&kind.as_str())
    {
        let (schema, _) = qualified(if kind == "MATERIALIZED" { &rest[1.min(rest.len())..] } else { rest });
        record_schema(contents, &schema, || (at(), beginning(text)));
    }
    let second = rest.first();
    let second_is = |word: &str| second.is_some_and(|token| token.is(word));
    match kind.as_str() {
        "TABLE" => {
            contents.count("tables");
            contents.tables_for_data += 1;
            let (schema, name) = qualified(rest);
            let is_temporary = tokens[..=place].iter().any(|token| token.is("TEMP") || token.is("TEMPORARY"));
            contents.tolerates_existing |= second_is("IF") || is_temporary;
            contents.add_table(&schema, &name);
            record_own_name(contents, rest);
        }
        "INDEX" => contents.count("indexes"),
        "FUNCTION" | "PROCEDURE" | "AGGREGATE" => {
            contents.count("functions");
            record_own_name(contents, rest);
            let (schema, name) = qualified(rest);
            contents.add_function(&schema, &name);
        }
        "VIEW" => {
            contents.count("views");
            record_own_name(contents, rest);
        }
        "MATERIALIZED" => {
            contents.count("materialized views");
            record_own_name(contents, rest.get(1..).unwrap_or_default());
        }
        "SEQUENCE" => {
            contents.count("sequences");
            record_own_name(contents, rest);
        }
        "TRIGGER" => {
            contents.count("triggers");
            record_trigger_function(contents, text, at);
        }
        "TYPE" | "DOMAIN" => {
            contents.count("types");
            contents.add_type(&qualified(rest).1);
            record_own_name(contents, rest);
        }
        "SCHEMA" => {
            let is_name = |token: &&Token| !["IF", "NOT", "EXISTS", "AUTHORIZATION"].iter().any(|word| token.is(word));
            if let Some(name) = rest.iter().find(is_name) {
                contents.add_schema(&name.name().unwrap_or_default());
            }
        }
        "EXTENSION" => {
            if let Some(wanted) = extension(text) {
                contents.add_extension(wanted, at());
            }
        }
        "POLICY" => record_policy(contents, text, at),
        "EVENT" if second_is("TRIGGER") => {
            let name = rest.get(1).and_then(Token::name).unwrap_or_default();
            contents.record(Finding::EventTrigger, &name, || (at(), beginning(text)));
        }
        "PUBLICATION" | "SUBSCRIPTION" => record_publication(contents, text, kind, second, at),
        "SERVER" => contents.record(Finding::Foreign, "servers", || (at(), beginning(text))),
        "FOREIGN" if second_is("TABLE") => {
            contents.count("foreign tables");
            contents.record(Finding::Foreign, "tables", || (at(), beginning(text)));
        }
        "FOREIGN" => contents.record(Finding::Foreign, "wrappers", || (at(), beginning(text))),
        "USER" if second_is("MAPPING") => {
            contents.record(Finding::UserMapping, "", || (at(), beginning(text)));
        }
        _ => {}
    }
}

/// Only subscriptions and publications of all tables or a schema become findings.
fn record_publication(contents: &mut Contents, text: &[u8], kind: &str, name: Option<&Token>, at: At<'_>) {
    let name = name.and_then(Token::name).unwrap_or_default();
    if kind == "SUBSCRIPTION" {
        contents.record(Finding::Subscription, &name, || (at(), beginning(text)));
        return;
    }
    contents.count("publications");
    contents.publications.insert(name.clone());
    if let Treatment::SkipAndReport(..) = super::treatment::treat(text) {
        contents.record(Finding::Publication, &name, || (at(), beginning(text)));
    }
}

fn record_policy(contents: &mut Contents, text: &[u8], at: At<'_>) {
    contents.count("policies");
    contents.add_policy_roles(policy_roles(text));
    let tokens: Vec<Token> = Tokens::new(text).take(MAX_TOKENS).collect();
    let mut into: Vec<String> = Vec::new();
    // Only in the expressions: before them `name .` is the schema of the policy's own table.
    let expression = tokens.iter().position(|token| token.is("USING") || token.is("CHECK")).unwrap_or(tokens.len());
    for pair in tokens[expression..].windows(2) {
        if let Some(name) = pair[0].name().filter(|name| crate::platforms::may_be_platform(name))
            && pair[1] == Token::Sign('.')
            && !into.contains(&name)
        {
            into.push(name);
        }
    }
    for schema in into {
        contents.record(Finding::PlatformPolicy, &schema, || (at(), beginning(text)));
    }
}

/// A trigger function of another schema than `pg_catalog` must be in the dump.
fn record_trigger_function(contents: &mut Contents, text: &[u8], at: At<'_>) {
    let tokens: Vec<Token> = Tokens::new(text).take(MAX_TOKENS).collect();
    let execute = tokens.iter().rposition(|token| token.is("EXECUTE"));
    let Some(name) = execute.and_then(|execute| tokens.get(execute + 2..)) else { return };
    let (schema, function) = qualified(name);
    if !["", "pg_catalog"].contains(&schema.as_str()) && !contents.may_create_function(&schema, &function) {
        contents.record(Finding::MissingFunction, &format!("{schema}.{function}"), || (at(), beginning(text)));
    }
}

/// Records the schema of a created object, if the dump does not create the schema.
/// `Contents::settle_references` removes those that it creates later.
pub(super) fn record_schema(contents: &mut Contents, schema: &str, place: impl FnOnce() -> (DumpLocation, String)) {
    if !contents.may_have_schema(schema) {
        contents.record(Finding::MissingSchema, schema, place);
    }
}

/// Records what the checks of a table call: functions may depend on rows that are loaded later.
fn record_check_functions(contents: &mut Contents, text: &[u8], at: At<'_>) {
    let tokens: Vec<Token> = Tokens::new(text).take(MAX_TOKENS).collect();
    let Some(check) = tokens.iter().position(|token| token.is("CHECK")) else { return };
    let calls = tokens[check..].windows(4).any(|four| {
        four[0].name().is_some_and(|schema| schema != "pg_catalog")
            && four[1] == Token::Sign('.')
            && four[2].name().is_some()
            && four[3] == Token::Sign('(')
    });
    if calls {
        contents.record(Finding::CheckFunction, "", || (at(), beginning(text)));
    }
}

/// Records what about a definition needs a superuser, and which extensions it uses.
pub(super) fn record_requirements(contents: &mut Contents, text: &[u8], at: At<'_>) {
    if let Some(reason) = requirement(text) {
        contents.record(Finding::Superuser, &reason, || (at(), beginning(text)));
    }
    if let Some(column) = removed_column(text) {
        contents.record(Finding::RemovedColumn, &column, || (at(), beginning(text)));
    }
    if first_word(text).eq_ignore_ascii_case(b"create") {
        record_check_functions(contents, text, at);
    }
    contents.add_names(qualified_names(text), || (at(), beginning(text)));
    if let Some(function) = open_function(text).or_else(|| open_view(text)) {
        contents.add_open_function(function);
    }
    for function in called_functions(text) {
        contents.add_built_call(function, at(), &beginning(text));
    }
    for (extension, schema, _) in used_extensions(text) {
        contents.use_extension(extension, schema, at());
    }
}

/// Records the name of an object that could also be an extension's.
fn record_own_name(contents: &mut Contents, rest: &[Token]) {
    let (_, name) = qualified(rest);
    contents.add_own_name(&name.to_lowercase());
}

/// Records an `ALTER`: owners, foreign keys, disabled triggers.
pub(super) fn record_alter(contents: &mut Contents, text: &[u8], at: At<'_>) {
    let tokens: Vec<Token> = Tokens::new(text).filter(|token| *token != Token::Sign(';')).take(MAX_TOKENS).collect();
    let shown = || (at(), beginning(text));
    if tokens.get(1).is_some_and(|token| token.is("DEFAULT")) {
        for role in default_privileges_roles(&tokens) {
            contents.record(Finding::DefaultPrivileges, &role, shown);
        }
        return;
    }
    if let [.., owner, to, role] = tokens.as_slice()
        && owner.is("OWNER")
        && to.is("TO")
        && !tokens.iter().any(|token| token.is("RENAME"))
    {
        contents.record(Finding::Owner, &role.name().unwrap_or_default(), shown);
        return;
    }
    let has =
        |words: [&str; 3]| tokens.windows(3).any(|three| three.iter().zip(words).all(|(token, word)| token.is(word)));
    if has(["DISABLE", "TRIGGER", "ALL"]) {
        contents.record(Finding::DisabledTriggers, "", shown);
    }
    let table = || {
        let own = tokens.iter().position(|token| token.is("ONLY")).map_or(2, |only| only + 1);
        let (schema, name) = qualified(tokens.get(own..).unwrap_or_default());
        format!("{schema}.{name}")
    };
    if has(["ENABLE", "ROW", "LEVEL"]) {
        contents.record(Finding::RowSecurity, &table(), shown);
    } else if has(["FORCE", "ROW", "LEVEL"]) && !has(["NO", "FORCE", "ROW"]) {
        contents.record(Finding::ForcedRowSecurity, &table(), shown);
    }
    let adds = tokens.windows(2).any(|pair| pair[0].is("ADD") && pair[1].is("CONSTRAINT"));
    if adds {
        record_constraint(contents, text, &tokens, at);
    }
}

fn record_constraint(contents: &mut Contents, text: &[u8], tokens: &[Token], at: At<'_>) {
    let Some(references) = tokens.iter().position(|token| token.is("REFERENCES")) else {
        contents.count("constraints");
        return;
    };
    contents.count("foreign keys");
    let (schema, table) = qualified(&tokens[references + 1..]);
    let shown = || (at(), beginning(text));
    if !schema.is_empty() && !contents.may_create_table(&schema, &table) {
        contents.record(Finding::MissingReference, &format!("{schema}.{table}"), shown);
    }
    let own = tokens.iter().position(|token| token.is("ONLY")).map_or(2, |only| only + 1);
    let (from, source) = qualified(tokens.get(own..).unwrap_or_default());
    if crate::platforms::may_be_platform(&schema) && from != schema {
        let name = tokens.iter().position(|token| token.is("CONSTRAINT")).and_then(|at| tokens.get(at + 1)?.name());
        let dotted =
            |schema: &str, table: &str| if schema.is_empty() { table.to_owned() } else { format!("{schema}.{table}") };
        contents.add_platform_key(&name.unwrap_or_default(), &dotted(&from, &source), &dotted(&schema, &table));
        contents.record(Finding::PlatformKey, &schema, shown);
    }
}

/// Records a `GRANT` or `REVOKE`.
pub(super) fn record_grant(contents: &mut Contents, text: &[u8], at: At<'_>) {
    let tokens: Vec<Token> = Tokens::new(text).take(MAX_TOKENS).collect();
    let Some(direction) = tokens.iter().rposition(|token| token.is("TO") || token.is("FROM")) else { return };
    contents.add_grant(text);
    for role in role_list(&tokens[direction + 1..]) {
        contents.record(Finding::Grant, &role, || (at(), beginning(text)));
    }
}

/// `ALTER DEFAULT PRIVILEGES [FOR ROLE a] [IN SCHEMA s] GRANT … TO b`
fn default_privileges_roles(tokens: &[Token]) -> Vec<String> {
    let owner =
        tokens.iter().position(|token| token.is("ROLE") || token.is("USER")).and_then(|at| tokens.get(at + 1)?.name());
    let direction = tokens.iter().rposition(|token| token.is("TO") || token.is("FROM"));
    let mut roles = direction.map_or_else(Vec::new, |at| role_list(&tokens[at + 1..]));
    roles.extend(owner);
    roles.dedup();
    roles
}

/// Words after `SET` that are not settings.
const SPECIAL: [&str; 9] =
    ["time", "names", "schema", "role", "authorization", "transaction", "characteristics", "constraints", "xml"];

fn record_setting(contents: &mut Contents, text: &[u8], tokens: &[Token], at: At<'_>) {
    let mut words = tokens.iter().skip(1).skip_while(|token| token.is("SESSION") || token.is("LOCAL"));
    let Some(name) = words.next().and_then(Token::name) else { return };
    if SPECIAL.contains(&name.as_str()) {
        return;
    }
    let name = if words.next() == Some(&Token::Sign('.')) { format!("{name}.") } else { name };
    contents.record(Finding::Setting, &name, || (at(), beginning(text)));
}
