"""The only writers of people, projects, memberships, links and tokens."""

from accounts.services.links import make_sign_in_link, sign_in_with
from accounts.services.people import (
    add_member,
    change_member,
    create_user,
    invite,
    link_for_member,
    remove_member,
    update_profile,
)
from accounts.services.projects import change_project, create_project, pseudonym
from accounts.services.tokens import create_token, revoke_token

__all__ = [
    "add_member",
    "change_member",
    "change_project",
    "create_project",
    "create_token",
    "create_user",
    "invite",
    "link_for_member",
    "make_sign_in_link",
    "pseudonym",
    "remove_member",
    "revoke_token",
    "sign_in_with",
    "update_profile",
]
