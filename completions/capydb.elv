
set edit:completion:arg-completer[capydb] = { |@words|
    var index = (count $words)
    set index = (- $index 1)

    put (env _CLAP_IFS="\n" _CLAP_COMPLETE_INDEX=(to-string $index) CAPYDB_COMPLETE="elvish" capydb -- $@words) | to-lines
}
