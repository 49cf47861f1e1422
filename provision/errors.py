"""The errors of provisioning.

```
ProvisionError
├── InvalidSetting        a setting is missing, malformed or contradicts another
├── NotOurs               an object of that name exists and `adopt` does not allow taking it over
├── NothingToAdopt        `adopt` is "required" and there is no such object
├── NotRegistered         a component needs a flavor that is not registered
├── StillInUse            something else uses the object that is to be deleted
├── RemoteError           the control plane or ZenML refused or failed
└── InternalError         a defect of this package
```

The engine prints an error as ``<class>: <message>``, so the message is the whole story: what
happened, why, and what to do next. No message carries a secret or a request body.
"""

from __future__ import annotations

import pulumi


class ProvisionError(pulumi.RunError):
    """Base of all errors of this package; a program shows a `RunError` without a traceback."""


class InvalidSetting(ProvisionError):
    """A setting is missing, malformed or contradicts another."""


class NotOurs(ProvisionError):
    """An object of that name exists already, and taking it over is not allowed."""


class NothingToAdopt(ProvisionError):
    """`adopt` is ``"required"``, and there is no object to take over."""


class NotRegistered(ProvisionError):
    """A component needs a flavor that the ZenML server does not know."""


class StillInUse(ProvisionError):
    """Something else uses the object that is to be deleted."""


class RemoteError(ProvisionError):
    """The control plane or the ZenML server refused a request or failed."""


class InternalError(ProvisionError):
    """A defect of this package."""


# The engine shows the module of an exception: show the public one.
for _error in (
    ProvisionError,
    InvalidSetting,
    NotOurs,
    NothingToAdopt,
    NotRegistered,
    StillInUse,
    RemoteError,
    InternalError,
):
    _error.__module__ = "provision"
