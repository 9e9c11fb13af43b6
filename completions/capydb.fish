complete --keep-order --exclusive --command capydb --arguments "(CAPYDB_COMPLETE=fish capydb -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
