//! Names with a schema that definitions use, and names that they create: a partial dump (`pg_dump -t`,
//! `-n`) uses objects that it does not create.

use super::contents::{Contents, DumpLocation, Finding, NAMES, TABLES, hash};
use super::search_path::OpenFunction;
use super::tokens::{Token, Tokens};
use std::collections::BTreeSet;

/// Kinds of objects whose names other definitions use.
const KINDS: [&str; 15] = [
    "TABLE",
    "VIEW",
    "SEQUENCE",
    "TYPE",
    "DOMAIN",
    "FUNCTION",
    "PROCEDURE",
    "AGGREGATE",
    "COLLATION",
    "STATISTICS",
    "CONVERSION",
    "CONFIGURATION",
    "DICTIONARY",
    "CLASS",
    "FAMILY",
];

/// The tokens of a definition that are considered. Bounds memory.
const MAX_TOKENS: usize = 20_000;

/// The names with a schema in a definition.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct QualifiedNames {
    pub(super) created: Vec<(String, String)>,
    pub(super) used: Vec<UsedName>,
}

/// A name that a definition uses.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UsedName {
    pub(super) schema: String,
    pub(super) name: String,
}

/// Where names with a dot need not have a schema: in queries they may be columns of an alias.
const WITH_QUERIES: [&str; 4] = ["VIEW", "POLICY", "RULE", "TRIGGER"];

/// Schemas whose names are not considered: those of every database, and the rows of triggers.
const IGNORED_SCHEMAS: [&str; 4] = ["pg_catalog", "information_schema", "new", "old"];

/// Reads the names in each `CREATE` or `ALTER TABLE` of a definition.
pub(super) fn qualified_names(text: &[u8]) -> QualifiedNames {
    let mut reader = Tokens::new(text);
    let (tokens, raw): (Vec<Token>, Vec<&[u8]>) =
        std::iter::from_fn(|| reader.next_with_text()).take(MAX_TOKENS).map(|(token, raw, _)| (token, raw)).unzip();
    let mut names = QualifiedNames::default();
    let mut from = 0;
    for statement in tokens.split_inclusive(|token| *token == Token::Sign(';')) {
        read_names(statement, &raw[from..from + statement.len()], &mut names);
        from += statement.len();
    }
    names
}

fn read_names(tokens: &[Token], raw: &[&[u8]], names: &mut QualifiedNames) {
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is(word));
    let creates = is(0, "CREATE");
    if !(creates || is(0, "ALTER") && is(1, "TABLE")) {
        return;
    }
    let any_of = |words: &[&str]| (1..tokens.len().min(8)).find(|at| creates && words.iter().any(|word| is(*at, word)));
    let kind = any_of(&KINDS);
    let has_query = any_of(&WITH_QUERIES).is_some() || tokens.iter().any(|token| token.is("ATOMIC"));
    names.used.extend(sequences(tokens, raw));
    let mut at = 0;
    while at + 2 < tokens.len() {
        let (Some(schema), Token::Sign('.'), Some(name)) = (tokens[at].name(), &tokens[at + 1], tokens[at + 2].name())
        else {
            at += 1;
            continue;
        };
        let after = |word: &str| at >= 1 && is(at - 1, word);
        let is_created = kind.is_some_and(|kind| at == kind + 1 || (at == kind + 4 && after("EXISTS")));
        let by_the_way = at >= 2 && (is(at - 2, "SEQUENCE") && after("NAME") || is(at - 2, "MULTIRANGE_TYPE_NAME"));
        let is_call = tokens.get(at + 3) == Some(&Token::Sign('('));
        let is_cast = at >= 1 && tokens[at - 1] == Token::Sign(':');
        // In a view, `ON` begins a condition on columns.
        let is_subject = after("ON") && at < 12 && any_of(&["POLICY", "TRIGGER"]).is_some();
        // `a.x IS DISTINCT FROM b.y` compares values.
        let is_compared = at >= 2 && after("FROM") && is(at - 2, "DISTINCT");
        let is_read = ["FROM", "JOIN", "ONLY"].iter().any(|word| after(word)) && !is_compared;
        let is_table = is_subject || is_read && !in_extract(tokens, at);
        if is_created || by_the_way {
            names.created.push((schema, name));
        } else if !IGNORED_SCHEMAS.contains(&schema.as_str())
            && !after("REFERENCES")
            && (!has_query || is_call || is_cast || is_table)
        {
            names.used.push(UsedName { schema, name });
        }
        at += 3;
        // The column of a table.
        while tokens.get(at) == Some(&Token::Sign('.')) {
            at += 2;
        }
    }
}

/// Whether a token is in `extract(… FROM …)` or the like, which reads no table.
pub(super) fn in_extract(tokens: &[Token], at: usize) -> bool {
    const WITH_FROM: [&str; 5] = ["EXTRACT", "SUBSTRING", "TRIM", "OVERLAY", "POSITION"];
    let open = tokens[..at].iter().rposition(|token| *token == Token::Sign('('));
    open.is_some_and(|open| {
        let is_closed = tokens[open..at].contains(&Token::Sign(')'));
        !is_closed && open > 0 && WITH_FROM.iter().any(|word| tokens[open - 1].is(word))
    })
}

/// The names in `nextval('schema.sequence'::regclass)`.
fn sequences(tokens: &[Token], raw: &[&[u8]]) -> Vec<UsedName> {
    let is_regclass = |at: usize| {
        let colon = |at: usize| tokens.get(at) == Some(&Token::Sign(':'));
        colon(at + 1) && colon(at + 2) && tokens.get(at + 3).is_some_and(|token| token.is("REGCLASS"))
    };
    let literals = (0..tokens.len()).filter(|at| tokens[*at] == Token::Literal && is_regclass(*at));
    let used = literals.filter_map(|at| {
        let inside = raw[at].strip_prefix(b"'")?.strip_suffix(b"'")?;
        let mut words = Tokens::new(inside);
        let (schema, dot, name) = (words.next()?.name()?, words.next()?, words.next()?.name()?);
        (dot == Token::Sign('.')).then_some(UsedName { schema, name })
    });
    used.collect()
}

/// A function that an index or a materialized view runs while it is built, and that finds a name only by the
/// search path, which is empty then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathDependentCall<'a> {
    /// The function, or the view with a query as text, as `schema.name`.
    pub name: &'a str,
    /// Whether it is a view.
    pub is_view: bool,
    /// The table or function that it names without a schema.
    pub found: &'a str,
    /// Where the index or the materialized view is.
    pub place: DumpLocation,
    /// The start of its definition.
    pub caller: &'a str,
}

impl Contents {
    /// Records the names with a schema in a definition.
    pub(super) fn add_names(&mut self, names: QualifiedNames, place: impl Fn() -> (DumpLocation, String)) {
        for (schema, name) in names.created {
            if self.created_names.len() < TABLES {
                self.created_names.insert(hash(&schema, &name));
            }
        }
        for UsedName { schema, name } in names.used {
            let is_known = self.created_names.contains(&hash(&schema, &name));
            if !is_known && self.used_names.len() < NAMES {
                self.used_names.entry((schema, name)).or_insert_with(&place);
            }
        }
    }

    /// Records the used names that the whole dump does not create, except those that an extension may have.
    fn settle_names(&mut self) {
        let extensions = self.all_extensions();
        let of_extension = |schema: &str| {
            extensions
                .iter()
                .any(|wanted| wanted.name != "plpgsql" && wanted.schema.as_deref().unwrap_or("public") == schema)
        };
        let used = std::mem::take(&mut self.used_names);
        let is_full = self.created_names.len() >= TABLES;
        let is_known = |schema: &String, name: &String| {
            is_full
                || self.created_names.contains(&hash(schema, name))
                || of_extension(schema)
                || schema == "public" && super::extension_use::may_be_of_project(name)
        };
        let missing = used.into_iter().filter(|((schema, name), _)| !is_known(schema, name));
        for ((schema, name), (place, words)) in missing.collect::<Vec<_>>() {
            if self.may_have_schema(&schema) {
                self.record(Finding::MissingName, &format!("{schema}.{name}"), || (place, words));
            } else {
                self.record(Finding::MissingSchema, &schema, || (place, words));
            }
        }
    }

    /// Forgets the schemas and functions that a later part of the dump creates.
    pub(super) fn settle_references(&mut self) {
        self.settle_names();
        for finding in [Finding::MissingSchema, Finding::MissingFunction] {
            let Some(mut subjects) = self.findings.remove(&finding) else { continue };
            subjects.retain(|subject, _| match (finding, subject.split_once('.')) {
                (Finding::MissingFunction, Some((schema, name))) => !self.may_create_function(schema, name),
                _ => !self.may_have_schema(subject),
            });
            self.findings.insert(finding, subjects);
        }
    }

    /// What indexes and materialized views run, and finds a table or function of the dump only by the search
    /// path.
    pub fn path_dependent_calls(&self) -> impl Iterator<Item = PathDependentCall<'_>> {
        self.built_calls.iter().filter_map(|(called, (place, caller))| {
            let (function, found) = self.path_dependent(called)?;
            Some(PathDependentCall { name: &function.name, is_view: function.is_view, found, place: *place, caller })
        })
    }

    /// The function that a call reaches and that finds a name of the dump only by the search path.
    fn path_dependent(&self, called: &str) -> Option<(&OpenFunction, &str)> {
        let (mut waiting, mut seen) = (vec![called], BTreeSet::new());
        while let Some(name) = waiting.pop() {
            let Some(function) = self.open_functions.get(name).filter(|_| seen.insert(name)) else { continue };
            let is_own =
                |name: &&String| self.names.contains(&hash("", name)) || super::extension_use::is_extension_name(name);
            if let Some(own) = function.unqualified.iter().find(is_own) {
                return Some((function, own));
            }
            waiting.extend(function.calls.iter().map(String::as_str));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> (Vec<String>, Vec<String>) {
        let names = qualified_names(text.as_bytes());
        let created = names.created.into_iter().map(|(schema, name)| format!("{schema}.{name}")).collect();
        let used = names.used.into_iter().map(|used| format!("{}.{}", used.schema, used.name)).collect();
        (created, used)
    }

    #[test]
    fn created_and_used_names_are_told_apart() {
        for (text, created, used) in [
            (
                "CREATE TABLE public.t (m public.mood DEFAULT 'a'::public.mood, s text COLLATE public.c);",
                vec!["public.t"],
                vec!["public.mood", "public.mood", "public.c"],
            ),
            ("CREATE OR REPLACE FUNCTION a.f(x b.t) RETURNS int LANGUAGE sql AS $$ x.y $$;", vec!["a.f"], vec!["b.t"]),
            ("CREATE VIEW v AS SELECT t.x, s.f(1), y::s.d FROM s.t t;", vec![], vec!["s.f", "s.d", "s.t"]),
            (
                "CREATE VIEW v AS SELECT extract(epoch FROM a.at) FROM s.a a JOIN s.b ON a.id = b.id;",
                vec![],
                vec!["s.a", "s.b"],
            ),
            ("CREATE POLICY p ON s.t TO x USING ((auth.uid() = t.id));", vec![], vec!["s.t", "auth.uid"]),
            ("CREATE VIEW geo.v AS SELECT geo.geometry FROM geo.geo;", vec!["geo.v"], vec!["geo.geo"]),
            (
                "CREATE TRIGGER t BEFORE INSERT ON a.b WHEN (new.x > 0) EXECUTE FUNCTION a.f();",
                vec![],
                vec!["a.b", "a.f"],
            ),
            ("CREATE UNIQUE INDEX i ON public.t USING btree (x);", vec![], vec!["public.t"]),
            (
                "CREATE TYPE public.r AS RANGE (subtype = int, multirange_type_name = public.m);",
                vec!["public.r", "public.m"],
                vec![],
            ),
            (
                "ALTER TABLE public.t ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME public.s START WITH 1);",
                vec!["public.s"],
                vec!["public.t"],
            ),
            (
                "ALTER TABLE ONLY a.t ALTER COLUMN id SET DEFAULT nextval('a.\"S\"'::regclass);",
                vec![],
                vec!["a.S", "a.t"],
            ),
            ("COMMENT ON TABLE public.t IS 'x';", vec![], vec![]),
            ("CREATE TABLE s.t (n numeric DEFAULT 0.00, CHECK (n > 0.5));", vec!["s.t"], vec![]),
            ("CREATE INDEX i ON s.t USING btree ((n * 1.5));", vec![], vec!["s.t"]),
            ("ALTER TABLE s.t ALTER COLUMN n SET DEFAULT 1.0;", vec![], vec!["s.t"]),
            (
                "CREATE VIEW s.v AS SELECT a.x FROM s.a JOIN s.b ON (a.x IS DISTINCT FROM b.y);",
                vec!["s.v"],
                vec!["s.a", "s.b"],
            ),
        ] {
            assert_eq!(
                names(text),
                (created.iter().map(ToString::to_string).collect(), used.iter().map(ToString::to_string).collect()),
                "{text}"
            );
        }
    }
}
