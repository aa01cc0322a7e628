#compdef loadplan
# Completion of loadplan for zsh. Made of its commands by tools/build_completions.py: a Tab starts no Python.
#   loadplan completion zsh > "${fpath[1]}/_loadplan"
# or into any folder of $fpath, before `compinit` in ~/.zshrc.

_loadplan() {
    local curcontext=$curcontext state line
    typeset -A opt_args
    _arguments -C '--version[Show the version and exit.]' '(-h --help)'{-h,--help}'[Show this message and exit.]' '1: :->command' '*:: :->rest'
    case $state in
        command)
            local -a commands=(
                'init:Write a scenario to begin with: every key, its default, and what it means'
                'doctor:What this machine can do, and the command that mends what it lacks; listens for neighbours for 3 s'
                'quick:A first answer without a scenario, in a minute or two: it is written for you, with all that was assumed'
                'demand:The traffic to plan for, from access logs or from business figures: peak, bursts, week, and what may be wrong'
                'run:The whole road: from a model to a priced, verified plan. The same command again resumes'
                'export:ONNX variants of the scenario'\''s model, with proof that they still answer like it'
                'fit:Fit the laws to a run'\''s bench and load runs, and say what one server carries with each setting'
                'plan:The cheapest fleet that meets every objective, and why each other one lost'
                'verify:Drive a run'\''s plan live: PASS or FAIL, and of what'
                'report:Write the HTML page and the budget of a run, as far as it came; or the page for whoever owns the budget'
                'budget:The budget of a run'\''s plan: a workbook that computes, and its months as CSV on standard output'
                'manifests:Kubernetes manifests, a compose file and a Dockerfile that run a run'\''s plan with its settings'
                'bench:How long one batch takes on this machine, cell by cell'
                'serve:A live prediction API (Open Inference Protocol v2) for an ONNX file, or for a run with its planned setting'
                'load:Drive a live API with real arrivals, and say honestly how it answered'
                'compare:What changed from one run or benchmark to another, and why, as far as the noise lets one say'
                'gate:Drive two versions in turn and say whether the second became slower, as far as the noise lets one say'
                'profile:Bench and server calibration of this machine in one file, for `loadplan plan --profiles` anywhere'
                'schema:The JSON Schema of a scenario file, for editors'
                'completion:The file that completes commands, options and files at a Tab; its first lines say where to keep it'
                'catalog:Hardware and prices'
            )
            _describe -t commands command commands ;;
        rest)
            curcontext="${curcontext%:*:*}:loadplan-$line[1]:"
            case $line[1] in
                init)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--out=[Where to write it.]:FILE:_files' \
                        '--force[Replace a file that is there.]' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--debug[Show the traceback of an error.]' \
                        '1:\[MODEL\]:_files' ;;
                doctor)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--debug[Show the traceback of an error.]' ;;
                quick)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--peak-rps=[Requests per second in the busiest hour.]:R: ' \
                        '--p99-ms=[All but 1 in 100 are answered within it. Needed.]:MS: ' \
                        '*--log=[Of a URL\: its access log, which tells the peak; repeatable.]:FILE:_files' \
                        '*--today=[What runs now, for the difference; repeatable.]:OFFER=N: ' \
                        '*--proposal=[What somebody would buy\: how much stands idle; repeatable.]:OFFER=N: ' \
                        '--body=[Of a URL\: the body to send, or a .jsonl with one a line.]:FILE:_files' \
                        '--method=[Of a URL\: by default POST with a body, GET without.]:METHOD:(GET POST PUT PATCH DELETE)' \
                        '--answer=[Of a URL\: what a right answer holds.]:/POINTER: ' \
                        '*--header=[May be repeated.]:'\''K\: $ENV'\'': ' \
                        '*--allow-remote=[May be driven.]:HOST: ' \
                        '--instance-type=[What the server runs on, where nothing tells.]:P/TYPE: ' \
                        '(--check --no-check)'{--check,--no-check}'[Of a URL\: drive it near its capacity in the end; by default if local.]' \
                        '*--provider=[Such as aws; repeatable. By default all three.]:P: ' \
                        '*--region=[Such as us-east-1; repeatable.]:REGION: ' \
                        '--until=[Stop after this stage.]:STAGE:(scenario export bench load fit plan verify report)' \
                        '--fresh[Start a new run folder and measure everything again.]' \
                        '(-o --output)'{-o+,--output=}'[Where run folders are kept.]:DIR:_files -/' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--quiet[No progress.]' \
                        '--debug[Show the traceback of an error.]' \
                        '*:MODEL.onnx or URL:_files -g "*.(onnx)"' ;;
                demand)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--format=[csv, jsonl, parquet, nginx or apache; else detected.]:KIND:(csv jsonl parquet nginx apache)' \
                        '--path=[Only requests for paths that begin so are the model'\''s.]:/PATH: ' \
                        '--time-zone=[Of times that name none, such as Europe/Berlin.]:ZONE: ' \
                        '--stamps=[Times are of the start or end of requests.]:WHICH:(start end)' \
                        '--sampled=[The share of all requests that was kept, such as 1%.]:SHARE: ' \
                        '--time-column=[Where its name doesn'\''t tell.]:NAME: ' \
                        '--class-column=[Makes segments of the requests, such as path.]:NAME: ' \
                        '--rows-column=[Rows of each request.]:NAME: ' \
                        '--daily-users=[Without a log\: users of a usual day.]:N: ' \
                        '--requests-per-user=[Of each, to the model, on such a day.]:M: ' \
                        '--peak-share=[Of a day'\''s requests in its busiest hour, as 15%.]:SHARE: ' \
                        '--busiest-day=[Requests of the busiest day over a usual one'\''s.]:X: ' \
                        '--run=[Say what each doubt costs, by this run'\''s plan.]:RUN:_files -/' \
                        '(-o --output)'{-o+,--output=}'[Where the traffic section goes.]:FILE:_files' \
                        '--force[Replace files that are there.]' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--debug[Show the traceback of an error.]' \
                        '*:\[LOG\]...:_files' ;;
                run)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--until=[Stop after this stage.]:STAGE:(scenario export bench load fit plan verify report)' \
                        '--fresh[Start a new run folder and measure everything again.]' \
                        '(-o --output)'{-o+,--output=}'[Where run folders are kept.]:DIR:_files -/' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--quiet[No progress.]' \
                        '--debug[Show the traceback of an error.]' \
                        '1:SCENARIO:_files -g "*.(yaml|yml)"' ;;
                export)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--fresh[Start a new run folder and measure everything again.]' \
                        '(-o --output)'{-o+,--output=}'[Where run folders are kept.]:DIR:_files -/' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--quiet[No progress.]' \
                        '--debug[Show the traceback of an error.]' \
                        '1:SCENARIO:_files -g "*.(yaml|yml)"' ;;
                fit)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--ledger[Widen intervals that earlier verifications showed to be too narrow.]' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--quiet[No progress.]' \
                        '--debug[Show the traceback of an error.]' \
                        '1:RUN:_files -/' ;;
                plan)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--capacities=[Plan on capacities measured elsewhere.]:FILE.csv:_files -g "*.(csv)"' \
                        '*--profiles=[What `loadplan profile` wrote elsewhere; repeatable.]:FILE\[=P/TYPE\]:_files' \
                        '*--price=[Your own USD per hour; may be repeated.]:P/R/TYPE=X: ' \
                        '--as-of=[The day prices are judged on.]:DATE: ' \
                        '*--today=[What runs now, for the difference; repeatable.]:OFFER=N: ' \
                        '*--proposal=[What somebody would buy\: how much stands idle; repeatable.]:OFFER=N: ' \
                        '(-o --output)'{-o+,--output=}'[Where run folders are kept.]:DIR:_files -/' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--quiet[No progress.]' \
                        '--debug[Show the traceback of an error.]' \
                        '1:SCENARIO or RUN:_files -g "*.(yaml|yml)"' ;;
                verify)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--url=[Drive this server (protocol v2), not loadplan'\''s own.]:URL: ' \
                        '*--allow-remote=[A host that may be driven; repeatable.]:HOST: ' \
                        '--instance-type=[What the server runs on, where nothing tells.]:P/TYPE: ' \
                        '--sharpness[Also drive 1.25 × the rate, to see what is left on the table.]' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--quiet[No progress.]' \
                        '--debug[Show the traceback of an error.]' \
                        '1:RUN:_files -/' ;;
                report)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--assets=[`split` writes RUN/report/ with style and scripts in files of their own, for viewers such as Jenkins that let nothing in a page run.]:WHERE:(inline split)' \
                        '--audience=[engineer, or budget\: money first, no benchmarks, every term told.]:WHO:(engineer budget)' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--quiet[No progress.]' \
                        '--debug[Show the traceback of an error.]' \
                        '1:RUN:_files -/' ;;
                budget)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '*--line=[What else a month costs\: load balancer, disk, control plane or data transfer; may be repeated.]:NAME=USD: ' \
                        '--focus=[Forecast rows in the shape of FOCUS 1.2 or 1.4.]:VERSION: ' \
                        '--actuals=[The forecast beside what was billed\: FOCUS rows of this service.]:FILE:_files' \
                        '--from=[The plan'\''s first month; by default the one after the run.]:YYYY-MM: ' \
                        '(-o --output)'{-o+,--output=}'[Where the files go; by default RUN/budget.]:DIR:_files -/' \
                        '--as-of=[The day prices are judged on.]:DATE: ' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--debug[Show the traceback of an error.]' \
                        '1:RUN:_files -/' ;;
                manifests)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--image=[The server'\''s image; by default that of docker/.]:IMAGE: ' \
                        '(-o --output)'{-o+,--output=}'[Where the files go; by default RUN/manifests.]:DIR:_files -/' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--debug[Show the traceback of an error.]' \
                        '1:RUN:_files -/' ;;
                bench)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--batch-sizes=[Of a MODEL.onnx\: rows in one inference.]:BATCH_SIZES: ' \
                        '--threads=[Of a MODEL.onnx\: intra-op threads.]:THREADS: ' \
                        '--providers=[Of a MODEL.onnx\: such as CPU,CUDA.]:PROVIDERS: ' \
                        '--budget=[Of a MODEL.onnx\: time to measure, such as 60s.]:BUDGET: ' \
                        '--exhaustive[Give up nothing that can'\''t win.]' \
                        '--out=[Keep it there too, for `loadplan compare`.]:FILE:_files' \
                        '--fresh[Start a new run folder and measure everything again.]' \
                        '(-o --output)'{-o+,--output=}'[Where run folders are kept.]:DIR:_files -/' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--quiet[No progress.]' \
                        '--debug[Show the traceback of an error.]' \
                        '1:SCENARIO or MODEL.onnx:_files -g "*.(yaml|yml|onnx)"' ;;
                serve)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--host=[Address to listen on.]:HOST: ' \
                        '--port=[0 takes a free one.]:PORT: ' \
                        '--max-batch-size=[Rows in one inference.]:MAX_BATCH_SIZE: ' \
                        '--batch-window-ms=[Longest wait to fill.]:BATCH_WINDOW_MS: ' \
                        '--threads=[Intra-op threads.]:THREADS: ' \
                        '--processes=[Whole servers behind the port.]:PROCESSES: ' \
                        '--grpc-port=[Serve gRPC too; 0 takes a free port.]:GRPC_PORT: ' \
                        '--inference=[inline, thread, or auto.]:INFERENCE:(inline thread auto)' \
                        '--log-format=[text, or json\: one event a line.]:LOG_FORMAT:(text json)' \
                        '--debug[Show the traceback of an error.]' \
                        '1:MODEL.onnx or RUN:_files -g "*.(onnx)"' ;;
                load)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--rate=[Requests per second offered.]:R: ' \
                        '--duration=[How long, such as 60s.]:DURATION: ' \
                        '--warm-up=[Drive so long before, uncounted, such as 5s.]:WARM_UP: ' \
                        '--arrivals=[constant, poisson, gamma, or as a scenario has it\: '\''{process\: markov, busy_ratio\: 3, …}'\''.]:LAW: ' \
                        '--cv=[Of gamma arrivals\: variation of the gaps.]:CV: ' \
                        '--trace=[CSV of recorded arrivals\: as they were, or as fast as --rate says.]:FILE:_files' \
                        '--callers=[To compare only\: callers who wait for answers.]:N: ' \
                        '--think-time=[Of callers\: from an answer on, such as 100ms.]:THINK_TIME: ' \
                        '--seed=[Draws the arrivals.]:SEED: ' \
                        '--body=[Of a URL\: the body to send, or a .jsonl with one a line.]:FILE:_files' \
                        '--method=[Of a URL\: by default POST with a body, GET without.]:METHOD:(GET POST PUT PATCH DELETE)' \
                        '--answer=[Of a URL\: what a right answer holds.]:/POINTER: ' \
                        '*--header=[May be repeated.]:'\''K\: $ENV'\'': ' \
                        '*--allow-remote=[May be driven.]:HOST: ' \
                        '--find-capacity[Search the largest rate that holds --p99-ms, from --rate on.]' \
                        '--p99-ms=[Of --find-capacity\: the limit.]:MS: ' \
                        '--budget=[Of --find-capacity\: all probes, such as 5m.]:BUDGET: ' \
                        '--max-rps=[Never offer more than this without --yes.]:MAX_RPS: ' \
                        '--yes[The target may be loaded beyond --max-rps.]' \
                        '--processes=[Generator processes on this machine.]:N: ' \
                        '--master[Lead workers on other machines.]' \
                        '--expect-workers=[Of a master\: workers to wait for.]:N: ' \
                        '--worker-timeout=[Of a master\: how long to wait for its workers.]:WORKER_TIMEOUT: ' \
                        '--bind=[Of a master\: address to listen on.]:HOST: ' \
                        '--worker[Send a share of what a master leads.]' \
                        '--master-host=[Of a worker\: its master.]:HOST: ' \
                        '--master-port=[Where the master listens.]:MASTER_PORT: ' \
                        '--web[Show the run in Locust'\''s own page, on loopback.]' \
                        '--web-port=[Of the page.]:WEB_PORT: ' \
                        '(-o --output)'{-o+,--output=}'[Where run folders are kept.]:DIR:_files -/' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--quiet[No progress.]' \
                        '--debug[Show the traceback of an error.]' \
                        '1:SCENARIO or URL:_files -g "*.(yaml|yml)"' ;;
                compare)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--threshold=[A change of the mean up to this is none.]:THRESHOLD: ' \
                        '--fail-on=[Exit 1 on slower, faster, missing, dearer; or none.]:WHAT: ' \
                        '--across-machines[A and B may be of different machines.]' \
                        '--junit=[Write JUnit XML, a test case per cell.]:FILE:_files' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--debug[Show the traceback of an error.]' \
                        '1:A:_files' \
                        '2:B:_files' ;;
                gate)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--threshold=[Slower by up to this is allowed.]:THRESHOLD: ' \
                        '--blocks=[Blocks of four visits, two of each side.]:BLOCKS: ' \
                        '--duration=[Of each visit, such as 2s.]:DURATION: ' \
                        '--rate=[Requests per second; else about a third of busy.]:RATE: ' \
                        '--p99-ms=[HEAD must hold this too, unless BASE misses it.]:P99_MS: ' \
                        '--if-noisy=[Too noisy to say\: exit 3, or let it pass.]:IF_NOISY:(fail neutral)' \
                        '--junit=[Write JUnit XML, a test case per objective.]:FILE:_files' \
                        '--body=[What URLs are sent, by POST.]:FILE:_files' \
                        '*--header=[Sent to URLs; repeatable.]:'\''K\: $ENV'\'': ' \
                        '*--allow-remote=[A host that may be driven; repeatable.]:HOST: ' \
                        '--seed=[Of the order and the arrivals.]:SEED: ' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--quiet[No progress.]' \
                        '--debug[Show the traceback of an error.]' \
                        '1:BASE:_files' \
                        '2:HEAD:_files' ;;
                profile)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--out=[Where to write it; else into the run folder.]:FILE:_files' \
                        '--on=[Measure nothing\: say what to run there, and what it costs.]:INSTANCE_TYPE: ' \
                        '--script=[With --on\: write what measures there and switches the machine off.]:FILE:_files' \
                        '--fresh[Start a new run folder and measure everything again.]' \
                        '(-o --output)'{-o+,--output=}'[Where run folders are kept.]:DIR:_files -/' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--quiet[No progress.]' \
                        '--debug[Show the traceback of an error.]' \
                        '1:SCENARIO or RUN:_files -g "*.(yaml|yml)"' ;;
                schema)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--debug[Show the traceback of an error.]' ;;
                completion)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--debug[Show the traceback of an error.]' \
                        '1:SHELL:(bash zsh fish)' ;;
                catalog) _loadplan_catalog ;;
            esac ;;
    esac
}

_loadplan_catalog() {
    local curcontext=$curcontext state line
    typeset -A opt_args
    _arguments -C '(-h --help)'{-h,--help}'[Show this message and exit.]' '1: :->command' '*:: :->rest'
    case $state in
        command)
            local -a commands=(
                'list:Every offer with its price per hour, the day the price was seen, and where'
                'show:What is known of one machine, its processor, and each of its prices with age and layer'
                'diff:What FILE would change in the catalogue; without FILE, what imports have changed in the shipped one'
                'validate:Hold the prices of FILE, or the catalogue itself, against the rules; 1 where a row is wrong'
                'import:Lay the prices of FILE over the shipped ones, from now on'
                'update:Fetch newer prices from gpuhunt'\''s public catalogue: the only command that goes out to the network for prices'
            )
            _describe -t commands command commands ;;
        rest)
            curcontext="${curcontext%:*:*}:loadplan-$line[1]:"
            case $line[1] in
                list)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--provider=[Only this provider, such as aws.]:PROVIDER: ' \
                        '--region=[Only this region.]:REGION: ' \
                        '--as-of=[The day prices are judged on.]:DATE: ' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--debug[Show the traceback of an error.]' ;;
                show)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--as-of=[The day prices are judged on.]:DATE: ' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--debug[Show the traceback of an error.]' \
                        '1:NAME: ' ;;
                diff)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--provider=[Whose prices they are, where the file doesn'\''t say.]:PROVIDER: ' \
                        '--seen=[The day they were seen, where the file doesn'\''t say.]:DATE: ' \
                        '*--fx=[USD for one unit of another currency; may be repeated.]:CUR=RATE: ' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--debug[Show the traceback of an error.]' \
                        '1:\[FILE\]:_files' ;;
                validate)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--provider=[Whose prices they are, where the file doesn'\''t say.]:PROVIDER: ' \
                        '--seen=[The day they were seen, where the file doesn'\''t say.]:DATE: ' \
                        '*--fx=[USD for one unit of another currency; may be repeated.]:CUR=RATE: ' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--debug[Show the traceback of an error.]' \
                        '1:\[FILE\]:_files' ;;
                import)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--name=[Replaces the list of that name; by default the file'\''s name.]:NAME: ' \
                        '--provider=[Whose prices they are, where the file doesn'\''t say.]:PROVIDER: ' \
                        '--seen=[The day they were seen, where the file doesn'\''t say.]:DATE: ' \
                        '*--fx=[USD for one unit of another currency; may be repeated.]:CUR=RATE: ' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--debug[Show the traceback of an error.]' \
                        '1:FILE:_files' ;;
                update)
                    _arguments \
                        '(-h --help)'{-h,--help}'[Show this message and exit.]' \
                        '--url=[Another place with the same files.]:URL: ' \
                        '*--provider=[Keep only this one; may be repeated.]:PROVIDER: ' \
                        '--json[Print one JSON object and nothing else on standard output.]' \
                        '--debug[Show the traceback of an error.]' ;;
            esac ;;
    esac
}

if [[ $funcstack[1] == _loadplan ]]; then
    _loadplan "$@"
else
    compdef _loadplan loadplan
fi
