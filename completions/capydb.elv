
use builtin;
use str;

set edit:completion:arg-completer[capydb] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'capydb'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'capydb'= {
            cand -o 'Form of the result on standard output'
            cand --output 'Form of the result on standard output'
            cand --api-url 'Base URL of the control plane [env: CAPYDB_API_URL]'
            cand --api-key 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]'
            cand -q 'Only results and errors'
            cand --quiet 'Only results and errors'
            cand -v 'Say what is being done; twice for more'
            cand --verbose 'Say what is being done; twice for more'
            cand --no-progress 'No moving progress line; a plain one every few seconds instead'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand import 'Import a database from a live source or a dump file'
            cand jobs 'Look at jobs'
            cand projects 'Look at projects'
            cand dev 'Run a whole control plane on this machine'
            cand completion 'Print the completion script of a shell'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'capydb;import'= {
            cand --source-url 'Connection URL of a live source; `-` reads it from standard input'
            cand --file 'Dump file: custom format (pg_dump -Fc) or plain SQL'
            cand --wait-timeout 'Stop waiting after this time (30s, 15m, 2h); the import itself goes on'
            cand --project 'Project: id, slug or name [default: the linked one, or the only one]'
            cand -o 'Form of the result on standard output'
            cand --output 'Form of the result on standard output'
            cand --api-url 'Base URL of the control plane [env: CAPYDB_API_URL]'
            cand --api-key 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]'
            cand --recreate 'Replace the target database: what it holds now is dropped once the import has succeeded'
            cand --wait 'Wait until the import is over, and report'
            cand -y 'Do not ask before replacing the database'
            cand --yes 'Do not ask before replacing the database'
            cand -q 'Only results and errors'
            cand --quiet 'Only results and errors'
            cand -v 'Say what is being done; twice for more'
            cand --verbose 'Say what is being done; twice for more'
            cand --no-progress 'No moving progress line; a plain one every few seconds instead'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand preflight 'Check a source without changing anything'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'capydb;import;preflight'= {
            cand --source-url 'Connection URL of a live source; `-` reads it from standard input'
            cand --project 'Project: id, slug or name [default: the linked one, or the only one]'
            cand -o 'Form of the result on standard output'
            cand --output 'Form of the result on standard output'
            cand --api-url 'Base URL of the control plane [env: CAPYDB_API_URL]'
            cand --api-key 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]'
            cand -q 'Only results and errors'
            cand --quiet 'Only results and errors'
            cand -v 'Say what is being done; twice for more'
            cand --verbose 'Say what is being done; twice for more'
            cand --no-progress 'No moving progress line; a plain one every few seconds instead'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'capydb;import;help'= {
            cand preflight 'Check a source without changing anything'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'capydb;import;help;preflight'= {
        }
        &'capydb;import;help;help'= {
        }
        &'capydb;jobs'= {
            cand -o 'Form of the result on standard output'
            cand --output 'Form of the result on standard output'
            cand --api-url 'Base URL of the control plane [env: CAPYDB_API_URL]'
            cand --api-key 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]'
            cand -q 'Only results and errors'
            cand --quiet 'Only results and errors'
            cand -v 'Say what is being done; twice for more'
            cand --verbose 'Say what is being done; twice for more'
            cand --no-progress 'No moving progress line; a plain one every few seconds instead'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand get 'Show one job'
            cand list 'List a project''s jobs, newest first'
            cand wait 'Wait until a job is over, and report'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'capydb;jobs;get'= {
            cand -o 'Form of the result on standard output'
            cand --output 'Form of the result on standard output'
            cand --api-url 'Base URL of the control plane [env: CAPYDB_API_URL]'
            cand --api-key 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]'
            cand -q 'Only results and errors'
            cand --quiet 'Only results and errors'
            cand -v 'Say what is being done; twice for more'
            cand --verbose 'Say what is being done; twice for more'
            cand --no-progress 'No moving progress line; a plain one every few seconds instead'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'capydb;jobs;list'= {
            cand --project 'Project: id, slug or name [default: the linked one, or the only one]'
            cand --limit 'How many'
            cand -o 'Form of the result on standard output'
            cand --output 'Form of the result on standard output'
            cand --api-url 'Base URL of the control plane [env: CAPYDB_API_URL]'
            cand --api-key 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]'
            cand -q 'Only results and errors'
            cand --quiet 'Only results and errors'
            cand -v 'Say what is being done; twice for more'
            cand --verbose 'Say what is being done; twice for more'
            cand --no-progress 'No moving progress line; a plain one every few seconds instead'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'capydb;jobs;wait'= {
            cand --wait-timeout 'Stop waiting after this time (30s, 15m, 2h); the job itself goes on'
            cand -o 'Form of the result on standard output'
            cand --output 'Form of the result on standard output'
            cand --api-url 'Base URL of the control plane [env: CAPYDB_API_URL]'
            cand --api-key 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]'
            cand -q 'Only results and errors'
            cand --quiet 'Only results and errors'
            cand -v 'Say what is being done; twice for more'
            cand --verbose 'Say what is being done; twice for more'
            cand --no-progress 'No moving progress line; a plain one every few seconds instead'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'capydb;jobs;help'= {
            cand get 'Show one job'
            cand list 'List a project''s jobs, newest first'
            cand wait 'Wait until a job is over, and report'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'capydb;jobs;help;get'= {
        }
        &'capydb;jobs;help;list'= {
        }
        &'capydb;jobs;help;wait'= {
        }
        &'capydb;jobs;help;help'= {
        }
        &'capydb;projects'= {
            cand -o 'Form of the result on standard output'
            cand --output 'Form of the result on standard output'
            cand --api-url 'Base URL of the control plane [env: CAPYDB_API_URL]'
            cand --api-key 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]'
            cand -q 'Only results and errors'
            cand --quiet 'Only results and errors'
            cand -v 'Say what is being done; twice for more'
            cand --verbose 'Say what is being done; twice for more'
            cand --no-progress 'No moving progress line; a plain one every few seconds instead'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand list 'List the projects that the key may see'
            cand url 'Print a project''s connection URL, password included'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'capydb;projects;list'= {
            cand -o 'Form of the result on standard output'
            cand --output 'Form of the result on standard output'
            cand --api-url 'Base URL of the control plane [env: CAPYDB_API_URL]'
            cand --api-key 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]'
            cand -q 'Only results and errors'
            cand --quiet 'Only results and errors'
            cand -v 'Say what is being done; twice for more'
            cand --verbose 'Say what is being done; twice for more'
            cand --no-progress 'No moving progress line; a plain one every few seconds instead'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'capydb;projects;url'= {
            cand --project 'Project: id, slug or name [default: the linked one, or the only one]'
            cand -o 'Form of the result on standard output'
            cand --output 'Form of the result on standard output'
            cand --api-url 'Base URL of the control plane [env: CAPYDB_API_URL]'
            cand --api-key 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]'
            cand --direct 'The URL without connection pooling'
            cand -q 'Only results and errors'
            cand --quiet 'Only results and errors'
            cand -v 'Say what is being done; twice for more'
            cand --verbose 'Say what is being done; twice for more'
            cand --no-progress 'No moving progress line; a plain one every few seconds instead'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'capydb;projects;help'= {
            cand list 'List the projects that the key may see'
            cand url 'Print a project''s connection URL, password included'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'capydb;projects;help;list'= {
        }
        &'capydb;projects;help;url'= {
        }
        &'capydb;projects;help;help'= {
        }
        &'capydb;dev'= {
            cand --data-dir 'Where everything lives [default: /var/lib/capydb/dev for root, else ~/.local/share/capydb/dev]'
            cand --port 'Port of the API on 127.0.0.1; 0 takes a free one [default: 7654; with --ephemeral a free one]'
            cand --postgres-bin 'Folder of Postgres programs to use [default: found, or fetched once]'
            cand --plan-limit 'Plan limit of the project `dev` and of new ones (10GB, 500MiB) [default: 10GB]'
            cand --allow-private-sources 'Whether sources in private networks may be dialled'
            cand -o 'Form of the result on standard output'
            cand --output 'Form of the result on standard output'
            cand --api-url 'Base URL of the control plane [env: CAPYDB_API_URL]'
            cand --api-key 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]'
            cand --ephemeral 'Use a throw-away data directory'
            cand -q 'Only results and errors'
            cand --quiet 'Only results and errors'
            cand -v 'Say what is being done; twice for more'
            cand --verbose 'Say what is being done; twice for more'
            cand --no-progress 'No moving progress line; a plain one every few seconds instead'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'capydb;completion'= {
            cand -o 'Form of the result on standard output'
            cand --output 'Form of the result on standard output'
            cand --api-url 'Base URL of the control plane [env: CAPYDB_API_URL]'
            cand --api-key 'API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]'
            cand -q 'Only results and errors'
            cand --quiet 'Only results and errors'
            cand -v 'Say what is being done; twice for more'
            cand --verbose 'Say what is being done; twice for more'
            cand --no-progress 'No moving progress line; a plain one every few seconds instead'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'capydb;help'= {
            cand import 'Import a database from a live source or a dump file'
            cand jobs 'Look at jobs'
            cand projects 'Look at projects'
            cand dev 'Run a whole control plane on this machine'
            cand completion 'Print the completion script of a shell'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'capydb;help;import'= {
            cand preflight 'Check a source without changing anything'
        }
        &'capydb;help;import;preflight'= {
        }
        &'capydb;help;jobs'= {
            cand get 'Show one job'
            cand list 'List a project''s jobs, newest first'
            cand wait 'Wait until a job is over, and report'
        }
        &'capydb;help;jobs;get'= {
        }
        &'capydb;help;jobs;list'= {
        }
        &'capydb;help;jobs;wait'= {
        }
        &'capydb;help;projects'= {
            cand list 'List the projects that the key may see'
            cand url 'Print a project''s connection URL, password included'
        }
        &'capydb;help;projects;list'= {
        }
        &'capydb;help;projects;url'= {
        }
        &'capydb;help;dev'= {
        }
        &'capydb;help;completion'= {
        }
        &'capydb;help;help'= {
        }
    ]
    $completions[$command]
}
