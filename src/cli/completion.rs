use clap_complete::Shell;

/// The completion script of a shell.
pub(super) fn script(shell: Shell, mut command: clap::Command) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, "capydb", &mut text);
    String::from_utf8_lossy(&text).trim_end().to_owned()
}
