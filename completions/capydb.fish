# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_capydb_global_optspecs
    string join \n o/output= api-url= api-key= q/quiet v/verbose no-progress h/help V/version
end

function __fish_capydb_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_capydb_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_capydb_using_subcommand
    set -l cmd (__fish_capydb_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c capydb -n "__fish_capydb_needs_command" -s o -l output -d 'Form of the result on standard output' -r -f -a "text\t'For people'
json\t'One JSON document, also for errors'"
complete -c capydb -n "__fish_capydb_needs_command" -l api-url -d 'Base URL of the control plane [env: CAPYDB_API_URL]' -r
complete -c capydb -n "__fish_capydb_needs_command" -l api-key -d 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]' -r
complete -c capydb -n "__fish_capydb_needs_command" -s q -l quiet -d 'Only results and errors'
complete -c capydb -n "__fish_capydb_needs_command" -s v -l verbose -d 'Say what is being done; twice for more'
complete -c capydb -n "__fish_capydb_needs_command" -l no-progress -d 'No moving progress line; a plain one every few seconds instead'
complete -c capydb -n "__fish_capydb_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c capydb -n "__fish_capydb_needs_command" -s V -l version -d 'Print version'
complete -c capydb -n "__fish_capydb_needs_command" -f -a "import" -d 'Import a database from a live source or a dump file'
complete -c capydb -n "__fish_capydb_needs_command" -f -a "jobs" -d 'Look at jobs'
complete -c capydb -n "__fish_capydb_needs_command" -f -a "projects" -d 'Look at projects'
complete -c capydb -n "__fish_capydb_needs_command" -f -a "dev" -d 'Run a whole control plane on this machine'
complete -c capydb -n "__fish_capydb_needs_command" -f -a "completion" -d 'Print the completion script of a shell'
complete -c capydb -n "__fish_capydb_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c capydb -n "__fish_capydb_using_subcommand import; and not __fish_seen_subcommand_from preflight help" -l source-url -d 'Connection URL of a live source; `-` reads it from standard input' -r
complete -c capydb -n "__fish_capydb_using_subcommand import; and not __fish_seen_subcommand_from preflight help" -l file -d 'Dump file: custom format (pg_dump -Fc) or plain SQL' -r -F
complete -c capydb -n "__fish_capydb_using_subcommand import; and not __fish_seen_subcommand_from preflight help" -l wait-timeout -d 'Stop waiting after this time (30s, 15m, 2h); the import itself goes on' -r
complete -c capydb -n "__fish_capydb_using_subcommand import; and not __fish_seen_subcommand_from preflight help" -l project -d 'Project: id, slug or name [default: the linked one, or the only one]' -r
complete -c capydb -n "__fish_capydb_using_subcommand import; and not __fish_seen_subcommand_from preflight help" -s o -l output -d 'Form of the result on standard output' -r -f -a "text\t'For people'
json\t'One JSON document, also for errors'"
complete -c capydb -n "__fish_capydb_using_subcommand import; and not __fish_seen_subcommand_from preflight help" -l api-url -d 'Base URL of the control plane [env: CAPYDB_API_URL]' -r
complete -c capydb -n "__fish_capydb_using_subcommand import; and not __fish_seen_subcommand_from preflight help" -l api-key -d 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]' -r
complete -c capydb -n "__fish_capydb_using_subcommand import; and not __fish_seen_subcommand_from preflight help" -l recreate -d 'Replace the target database: what it holds now is dropped once the import has succeeded'
complete -c capydb -n "__fish_capydb_using_subcommand import; and not __fish_seen_subcommand_from preflight help" -l wait -d 'Wait until the import is over, and report'
complete -c capydb -n "__fish_capydb_using_subcommand import; and not __fish_seen_subcommand_from preflight help" -s y -l yes -d 'Do not ask before replacing the database'
complete -c capydb -n "__fish_capydb_using_subcommand import; and not __fish_seen_subcommand_from preflight help" -s q -l quiet -d 'Only results and errors'
complete -c capydb -n "__fish_capydb_using_subcommand import; and not __fish_seen_subcommand_from preflight help" -s v -l verbose -d 'Say what is being done; twice for more'
complete -c capydb -n "__fish_capydb_using_subcommand import; and not __fish_seen_subcommand_from preflight help" -l no-progress -d 'No moving progress line; a plain one every few seconds instead'
complete -c capydb -n "__fish_capydb_using_subcommand import; and not __fish_seen_subcommand_from preflight help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c capydb -n "__fish_capydb_using_subcommand import; and not __fish_seen_subcommand_from preflight help" -s V -l version -d 'Print version'
complete -c capydb -n "__fish_capydb_using_subcommand import; and not __fish_seen_subcommand_from preflight help" -f -a "preflight" -d 'Check a source without changing anything'
complete -c capydb -n "__fish_capydb_using_subcommand import; and not __fish_seen_subcommand_from preflight help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c capydb -n "__fish_capydb_using_subcommand import; and __fish_seen_subcommand_from preflight" -l source-url -d 'Connection URL of a live source; `-` reads it from standard input' -r
complete -c capydb -n "__fish_capydb_using_subcommand import; and __fish_seen_subcommand_from preflight" -l project -d 'Project: id, slug or name [default: the linked one, or the only one]' -r
complete -c capydb -n "__fish_capydb_using_subcommand import; and __fish_seen_subcommand_from preflight" -s o -l output -d 'Form of the result on standard output' -r -f -a "text\t'For people'
json\t'One JSON document, also for errors'"
complete -c capydb -n "__fish_capydb_using_subcommand import; and __fish_seen_subcommand_from preflight" -l api-url -d 'Base URL of the control plane [env: CAPYDB_API_URL]' -r
complete -c capydb -n "__fish_capydb_using_subcommand import; and __fish_seen_subcommand_from preflight" -l api-key -d 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]' -r
complete -c capydb -n "__fish_capydb_using_subcommand import; and __fish_seen_subcommand_from preflight" -s q -l quiet -d 'Only results and errors'
complete -c capydb -n "__fish_capydb_using_subcommand import; and __fish_seen_subcommand_from preflight" -s v -l verbose -d 'Say what is being done; twice for more'
complete -c capydb -n "__fish_capydb_using_subcommand import; and __fish_seen_subcommand_from preflight" -l no-progress -d 'No moving progress line; a plain one every few seconds instead'
complete -c capydb -n "__fish_capydb_using_subcommand import; and __fish_seen_subcommand_from preflight" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c capydb -n "__fish_capydb_using_subcommand import; and __fish_seen_subcommand_from preflight" -s V -l version -d 'Print version'
complete -c capydb -n "__fish_capydb_using_subcommand import; and __fish_seen_subcommand_from help" -f -a "preflight" -d 'Check a source without changing anything'
complete -c capydb -n "__fish_capydb_using_subcommand import; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and not __fish_seen_subcommand_from get list wait help" -s o -l output -d 'Form of the result on standard output' -r -f -a "text\t'For people'
json\t'One JSON document, also for errors'"
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and not __fish_seen_subcommand_from get list wait help" -l api-url -d 'Base URL of the control plane [env: CAPYDB_API_URL]' -r
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and not __fish_seen_subcommand_from get list wait help" -l api-key -d 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]' -r
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and not __fish_seen_subcommand_from get list wait help" -s q -l quiet -d 'Only results and errors'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and not __fish_seen_subcommand_from get list wait help" -s v -l verbose -d 'Say what is being done; twice for more'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and not __fish_seen_subcommand_from get list wait help" -l no-progress -d 'No moving progress line; a plain one every few seconds instead'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and not __fish_seen_subcommand_from get list wait help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and not __fish_seen_subcommand_from get list wait help" -s V -l version -d 'Print version'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and not __fish_seen_subcommand_from get list wait help" -f -a "get" -d 'Show one job'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and not __fish_seen_subcommand_from get list wait help" -f -a "list" -d 'List a project\'s jobs, newest first'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and not __fish_seen_subcommand_from get list wait help" -f -a "wait" -d 'Wait until a job is over, and report'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and not __fish_seen_subcommand_from get list wait help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from get" -s o -l output -d 'Form of the result on standard output' -r -f -a "text\t'For people'
json\t'One JSON document, also for errors'"
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from get" -l api-url -d 'Base URL of the control plane [env: CAPYDB_API_URL]' -r
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from get" -l api-key -d 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]' -r
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from get" -s q -l quiet -d 'Only results and errors'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from get" -s v -l verbose -d 'Say what is being done; twice for more'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from get" -l no-progress -d 'No moving progress line; a plain one every few seconds instead'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from get" -s V -l version -d 'Print version'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from list" -l project -d 'Project: id, slug or name [default: the linked one, or the only one]' -r
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from list" -l limit -d 'How many' -r
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from list" -s o -l output -d 'Form of the result on standard output' -r -f -a "text\t'For people'
json\t'One JSON document, also for errors'"
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from list" -l api-url -d 'Base URL of the control plane [env: CAPYDB_API_URL]' -r
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from list" -l api-key -d 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]' -r
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Only results and errors'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say what is being done; twice for more'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from list" -l no-progress -d 'No moving progress line; a plain one every few seconds instead'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from wait" -l wait-timeout -d 'Stop waiting after this time (30s, 15m, 2h); the job itself goes on' -r
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from wait" -s o -l output -d 'Form of the result on standard output' -r -f -a "text\t'For people'
json\t'One JSON document, also for errors'"
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from wait" -l api-url -d 'Base URL of the control plane [env: CAPYDB_API_URL]' -r
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from wait" -l api-key -d 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]' -r
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from wait" -s q -l quiet -d 'Only results and errors'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from wait" -s v -l verbose -d 'Say what is being done; twice for more'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from wait" -l no-progress -d 'No moving progress line; a plain one every few seconds instead'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from wait" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from wait" -s V -l version -d 'Print version'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from help" -f -a "get" -d 'Show one job'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from help" -f -a "list" -d 'List a project\'s jobs, newest first'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from help" -f -a "wait" -d 'Wait until a job is over, and report'
complete -c capydb -n "__fish_capydb_using_subcommand jobs; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and not __fish_seen_subcommand_from list url help" -s o -l output -d 'Form of the result on standard output' -r -f -a "text\t'For people'
json\t'One JSON document, also for errors'"
complete -c capydb -n "__fish_capydb_using_subcommand projects; and not __fish_seen_subcommand_from list url help" -l api-url -d 'Base URL of the control plane [env: CAPYDB_API_URL]' -r
complete -c capydb -n "__fish_capydb_using_subcommand projects; and not __fish_seen_subcommand_from list url help" -l api-key -d 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]' -r
complete -c capydb -n "__fish_capydb_using_subcommand projects; and not __fish_seen_subcommand_from list url help" -s q -l quiet -d 'Only results and errors'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and not __fish_seen_subcommand_from list url help" -s v -l verbose -d 'Say what is being done; twice for more'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and not __fish_seen_subcommand_from list url help" -l no-progress -d 'No moving progress line; a plain one every few seconds instead'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and not __fish_seen_subcommand_from list url help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and not __fish_seen_subcommand_from list url help" -s V -l version -d 'Print version'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and not __fish_seen_subcommand_from list url help" -f -a "list" -d 'List the projects that the key may see'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and not __fish_seen_subcommand_from list url help" -f -a "url" -d 'Print a project\'s connection URL, password included'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and not __fish_seen_subcommand_from list url help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from list" -s o -l output -d 'Form of the result on standard output' -r -f -a "text\t'For people'
json\t'One JSON document, also for errors'"
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from list" -l api-url -d 'Base URL of the control plane [env: CAPYDB_API_URL]' -r
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from list" -l api-key -d 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]' -r
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Only results and errors'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say what is being done; twice for more'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from list" -l no-progress -d 'No moving progress line; a plain one every few seconds instead'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from url" -l project -d 'Project: id, slug or name [default: the linked one, or the only one]' -r
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from url" -s o -l output -d 'Form of the result on standard output' -r -f -a "text\t'For people'
json\t'One JSON document, also for errors'"
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from url" -l api-url -d 'Base URL of the control plane [env: CAPYDB_API_URL]' -r
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from url" -l api-key -d 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]' -r
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from url" -l direct -d 'The URL without connection pooling'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from url" -s q -l quiet -d 'Only results and errors'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from url" -s v -l verbose -d 'Say what is being done; twice for more'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from url" -l no-progress -d 'No moving progress line; a plain one every few seconds instead'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from url" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from url" -s V -l version -d 'Print version'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the projects that the key may see'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from help" -f -a "url" -d 'Print a project\'s connection URL, password included'
complete -c capydb -n "__fish_capydb_using_subcommand projects; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c capydb -n "__fish_capydb_using_subcommand dev" -l data-dir -d 'Where everything lives [default: /var/lib/capydb/dev for root, else ~/.local/share/capydb/dev]' -r -F
complete -c capydb -n "__fish_capydb_using_subcommand dev" -l port -d 'Port of the API on 127.0.0.1; 0 takes a free one [default: 7654; with --ephemeral a free one]' -r
complete -c capydb -n "__fish_capydb_using_subcommand dev" -l postgres-bin -d 'Folder of Postgres programs to use [default: found, or fetched once]' -r -F
complete -c capydb -n "__fish_capydb_using_subcommand dev" -l plan-limit -d 'Plan limit of the project `dev` and of new ones (10GB, 500MiB) [default: 10GB]' -r
complete -c capydb -n "__fish_capydb_using_subcommand dev" -l allow-private-sources -d 'Whether sources in private networks may be dialled' -r -f -a "true\t''
false\t''"
complete -c capydb -n "__fish_capydb_using_subcommand dev" -s o -l output -d 'Form of the result on standard output' -r -f -a "text\t'For people'
json\t'One JSON document, also for errors'"
complete -c capydb -n "__fish_capydb_using_subcommand dev" -l api-url -d 'Base URL of the control plane [env: CAPYDB_API_URL]' -r
complete -c capydb -n "__fish_capydb_using_subcommand dev" -l api-key -d 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]' -r
complete -c capydb -n "__fish_capydb_using_subcommand dev" -l ephemeral -d 'Use a throw-away data directory'
complete -c capydb -n "__fish_capydb_using_subcommand dev" -s q -l quiet -d 'Only results and errors'
complete -c capydb -n "__fish_capydb_using_subcommand dev" -s v -l verbose -d 'Say what is being done; twice for more'
complete -c capydb -n "__fish_capydb_using_subcommand dev" -l no-progress -d 'No moving progress line; a plain one every few seconds instead'
complete -c capydb -n "__fish_capydb_using_subcommand dev" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c capydb -n "__fish_capydb_using_subcommand dev" -s V -l version -d 'Print version'
complete -c capydb -n "__fish_capydb_using_subcommand completion" -s o -l output -d 'Form of the result on standard output' -r -f -a "text\t'For people'
json\t'One JSON document, also for errors'"
complete -c capydb -n "__fish_capydb_using_subcommand completion" -l api-url -d 'Base URL of the control plane [env: CAPYDB_API_URL]' -r
complete -c capydb -n "__fish_capydb_using_subcommand completion" -l api-key -d 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]' -r
complete -c capydb -n "__fish_capydb_using_subcommand completion" -s q -l quiet -d 'Only results and errors'
complete -c capydb -n "__fish_capydb_using_subcommand completion" -s v -l verbose -d 'Say what is being done; twice for more'
complete -c capydb -n "__fish_capydb_using_subcommand completion" -l no-progress -d 'No moving progress line; a plain one every few seconds instead'
complete -c capydb -n "__fish_capydb_using_subcommand completion" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c capydb -n "__fish_capydb_using_subcommand completion" -s V -l version -d 'Print version'
complete -c capydb -n "__fish_capydb_using_subcommand help; and not __fish_seen_subcommand_from import jobs projects dev completion help" -f -a "import" -d 'Import a database from a live source or a dump file'
complete -c capydb -n "__fish_capydb_using_subcommand help; and not __fish_seen_subcommand_from import jobs projects dev completion help" -f -a "jobs" -d 'Look at jobs'
complete -c capydb -n "__fish_capydb_using_subcommand help; and not __fish_seen_subcommand_from import jobs projects dev completion help" -f -a "projects" -d 'Look at projects'
complete -c capydb -n "__fish_capydb_using_subcommand help; and not __fish_seen_subcommand_from import jobs projects dev completion help" -f -a "dev" -d 'Run a whole control plane on this machine'
complete -c capydb -n "__fish_capydb_using_subcommand help; and not __fish_seen_subcommand_from import jobs projects dev completion help" -f -a "completion" -d 'Print the completion script of a shell'
complete -c capydb -n "__fish_capydb_using_subcommand help; and not __fish_seen_subcommand_from import jobs projects dev completion help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c capydb -n "__fish_capydb_using_subcommand help; and __fish_seen_subcommand_from import" -f -a "preflight" -d 'Check a source without changing anything'
complete -c capydb -n "__fish_capydb_using_subcommand help; and __fish_seen_subcommand_from jobs" -f -a "get" -d 'Show one job'
complete -c capydb -n "__fish_capydb_using_subcommand help; and __fish_seen_subcommand_from jobs" -f -a "list" -d 'List a project\'s jobs, newest first'
complete -c capydb -n "__fish_capydb_using_subcommand help; and __fish_seen_subcommand_from jobs" -f -a "wait" -d 'Wait until a job is over, and report'
complete -c capydb -n "__fish_capydb_using_subcommand help; and __fish_seen_subcommand_from projects" -f -a "list" -d 'List the projects that the key may see'
complete -c capydb -n "__fish_capydb_using_subcommand help; and __fish_seen_subcommand_from projects" -f -a "url" -d 'Print a project\'s connection URL, password included'
