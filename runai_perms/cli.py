"""The command ``runai-perms``. Commands are thin: they resolve options and call the library.

Data goes to standard output, talk to standard error. Exit codes: see :class:`ExitCode`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from runai_perms import _options as options

EPILOG = """\b
Examples:
  runai-perms check --stack runai
  runai-perms check --project ml-team --features delete_on_failure,node_pools
  runai-perms check --project ml-team --subject zenml-runner --fail-on any
  runai-perms can-i create trainings --project ml-team
  runai-perms explain trainings:delete
  runai-perms role --features node_pools --name zenml-submitter --apply
  runai-perms trace -- python train.py

\b
Exit codes: 0 just right, 1 missing, 2 usage, 3 authentication, 4 unreachable or
a partial answer, 5 excess only (with --fail-on), 6 unknown name.

\b
Credentials: RUNAI_BASE_URL, RUNAI_CLIENT_ID, RUNAI_CLIENT_SECRET, RUNAI_CA_BUNDLE.
For --stack: ZENML_STORE_URL and ZENML_STORE_API_KEY, or a `zenml login`.
"""

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
json_option = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)


@click.group(context_settings=SETTINGS, epilog=EPILOG, no_args_is_help=True)
@click.version_option(package_name="zenml-runai", prog_name="runai-perms")
@click.option("--debug", is_flag=True, help="Show the traceback of unexpected errors.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Has it the rights on Run:ai, and no more?

    Derives what a ZenML stack, a profile or a recorded run needs, reads what an account holds,
    explains every difference and proposes the smallest role.
    """
    if os.environ.get("NO_COLOR"):
        context.color = False
    elif os.environ.get("FORCE_COLOR"):
        context.color = True


@cli.command()
@options.target_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "junit"]),
    default="text",
    show_default=True,
)
@click.option(
    "--fail-on",
    type=click.Choice(["missing", "excess", "any"]),
    default="missing",
    show_default=True,
    help="What makes the exit code not 0: missing rights, excess, or both.",
)
@click.option("--probe", is_flag=True, help="Confirm by harmless calls; changes nothing.")
@click.option(
    "--wait", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait for rules to take effect."
)
@click.option("--exact", is_flag=True, help="Take more than 6 requests where it needs them.")
def check(form: str, fail_on: str, probe: bool, wait: float | None, exact: bool, **o: Any) -> None:
    """Has it the rights, and no more?

    Without --subject it asks with, and about, the credentials of the stack or the environment.
    Costs at most 6 requests.
    """
    from runai_perms._run import run_check
    from runai_perms._target import find_target, require_project
    from runai_perms.render import render

    target = find_target(**o)
    require_project(target)
    report = run_check(target, probing=probe, wait=wait, exact=exact, talk=_talk)
    click.echo(render(report, form, fail_on))
    sys.exit(report.exit_code(fail_on))


@cli.command()
@click.argument("permission", shell_complete=options.complete_permission)
@options.target_options
@json_option
def explain(permission: str, form: str, **o: Any) -> None:
    """Explain one PERMISSION, e.g. trainings:create.

    Tells what it is for and how sure that is; with a project also whether it is held there, and
    the chain that decides it: rule, role, permission set, scope.
    """
    from runai_perms._explain import explain as explained
    from runai_perms._explain import run_question

    known = options.catalogue().permission(permission)
    answer = run_question(known, o) if o["project"] or o["stack"] or o["subject"] else None
    click.echo(explained(known, answer).render(form))
    sys.exit(answer.exit_code if answer else 0)


@cli.command("can-i")
@click.argument("action")
@click.argument("resource_type", shell_complete=options.complete_resource_type)
@options.target_options
@json_option
def can_i(action: str, resource_type: str, form: str, **o: Any) -> None:
    """May it do ACTION on RESOURCE_TYPE? For example: can-i create trainings -p ml-team.

    Prints yes or no and the chain that decides it. Exit code 0 for yes, 1 for no, 6 for a name
    that does not exist, so that a typing error is never a "no".
    """
    from runai_perms._explain import run_question

    permission = options.catalogue().permission(f"{resource_type}:{action}")
    answer = run_question(permission, o)
    click.echo(answer.render(form))
    sys.exit(answer.exit_code)


@cli.command()
@options.need_options
@click.option("--version", "version", default="2.24", show_default=True, metavar="X.Y")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
)
def needs(profile: str | None, features: Sequence[str], version: str, form: str) -> None:
    """List what a profile needs, without asking anybody."""
    from runai_perms._catalogue import load_catalogue
    from runai_perms._explain import list_needs
    from runai_perms._target import find_profile, split_features

    chosen = find_profile(profile)
    found = load_catalogue().needs(chosen, split_features(features), version)
    click.echo(list_needs(chosen, found, version, form))


@cli.command()
@options.target_options
@click.option("--from-trace", metavar="FILE", help="Needs from a recorded run instead.")
@click.option("--name", default="zenml-runai", show_default=True, help="Name of the role.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "pulumi"]),
    default="text",
    show_default=True,
)
@click.option("--apply", "apply_it", is_flag=True, help="Make or update the role.")
def role(form: str, name: str, from_trace: str | None, apply_it: bool, **o: Any) -> None:
    """Propose the smallest role for the needs: a cover by permission sets with the least excess.

    Needs credentials that may read roles; --apply also to create and update them.
    """
    from runai_perms._role import run_role
    from runai_perms._target import find_target

    result = run_role(find_target(**o), name, from_trace, apply_it)
    for line in result.talk:
        _talk(line)
    click.echo(result.render(form))
    sys.exit(result.exit_code)


@cli.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--output", "-o", metavar="FILE", help="Keep the request log here.")
@json_option
def trace(command: Sequence[str], output: str | None, form: str) -> None:
    """Run COMMAND and report which permissions it used: trace -- python train.py.

    Sees the requests of this project's client, in COMMAND and the processes it starts on this
    machine. What COMMAND prints goes to standard error. The exit code is COMMAND's own.
    """
    from runai_perms._trace import run_trace

    status, text = run_trace(command, output, form)
    click.echo(text)
    sys.exit(status)


@cli.command()
@click.argument("left", metavar="A")
@click.argument("right", metavar="B")
@options.place_options
@options.access_options
@json_option
def diff(left: str, right: str, form: str, **o: Any) -> None:
    """Compare two of: role:NAME, subject:[TYPE:]NAME, profile:NAME[+FEATURE...].

    Exit code 0 when they hold the same, 1 when they differ.
    """
    from runai_perms._diff import run_diff

    result = run_diff(left, right, o)
    click.echo(result.render(form))
    sys.exit(result.exit_code)


@cli.command()
@options.target_options
@click.option("--html", required=True, metavar="FILE", help="Write the page here.")
def report(html: str, **o: Any) -> None:
    """Write the check as one self-contained HTML page; the exit code is that of check."""
    from runai_perms._run import run_check, write_file
    from runai_perms._target import find_target, require_project
    from runai_perms.render import render

    target = find_target(**o)
    require_project(target)
    result = run_check(target, probing=False, wait=None, exact=True, talk=_talk)
    write_file(html, render(result, "html"))
    _talk(f"wrote {html}")
    sys.exit(result.exit_code())


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a completion script: eval "$(runai-perms completion bash)"."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 (the three shells are click's own)
    script = found(cli, {}, "runai-perms", "_RUNAI_PERMS_COMPLETE")
    click.echo(script.source())


def _talk(text: str) -> None:
    click.echo(text, err=True)


def main() -> NoReturn:
    """Entry point: runs the command and turns errors into messages and exit codes."""
    try:
        cli.main(prog_name="runai-perms", standalone_mode=False)
        sys.exit(0)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:
        from runai_perms._failures import explain_failure

        message, code = explain_failure(error, debug="--debug" in sys.argv)
        _talk(f"runai-perms: {message}")
        sys.exit(code)
