"""From exceptions to one line of text and an exit code."""

from __future__ import annotations

import traceback

from runai_perms._errors import ExitCode, PermissionToolError


def explain_failure(error: Exception, *, debug: bool = False) -> tuple[str, ExitCode]:
    """What to print and with which code to end; an unexpected error is never a verdict."""
    if isinstance(error, PermissionToolError):
        return str(error), error.exit_code
    from runai_api import errors

    if isinstance(error, errors.AuthenticationFailed):
        return str(error), ExitCode.AUTHENTICATION
    if isinstance(error, errors.ConfigurationError | errors.InvalidArgument | errors.AmbiguousName):
        return str(error), ExitCode.USAGE
    if isinstance(error, errors.RunaiError):
        return str(error), ExitCode.INCOMPLETE
    if isinstance(error, BrokenPipeError):
        return "output was cut off", ExitCode.INCOMPLETE
    text = f"unexpected error: {type(error).__name__}: {error}"
    if debug:
        text += "\n" + "".join(traceback.format_exception(error))
    else:
        text += " (run `runai-perms --debug ...` for the traceback)"
    return text, ExitCode.INCOMPLETE
