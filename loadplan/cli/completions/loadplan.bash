# Completion of loadplan for bash. Made of its commands by tools/build_completions.py: a Tab starts no Python.
#   loadplan completion bash > ~/.local/share/bash-completion/completions/loadplan
# where the package bash-completion is installed; else keep it anywhere and `source` it in ~/.bashrc.

# What a command holds: commands below it, options, and what each of its arguments is.
_loadplan_command() {
    commands='' options='' arguments=() more=0
    case "$1" in
        '')
            commands='init doctor quick demand run export fit plan verify report budget manifests bench serve load compare gate profile schema completion catalog'
            options='--version -h --help'
            arguments=()
            more=0 ;;
        'init')
            commands=''
            options='-h --help --out --force --json --debug'
            arguments=('files:')
            more=0 ;;
        'doctor')
            commands=''
            options='-h --help --json --debug'
            arguments=()
            more=0 ;;
        'quick')
            commands=''
            options='-h --help --peak-rps --p99-ms --log --today --proposal --body --method --answer --header --allow-remote --instance-type --check --no-check --provider --region --until --fresh -o --output --json --quiet --debug'
            arguments=('files:onnx')
            more=1 ;;
        'demand')
            commands=''
            options='-h --help --format --path --time-zone --stamps --sampled --time-column --class-column --rows-column --daily-users --requests-per-user --peak-share --busiest-day --run -o --output --force --json --debug'
            arguments=('files:')
            more=1 ;;
        'run')
            commands=''
            options='-h --help --until --fresh -o --output --json --quiet --debug'
            arguments=('files:yaml yml')
            more=0 ;;
        'export')
            commands=''
            options='-h --help --fresh -o --output --json --quiet --debug'
            arguments=('files:yaml yml')
            more=0 ;;
        'fit')
            commands=''
            options='-h --help --ledger --json --quiet --debug'
            arguments=('folders:')
            more=0 ;;
        'plan')
            commands=''
            options='-h --help --capacities --profiles --price --as-of --today --proposal -o --output --json --quiet --debug'
            arguments=('files:yaml yml')
            more=0 ;;
        'verify')
            commands=''
            options='-h --help --url --allow-remote --instance-type --sharpness --json --quiet --debug'
            arguments=('folders:')
            more=0 ;;
        'report')
            commands=''
            options='-h --help --assets --audience --json --quiet --debug'
            arguments=('folders:')
            more=0 ;;
        'budget')
            commands=''
            options='-h --help --line --focus --actuals --from -o --output --as-of --json --debug'
            arguments=('folders:')
            more=0 ;;
        'manifests')
            commands=''
            options='-h --help --image -o --output --json --debug'
            arguments=('folders:')
            more=0 ;;
        'bench')
            commands=''
            options='-h --help --batch-sizes --threads --providers --budget --exhaustive --out --fresh -o --output --json --quiet --debug'
            arguments=('files:yaml yml onnx')
            more=0 ;;
        'serve')
            commands=''
            options='-h --help --host --port --max-batch-size --batch-window-ms --threads --processes --grpc-port --inference --log-format --debug'
            arguments=('files:onnx')
            more=0 ;;
        'load')
            commands=''
            options='-h --help --rate --duration --warm-up --arrivals --cv --trace --callers --think-time --seed --body --method --answer --header --allow-remote --find-capacity --p99-ms --budget --max-rps --yes --processes --master --expect-workers --worker-timeout --bind --worker --master-host --master-port --web --web-port -o --output --json --quiet --debug'
            arguments=('files:yaml yml')
            more=0 ;;
        'compare')
            commands=''
            options='-h --help --threshold --fail-on --across-machines --junit --json --debug'
            arguments=('files:' 'files:')
            more=0 ;;
        'gate')
            commands=''
            options='-h --help --threshold --blocks --duration --rate --p99-ms --if-noisy --junit --body --header --allow-remote --seed --json --quiet --debug'
            arguments=('files:' 'files:')
            more=0 ;;
        'profile')
            commands=''
            options='-h --help --out --on --script --fresh -o --output --json --quiet --debug'
            arguments=('files:yaml yml')
            more=0 ;;
        'schema')
            commands=''
            options='-h --help --json --debug'
            arguments=()
            more=0 ;;
        'completion')
            commands=''
            options='-h --help --json --debug'
            arguments=('words:bash zsh fish')
            more=0 ;;
        'catalog')
            commands='list show diff validate import update'
            options='-h --help'
            arguments=()
            more=0 ;;
        'catalog list')
            commands=''
            options='-h --help --provider --region --as-of --json --debug'
            arguments=()
            more=0 ;;
        'catalog show')
            commands=''
            options='-h --help --as-of --json --debug'
            arguments=('free:')
            more=0 ;;
        'catalog diff')
            commands=''
            options='-h --help --provider --seen --fx --json --debug'
            arguments=('files:')
            more=0 ;;
        'catalog validate')
            commands=''
            options='-h --help --provider --seen --fx --json --debug'
            arguments=('files:')
            more=0 ;;
        'catalog import')
            commands=''
            options='-h --help --name --provider --seen --fx --json --debug'
            arguments=('files:')
            more=0 ;;
        'catalog update')
            commands=''
            options='-h --help --url --provider --json --debug'
            arguments=()
            more=0 ;;
    esac
}

# What the value of an option is; empty: it takes none.
_loadplan_value() {
    value=''
    case "$1" in
        'init --out' | 'quick --log' | 'quick --body' | 'demand -o' | 'demand --output' | 'plan --profiles' | 'budget --actuals' | 'bench --out' | 'load --trace' | 'load --body' | 'compare --junit' | 'gate --junit' | 'gate --body' | 'profile --out' | 'profile --script') value='files:' ;;
        'quick --peak-rps' | 'quick --p99-ms' | 'quick --today' | 'quick --proposal' | 'quick --answer' | 'quick --header' | 'quick --allow-remote' | 'quick --instance-type' | 'quick --provider' | 'quick --region' | 'demand --path' | 'demand --time-zone' | 'demand --sampled' | 'demand --time-column' | 'demand --class-column' | 'demand --rows-column' | 'demand --daily-users' | 'demand --requests-per-user' | 'demand --peak-share' | 'demand --busiest-day' | 'plan --price' | 'plan --as-of' | 'plan --today' | 'plan --proposal' | 'verify --url' | 'verify --allow-remote' | 'verify --instance-type' | 'budget --line' | 'budget --focus' | 'budget --from' | 'budget --as-of' | 'manifests --image' | 'bench --batch-sizes' | 'bench --threads' | 'bench --providers' | 'bench --budget' | 'serve --host' | 'serve --port' | 'serve --max-batch-size' | 'serve --batch-window-ms' | 'serve --threads' | 'serve --processes' | 'serve --grpc-port' | 'load --rate' | 'load --duration' | 'load --warm-up' | 'load --arrivals' | 'load --cv' | 'load --callers' | 'load --think-time' | 'load --seed' | 'load --answer' | 'load --header' | 'load --allow-remote' | 'load --p99-ms' | 'load --budget' | 'load --max-rps' | 'load --processes' | 'load --expect-workers' | 'load --worker-timeout' | 'load --bind' | 'load --master-host' | 'load --master-port' | 'load --web-port' | 'compare --threshold' | 'compare --fail-on' | 'gate --threshold' | 'gate --blocks' | 'gate --duration' | 'gate --rate' | 'gate --p99-ms' | 'gate --header' | 'gate --allow-remote' | 'gate --seed' | 'profile --on' | 'catalog list --provider' | 'catalog list --region' | 'catalog list --as-of' | 'catalog show --as-of' | 'catalog diff --provider' | 'catalog diff --seen' | 'catalog diff --fx' | 'catalog validate --provider' | 'catalog validate --seen' | 'catalog validate --fx' | 'catalog import --name' | 'catalog import --provider' | 'catalog import --seen' | 'catalog import --fx' | 'catalog update --url' | 'catalog update --provider') value='free:' ;;
        'quick --method' | 'load --method') value='words:GET POST PUT PATCH DELETE' ;;
        'quick --until' | 'run --until') value='words:scenario export bench load fit plan verify report' ;;
        'quick -o' | 'quick --output' | 'demand --run' | 'run -o' | 'run --output' | 'export -o' | 'export --output' | 'plan -o' | 'plan --output' | 'budget -o' | 'budget --output' | 'manifests -o' | 'manifests --output' | 'bench -o' | 'bench --output' | 'load -o' | 'load --output' | 'profile -o' | 'profile --output') value='folders:' ;;
        'demand --format') value='words:csv jsonl parquet nginx apache' ;;
        'demand --stamps') value='words:start end' ;;
        'plan --capacities') value='files:csv' ;;
        'report --assets') value='words:inline split' ;;
        'report --audience') value='words:engineer budget' ;;
        'serve --inference') value='words:inline thread auto' ;;
        'serve --log-format') value='words:text json' ;;
        'gate --if-noisy') value='words:fail neutral' ;;
    esac
}

_loadplan_offer() {
    local kind=${1%%:*} details=${1#*:} typed=${current//\\/} name ending
    local -a names=()
    typed=${typed#[\"\']}
    case "$kind" in
        words) mapfile -t COMPREPLY < <(compgen -W "$details" -- "$current") ;;
        folders)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$typed") ;;
        files)
            compopt -o filenames 2>/dev/null
            mapfile -t names < <(compgen -f -- "$typed")
            for name in "${names[@]}"; do
                [[ -d ${name/#\~/$HOME} ]] && COMPREPLY+=("$name") && continue
                for ending in $details; do [[ $name == *."$ending" ]] && COMPREPLY+=("$name"); done
            done
            # Any file will do, or theirs ends otherwise.
            [[ -z $details || ${#COMPREPLY[@]} -eq 0 ]] && COMPREPLY=("${names[@]}") ;;
    esac
}

_loadplan() {
    local current=${COMP_WORDS[COMP_CWORD]} command='' wanted='' word commands options value more
    local -a arguments
    local -i i=1 place=0
    COMPREPLY=()
    _loadplan_command ''
    while ((i < COMP_CWORD)); do
        word=${COMP_WORDS[i]}
        if [[ $word == -* ]]; then
            _loadplan_value "${command:+$command }$word"
            if [[ -n $value ]]; then
                # bash parts words at `=` too: `--out=x` comes as three.
                i+=1
                if [[ ${COMP_WORDS[i]} == '=' ]]; then
                    if ((i == COMP_CWORD)); then current=''; else i+=1; fi
                fi
                if ((i >= COMP_CWORD)); then wanted=$value; fi
            fi
        elif [[ -n $commands ]]; then
            command=${command:+$command }$word
            _loadplan_command "$command"
        else
            place+=1
        fi
        i+=1
    done
    if [[ -z $wanted && $current != -* ]]; then
        if [[ -n $commands ]]; then
            wanted="words:$commands"
        else
            if ((more && place >= ${#arguments[@]})); then place=${#arguments[@]}-1; fi
            wanted=${arguments[place]:-}
        fi
    fi
    _loadplan_offer "${wanted:-words:$options}"
}

complete -F _loadplan loadplan
