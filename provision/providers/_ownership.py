"""Whose is an object that exists already? One rule for all resources.

* It carries our mark: an interrupted run made it (or adopted it, which the mark tells); go on.
* It carries another owner's mark: never touched, whatever `adopt` says.
* It carries no mark: taken over only if `adopt` allows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provision import _constants as constants
from provision.errors import InvalidSetting, NothingToAdopt, NotOurs

ADOPT = ("never", "if_exists", "required")
#: Begins the mark on an object that was adopted; `pulumi destroy` leaves such objects.
ADOPTED = "adopted:"


def check_adopt(adopt: object) -> None:
    if adopt not in ADOPT:
        raise InvalidSetting(f"adopt must be one of {', '.join(ADOPT)}, not {adopt!r}")


def adopted(what: str, found_owner: str | None, owner: str, adopt: str) -> bool:
    """Whether taking over an existing object is an adoption (True) or a recovery (False).

    Raises:
        NotOurs: it must not be touched.
    """
    if found_owner in (owner, ADOPTED + owner):
        return found_owner != owner
    if found_owner:
        raise NotOurs(
            f"{what} exists already and belongs to the Pulumi resource "
            f"{found_owner.removeprefix(ADOPTED)}. "
            "Choose another name, or destroy the other stack first."
        )
    if adopt == "never":
        raise NotOurs(
            f"{what} exists already and was not made by this Pulumi stack. Choose another name, "
            "delete it, or take it over with adopt='if_exists' (configuration key: adopt)."
        )
    return True


def nothing_to_adopt(what: str) -> NothingToAdopt:
    return NothingToAdopt(
        f"{what} does not exist, and adopt='required' takes over existing objects only. "
        "Check the name, or set adopt to 'if_exists'."
    )


def mark_of(props: Mapping[str, Any]) -> str:
    """The mark on the object of a resource, by its inputs `owner` and output `adopted`."""
    return f"{ADOPTED if props.get('adopted') else ''}{props['owner']}"


def of_one_stack(owner: str | None, other: str) -> bool:
    """Whether two owners are resources of the same Pulumi stack; no mark of adoption is."""
    return bool(owner) and str(owner).split("/")[:3] == other.split("/")[:3]


def labels_for(props: Mapping[str, Any], found: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The user's labels and our mark; an adopted object keeps the labels that were `found` too."""
    return {
        **(without_mark(found) if found and props.get("adopted") else {}),
        **props["labels"],
        constants.LABEL_MANAGED_BY: constants.MANAGED_BY,
        constants.LABEL_OWNER: mark_of(props),
    }


def owner_in_labels(labels: Mapping[str, Any]) -> str | None:
    owner = labels.get(constants.LABEL_OWNER)
    return str(owner) if owner else None


def without_mark(labels: Mapping[str, Any]) -> dict[str, Any]:
    """The user's labels alone."""
    ours = (constants.LABEL_MANAGED_BY, constants.LABEL_OWNER)
    return {key: value for key, value in labels.items() if key not in ours}


def compared_labels(props: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The labels that must be as the program says: all of ours, on an adopted object those that
    the program sets."""
    labels = without_mark(found)
    if props.get("adopted"):
        return {key: value for key, value in labels.items() if key in props["labels"]}
    return labels


def describe(props: Mapping[str, Any]) -> str:
    """The user's description and our mark, within the control plane's 250 characters."""
    text, mark = props["description"], f"{constants.DESCRIPTION_MARK}{mark_of(props)}"
    return mark[:250] if not text else f"{text[: 250 - len(mark) - 3]} ({mark})"[:250]


def undescribe(description: str | None) -> str:
    """The description without our mark."""
    text, _, _ = (description or "").partition(constants.DESCRIPTION_MARK)
    return text.removesuffix("(").rstrip()


def owner_in_description(description: str | None) -> str | None:
    _, found, rest = (description or "").partition(constants.DESCRIPTION_MARK)
    return rest.rstrip(")") or None if found else None
