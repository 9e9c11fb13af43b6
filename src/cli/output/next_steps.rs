//! The steps after every import.

/// The steps after an import, as titles and commands. The commands name `project`, if given.
pub(in crate::cli) fn next_steps(project: Option<&str>) -> [(&'static str, String); 4] {
    let project = project.map_or_else(String::new, |project| format!(" --project {project}"));
    [
        ("Update DATABASE_URL", format!("export DATABASE_URL=\"$(capydb projects url{project})\"")),
        ("Check sequences", "psql \"$DATABASE_URL\" -c 'select * from pg_sequences'".to_owned()),
        ("Check extensions", "psql \"$DATABASE_URL\" -c '\\dx'".to_owned()),
        ("Refresh statistics", "psql \"$DATABASE_URL\" -c 'ANALYZE'".to_owned()),
    ]
}

#[cfg(all(test, feature = "server"))]
mod tests {
    use super::next_steps;

    /// The web panel shows the same commands.
    #[test]
    fn the_panel_agrees() {
        let page = include_str!("../../server/panel/job.js");
        for (title, command) in next_steps(Some("${project.slug}")) {
            let written = command.replace('\\', "\\\\");
            assert!(page.contains(&written) || page.contains(&written.replace('"', "\\\"")), "{title}: {command}");
        }
    }
}
