"""The command line. Everything heavy is imported where it is needed, so that `--help` is there at once."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from nnlint import __version__, terminal
from nnlint.completion import Rules
from nnlint.output import FORMATS
from nnlint.trouble import Trouble

if TYPE_CHECKING:
    from nnlint.confirm.session import Confirmation
    from nnlint.fix.session import Mended
    from nnlint.lint import Result
    from nnlint.registry import Catalogue
    from nnlint.settings import Settings, Table

RULES, FILES, FIXES, OUTPUT, RUNTIME, OTHER = "Rule selection", "File selection", "Fixes", "Output", "Runtime mode", "Miscellaneous"
THRESHOLDS = ("error", "warning", "note", "never")
EPILOG = """\
Exit codes: 0 nothing at or above --fail-on; 1 something; 2 the run is broken: a bad option or configuration, an unknown rule, a file
that cannot be read or parsed."""


_FILE = click.Path(readable=False)  # for the shells: whether it is there and may be read is told by what opens it
F = TypeVar("F", bound=Callable[..., Any])


class ReaderGone(Exception):
    """The reader of the output has had enough (`nnlint | head`). Click would make an exit code 1 of the system's own exception."""


class Option(click.Option):
    """An option that stands under a heading of the help."""

    def __init__(self, *args: Any, group: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group = group


class Command(click.Command):
    """A command whose help shows its options by group."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {group: [] for group in (RULES, FILES, FIXES, OUTPUT, RUNTIME, OTHER)}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                groups[getattr(param, "group", OTHER)].append(record)
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl(records, col_max=34)


def _option(group: str, *names: str, **kwargs: Any) -> Callable[[F], F]:
    return click.option(*names, cls=Option, group=group, **kwargs)


def _words(ctx: click.Context, param: click.Parameter, value: Iterable[str]) -> tuple[str, ...]:
    """Options that may be repeated and may hold several words separated by commas."""
    return tuple(word.strip() for part in value for word in part.split(",") if word.strip())


def _list(group: str, name: str, metavar: str, help: str) -> Callable[[F], F]:
    kind = Rules(several=True) if metavar == "RULES" else None
    return _option(group, name, multiple=True, metavar=metavar, type=kind, callback=_words, help=help)


def _choice(group: str, *names: str, values: Sequence[str], help: str, default: str | None = None) -> Callable[[F], F]:
    return _option(group, *names, type=click.Choice(values), default=default, help=help)


@click.command(
    cls=Command, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}, add_help_option=True
)
@click.argument("paths", nargs=-1, metavar="[PATHS]...", type=_FILE)
@_list(RULES, "--select", "RULES", "Run these rules only: codes, prefixes (NN1), names, or the groups default, pedantic, all.")
@_list(RULES, "--extend-select", "RULES", "Run these rules too.")
@_list(RULES, "--ignore", "RULES", "Do not run these rules.")
@_option(RULES, "--suspected", is_flag=True, default=None, help="Show findings of which one step had to be assumed, too.")
@_list(FILES, "--exclude", "GLOBS", "Leave these files and folders out, instead of the usual ones (.venv, build ...).")
@_list(FILES, "--extend-exclude", "GLOBS", "Leave these files and folders out, too.")
@_option(FILES, "--force-exclude", is_flag=True, help="Apply the excludes to files named on the command line as well.")
@_option(FILES, "--no-respect-gitignore", is_flag=True, help="Lint files that git ignores.")
@_option(FILES, "--stdin-filename", metavar="PATH", type=_FILE, help="The name of what is read from standard input (with -).")
@_option(FIXES, "--fix", is_flag=True, help="Mend what can be mended without a doubt, and show what is left.")
@_option(FIXES, "--unsafe-fixes", is_flag=True, help="Take in fixes that may affect something that worked.")
@_option(FIXES, "--diff", is_flag=True, help="Show what --fix would change, and change nothing; exit with 1 if there is anything.")
@_option(FIXES, "--add-ignore", metavar="[=REASON]", help="Write comments that ignore all findings (with --diff: show them).")
@_choice(OUTPUT, "--format", "--output-format", "format_", values=FORMATS, help="How findings are written (default: full).")
@_option(OUTPUT, "-o", "--output", "--output-file", "output", metavar="FILE", type=_FILE, help="Write there instead of standard output.")
@_option(OUTPUT, "--statistics", is_flag=True, help="Count the findings of each rule instead of showing them.")
@_option(OUTPUT, "-q", "--quiet", is_flag=True, help="Show findings, but nothing else.")
@_choice(OUTPUT, "--color", values=["auto", "always", "never"], help="Colours (default: auto, which heeds NO_COLOR and FORCE_COLOR).")
@_choice(OUTPUT, "--fail-on", values=THRESHOLDS, help="The lowest severity that makes the exit code 1 (default: warning).")
@_option(OUTPUT, "-e", "--exit-zero", is_flag=True, help="Exit with 0 even when there are findings.")
@_option(OUTPUT, "--baseline", metavar="FILE", type=_FILE, help="Do not show the findings that this file knows.")
@_option(OUTPUT, "--write-baseline", is_flag=True, help="Write all findings into a new baseline, or take out of one what is gone.")
@_option(OUTPUT, "--no-baseline", is_flag=True, help="Show known findings too.")
@_option(RUNTIME, "--runtime", is_flag=True, help="Run the script under a probe and settle each finding; its arguments follow after --.")
@_option(RUNTIME, "-m", "--module", metavar="MODULE", help="Run a module instead of a script.")
@_option(RUNTIME, "--device", metavar="DEVICE", help="cpu, cuda, cuda:N, mps: what the script leaves to choice.")
@_option(RUNTIME, "--steps", type=click.IntRange(1), metavar="N", help="Optimizer steps to watch (default: 20).")
@_option(RUNTIME, "--timeout", type=click.FloatRange(1), metavar="S", help="Seconds after which it ends (default: 300).")
@_option(RUNTIME, "--nproc-per-node", type=click.IntRange(1), default=1, metavar="N", help="Run N ranks with torchrun.")
@_option(
    RUNTIME,
    "--synthetic-data",
    default="",
    metavar="[=FILE]",
    help="Make up the items of datasets whose data is missing, by the network and the loss, or like a sample: FILE.pt, .npz, .npy.",
)
@_option(RUNTIME, "--show-output", is_flag=True, help="Let the script print.")
@_option(RUNTIME, "--report", metavar="FILE", type=_FILE, help="Write the whole run there, as a page (.html) or as data (.json).")
@_option(OTHER, "--no-cache", is_flag=True, help="Neither read nor write the cache.")
@_option(OTHER, "--cache-dir", metavar="DIR", type=_FILE, help="Where the cache is (default: .nnlint_cache beside the configuration file).")
@_option(OTHER, "-j", "--jobs", type=click.IntRange(0), default=1, metavar="N", help="Processes to work in (default: 1; 0: one each CPU).")
@_option(OTHER, "--explain", metavar="RULE", type=Rules(several=False), help="Show the page of a rule, given by its code or name.")
@_option(OTHER, "--list-rules", is_flag=True, help="List all rules (also with --format json).")
@_option(OTHER, "--show-settings", is_flag=True, help="Show the settings in force, and why each rule runs or does not.")
@click.version_option(__version__, "-V", "--version", prog_name="nnlint", message="%(prog)s %(version)s")
@click.pass_context
def command(context: click.Context, /, paths: tuple[str, ...], **options: Any) -> int:
    """Find the silent mistakes in code that trains neural networks with PyTorch.

    PATHS are files, folders and notebooks; - is standard input. Default: the current folder. With --runtime: one script, which is RUN,
    and what it is to be given after --. As the only word, server is the language server for editors.
    """
    to_file = bool(options["output"])
    colour = terminal.colours(options["color"], to_file=to_file)
    options["links"] = colour and terminal.links(to_file=to_file)
    if options["explain"]:
        _write(_explanation(options["explain"]), options["output"], colour)
        return 0
    if options["list_rules"]:
        _write(_rules(options["format_"] or "full"), options["output"], colour)
        return 0
    from nnlint.stack import deep

    if options["no_baseline"] and (options["baseline"] or options["write_baseline"]):
        raise Trouble("`--no-baseline` does not go with `--baseline` and `--write-baseline`")
    if options["add_ignore"] is not None:
        if options["fix"] or options["runtime"]:
            raise Trouble("`--add-ignore` does not go with `--fix` and `--runtime`: fix first, then ignore what is left")
        if not options["add_ignore"].isprintable():
            raise Trouble("`--add-ignore`: the reason is no line of text")
    mending = options["fix"] or options["diff"]
    if options["unsafe_fixes"] and not mending:
        raise Trouble("`--unsafe-fixes` needs `--fix` or `--diff`")
    if options["runtime"]:
        if mending:
            raise Trouble("`--fix` and `--diff` do not go with `--runtime`: what is run is what is linted; fix first, and then run")
        return _confirm(paths, options, context.obj, colour)
    if options["module"] or options["report"] or options["synthetic_data"]:
        raise Trouble("`-m`, `--report` and `--synthetic-data` need `--runtime`")
    return deep(lambda: _lint(paths or (".",), options, colour))


def _lint(paths: Sequence[str], options: dict[str, Any], colour: bool) -> int:
    from nnlint.lint import lint_paths, lint_text
    from nnlint.registry import catalogue

    rules = catalogue()
    name = options["stdin_filename"]
    stdin = "-" in paths
    if stdin and len(paths) > 1:
        raise Trouble("`-` (standard input) cannot be linted together with other paths")
    if name and not stdin:
        raise Trouble("`--stdin-filename` needs `-` as the path")
    places = [name or "."] if stdin else paths
    settings = _settled(places, options, _flags(options))
    options = {**options, "format_": settings.output_format}
    if options["show_settings"]:
        from nnlint.output.settings import render as render_settings

        _write(render_settings(settings, rules, places), options["output"], colour)
        return 0
    data = sys.stdin.buffer.read() if stdin else None
    kept = None
    if data is not None:
        result = lint_text(data, name, settings, rules)
    else:
        from nnlint import cache
        from nnlint.crew import Crew
        from nnlint.progress import progress

        kept = None if options["no_cache"] else cache.at(settings, rules, options["cache_dir"])
        with Crew(options["jobs"], progress(options["quiet"])) as crew:
            result = lint_paths(paths, settings, rules, kept, crew)
        if kept is not None and kept.trouble and not options["quiet"]:
            click.echo(f"nnlint: the cache in {kept.root} cannot be written: {kept.trouble}", err=True)
    ignoring = options["add_ignore"] is not None
    if options["fix"] or options["diff"] or ignoring:
        from nnlint.fix.ignores import Ignoring
        from nnlint.fix.session import Session

        session = (
            Ignoring(options["add_ignore"], result, settings, rules, data, kept)
            if ignoring
            else Session(result, settings, rules, options["unsafe_fixes"], data, kept)
        )
        from nnlint.crew import Crew

        with Crew(1 if stdin else options["jobs"] or 0) as session.crew:
            mended = session.run(writing=not options["diff"])
        if not options["diff"] and (not stdin or name):
            _compare(mended.result, settings, rules, options)
        return _mend(mended, options, data, colour)
    if not result.files and not options["quiet"] and not stdin:
        click.echo("nnlint: no Python files or notebooks here", err=True)
    if not stdin or name:
        _compare(result, settings, rules, options)
    return _show(result, options, colour)


def _compare(result: Result, settings: Settings, rules: Catalogue, options: dict[str, Any]) -> None:
    """Take the findings of the baseline out of the result, and say where the two differ."""
    if settings.baseline is None and not options["write_baseline"]:
        return
    from nnlint import baseline
    from nnlint.output.line import plain

    difference = baseline.compare(result, settings, rules, writing=options["write_baseline"])
    for line in [*(() if options["quiet"] else difference.notes), *difference.leftovers]:
        click.echo(f"nnlint: {plain(line)}", err=True)


def _show(result: Result, options: dict[str, Any], colour: bool, *, aside: bool = False) -> int:
    """Write the findings (with `aside` where messages go) and say what they mean for the exit code."""
    from nnlint.output import render

    if options["statistics"]:
        from nnlint.output import statistics

        text = statistics.render(result, options["format_"])
    else:
        text = render(options["format_"], result, quiet=options["quiet"] or not result.files, links=options["links"])
    if aside and options["output"] is None:
        click.echo(text if colour else click.unstyle(text), err=True, nl=False, color=True)
    else:
        _write(text, options["output"], colour)
    return _exit_code(result, options)


def _mend(mended: Mended, options: dict[str, Any], data: bytes | None, colour: bool) -> int:
    """Write what the fixes have made, or show what they would change."""
    from nnlint.fix import disk
    from nnlint.fix.diff import render as render_diff
    from nnlint.output.fixes import applied, left

    if options["diff"]:
        _write(render_diff(mended.changes), options["output"], colour)
        if not options["quiet"]:
            tense = "would be fixed" if options["add_ignore"] is None else "would be ignored"
            click.echo(_coloured(applied(mended, tense) + left(mended), colour), err=True, nl=False)
        return 2 if mended.refused or mended.result.broken else int(bool(mended.changes))
    for change in mended.changes if data is None else []:
        assert change.path is not None
        try:
            disk.replace(change.path, change.before, change.after)
        except disk.Refused as reason:
            mended.refused[change.key] = str(reason)
    if data is not None:
        sys.stdout.buffer.write(mended.changes[0].after if mended.changes else data)
        sys.stdout.buffer.flush()
    if options["add_ignore"] is None:
        mended.result.fixed = len(mended.fixed)
    elif not options["quiet"]:
        click.echo(f"nnlint: {len(mended.fixed)} findings are ignored by comments now", err=True)
    code = _show(mended.result, options, colour, aside=data is not None)
    if not options["quiet"]:
        click.echo(_coloured(left(mended), colour), err=True, nl=False)
    return 2 if mended.refused else code


def _coloured(text: str, colour: bool) -> str:
    return text if colour else click.unstyle(text)


def _confirm(paths: Sequence[str], options: dict[str, Any], args: Sequence[str] | None, colour: bool) -> int:
    """Lint, run the script, and settle each finding."""
    from nnlint.confirm.project import find
    from nnlint.confirm.session import Options, confirm
    from nnlint.output import FOR_PEOPLE, render
    from nnlint.output.runtime import Live, report
    from nnlint.registry import catalogue

    if sys.platform == "win32":
        raise Trouble("`--runtime` does not work on Windows yet: nothing there keeps the script from changing your files")
    if len(paths) + bool(options["module"]) != 1:
        raise Trouble("`--runtime` runs one script (or one module with `-m`); what it is to be given follows after `--`")
    script = find(options["module"] or paths[0], as_module=bool(options["module"]))
    rules = catalogue()
    settings = _settled([str(script.path)], {**options, "force_exclude": False}, _flags(options, args))
    options = {**options, "format_": settings.output_format}
    running = settings.runtime
    wishes = Options(
        args=running.args,
        steps=running.steps,
        timeout=running.timeout,
        device=running.device,
        ranks=options["nproc_per_node"],
        show_output=options["show_output"],
        synthetic=_sample(options["synthetic_data"]),
    )
    live = Live(running.steps, quiet=options["quiet"])
    if not options["quiet"]:
        click.echo(f"nnlint: running {' '.join([script.module or script.path.name, *running.args])} in a child process", err=True)
    try:
        done = confirm(script, wishes, settings, rules, tell=live.heard, settled=live.settled)
    finally:
        live.close()
    _compare(done.result, settings, rules, options)
    people = options["format_"] in FOR_PEOPLE
    text = render(options["format_"], done.result, quiet=options["quiet"], links=options["links"])
    _write(text + (report(done) if people and not options["quiet"] else ""), options["output"], colour)
    if options["report"]:
        _write(_whole(done, options["report"]), options["report"], False, "--report")
    if not done.started:
        click.echo(f"nnlint: the script could not be run: {done.outcome.ended.error}", err=True)
        return 2
    return _exit_code(done.result, options)


def _whole(done: Confirmation, path: str) -> str:
    """What `--report` writes: a page to look at, or data."""
    import json

    from nnlint.output.runtime import document

    whole = document(done, __version__)
    if path.endswith((".html", ".htm")):
        from nnlint.output import html

        return html.render(done, whole)
    return json.dumps(whole, indent=2) + "\n"


def _sample(word: str) -> str:
    """The sample's path from anywhere, where there is one."""
    if word in ("", "auto"):
        return word
    if not os.path.isfile(word):
        raise Trouble(f"`--synthetic-data`: there is no file `{word}`")
    return os.path.abspath(word)


def _exit_code(result: Result, options: dict[str, Any]) -> int:
    """Never clean when something was not looked at."""
    if result.broken:
        return 2
    failed = any(map(result.counts, result.findings)) or (result.stale and result.fail_on != "never")
    return int(failed and not options["exit_zero"])


def _settled(paths: Sequence[str], options: dict[str, Any], flags: Table) -> Settings:
    from msgspec.structs import replace

    from nnlint.settings import settle

    settings = settle(paths, flags, force_exclude=options["force_exclude"], gitignore=not options["no_respect_gitignore"])
    return replace(settings, baseline=None) if options["no_baseline"] else settings


def _flags(options: dict[str, Any], args: Sequence[str] | None = None) -> Table:
    from nnlint.settings import RuntimeTable, Table

    running = RuntimeTable(
        steps=options["steps"], timeout=options["timeout"], device=options["device"], args=None if args is None else tuple(args)
    )
    return Table(
        select=options["select"] or None,
        extend_select=options["extend_select"],
        ignore=options["ignore"],
        exclude=options["exclude"] or None,
        extend_exclude=options["extend_exclude"],
        fail_on=options["fail_on"],
        suspected=options["suspected"],
        baseline=options["baseline"],
        output_format=options["format_"],
        cache_dir=options["cache_dir"],
        runtime=running,
    )


def _explanation(word: str) -> str:
    from nnlint.pages import render
    from nnlint.registry import catalogue

    return render(catalogue().find(word))


def _rules(format: str) -> str:
    from nnlint.output import catalogue as listing
    from nnlint.registry import catalogue

    return listing.render(catalogue(), format)


def _write(text: str, path: str | None, colour: bool, option: str = "--output") -> None:
    if not colour:
        text = click.unstyle(text)
    if path is None:
        try:
            click.echo(text, nl=False, color=True)
        except BrokenPipeError:
            raise ReaderGone from None
        return
    from nnlint.writing import write

    try:
        write(path, text)
    except OSError as error:
        raise Trouble(f"{option}: {path}: {error.strerror or error}") from None


def main(args: Sequence[str] | None = None) -> None:
    """The console script: every way out has its exit code."""
    # Trees and stories are large, live long and are seldom circular: looking for rubbish as often as is usual costs a tenth of the run.
    gc.set_threshold(50_000, 20, 100)
    code = _run(args)
    if args is None and sys.getprofile() is None:
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """End the process as it is: to free millions of objects one by one would take another tenth of the run."""
    atexit._run_exitfuncs()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _serve(words: Sequence[str]) -> int:
    """The language server. Its name is a word rather than an option because that is what editors are set up for."""
    if words and words[0] in ("-h", "--help"):
        click.echo("Usage: nnlint server [--stdio]\n\n  Talk to an editor over standard input and output (language server protocol).")
        return 0
    if any(word != "--stdio" for word in words):
        raise Trouble("`nnlint server` is the language server, and takes no more than `--stdio`; to lint a folder of this name: `./server`")
    try:
        from nnlint.editor.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("attrs", "cattrs", "lsprotocol", "pygls"):
            raise
        raise Trouble('the language server needs more packages: `pip install "nnlint[lsp]"`') from None
    return serve()


def _split(words: list[str]) -> tuple[list[str], list[str] | None]:
    """The words for nnlint, and those for the script that it is to run, if there is a place for them."""
    if "--" not in words or "--runtime" not in words[: words.index("--")]:
        return words, None
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _run(args: Sequence[str] | None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # file names and source texts hold what not every terminal can show
    if "_NNLINT_COMPLETE" in os.environ:
        from nnlint.completion import prepare

        prepare()
    words, script = _split(sys.argv[1:] if args is None else list(args))
    server = words[:1] == ["server"]
    # Click would take the next word for their value.
    words = [{"--synthetic-data": "--synthetic-data=auto", "--add-ignore": "--add-ignore="}.get(word, word) for word in words]
    try:
        code = _serve(words[1:]) if server else command.main(words, prog_name="nnlint", standalone_mode=False, obj=script)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show()
        return 2
    except Trouble as trouble:
        from nnlint.output.line import plain

        for line in str(trouble).splitlines():
            click.echo(f"nnlint: {plain(line)}", err=True)
        return 2
    except (KeyboardInterrupt, click.Abort):
        if "nnlint.crew" in sys.modules:
            sys.modules["nnlint.crew"].dismiss()
        click.echo("nnlint: interrupted", err=True)
        return 130
    except (ReaderGone, BrokenPipeError):
        # Python would complain once more when it flushes on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception:  # noqa: BLE001  no exit code of 1 for a mistake of our own
        import traceback

        click.echo(traceback.format_exc(), err=True)
        click.echo("nnlint: this is a mistake in nnlint itself; please report it with the lines above", err=True)
        return 2
