"""Users and memberships."""

from __future__ import annotations

import re
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.access import projects_visible_to
from accounts.events import record
from accounts.models import LabelerWeight, Membership, Pool, Project, Role, User
from accounts.services.links import make_sign_in_link
from accounts.services.names import name_line
from common.errors import DomainError, FieldError, Forbidden, InvalidInput, NotFound

USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class UsernameTaken(DomainError):
    """Somebody has this name already."""

    code = "username_taken"
    message = "username: somebody has this name already. Choose another one."


class AlreadyMember(DomainError):
    """The person is in the project already."""

    code = "already_member"
    message = "username: this person is a member already. Change the role in the list of members."


class LastAdmin(DomainError):
    """A project without an admin could never be changed again."""

    code = "last_admin"
    message = "This is the project's last admin. Make somebody else an admin first."


class NotYoursToSignIn(Forbidden):
    """A link signs in everywhere, so whoever makes one must administer everything that it opens."""

    code = "link_not_allowed"
    message = "This person also works where you are no admin, so you cannot make a sign-in link for them."


@transaction.atomic
def create_user(
    *,
    username: str,
    display_name: str = "",
    is_synthetic: bool = False,
    is_staff: bool = False,
    actor: User | None = None,
) -> User:
    """A new user without a password. Raises InvalidInput or UsernameTaken."""
    if not USERNAME.fullmatch(username):
        text = "username: 1 to 63 of a-z, 0-9, dot, dash and underscore, beginning with a letter or a digit."
        raise InvalidInput(text, errors=[FieldError("username", "bad_username", text)])
    user = User(
        username=username,
        display_name=name_line(display_name, "display_name", 80) or username,
        is_synthetic=is_synthetic,
        is_staff=is_staff,
    )
    user.set_unusable_password()
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:
        raise UsernameTaken from None
    record("user.created", subject=user, actor=actor, is_synthetic=is_synthetic, is_staff=is_staff)
    return user


@transaction.atomic
def update_profile(*, user: User, display_name: str | None = None, language: str | None = None) -> User:
    """Change one's own name or language."""
    if display_name is not None:
        user.display_name = name_line(display_name, "display_name", 80) or user.username
    if language is not None:
        user.language = language
    user.save(update_fields=["display_name", "language"])
    record("user.changed", subject=user, actor=user)
    return user


@transaction.atomic
def add_member(
    *,
    project: Project,
    user: User,
    role: str = Role.LABELER,
    pool: str = Pool.TRAIN,
    actor: User | None = None,
) -> Membership:
    """Make `user` a member. Raises AlreadyMember."""
    try:
        with transaction.atomic():
            member = Membership.objects.create(project=project, user=user, role=role, pool=pool)
    except IntegrityError:
        raise AlreadyMember from None
    record("membership.created", subject=user, actor=actor, project=project, role=role, pool=pool)
    return member


@transaction.atomic
def invite(
    *,
    project: Project,
    actor: User,
    username: str,
    display_name: str = "",
    role: str,
    pool: str = Pool.TRAIN,
    is_synthetic: bool = False,
) -> tuple[Membership, str | None]:
    """Make a person (who may be new) a member: the membership, and a sign-in link where `actor` may make one.

    `is_synthetic` marks a new user as a program; whoever exists stays what they are.
    """
    user = User.objects.filter(username=username).first()
    if user is None:
        user = create_user(
            username=username, display_name=display_name, is_synthetic=is_synthetic, actor=actor
        )
    member = add_member(project=project, user=user, role=role, pool=pool, actor=actor)
    link = make_sign_in_link(user=user, actor=actor)[0] if may_sign_in_for(actor, user) else None
    return member, link


@transaction.atomic
def change_member(
    *,
    project: Project,
    user_id: UUID,
    actor: User,
    role: str | None = None,
    pool: str | None = None,
    weight: float | None = None,
) -> Membership:
    """Set role, pool, or how much this person's rankings count. Raises NotFound, LastAdmin or InvalidInput."""
    member = _locked_member(project, user_id)
    if role is not None and role != member.role:
        _keep_an_admin(project, member)
        member.role = role
    if pool is not None:
        member.pool = pool
    member.save(update_fields=["role", "pool"])
    said = {"role": member.role, "pool": member.pool}
    weighed = {} if weight is None else {"weight": _weigh(member, weight)}
    record("membership.changed", subject=member.user, actor=actor, project=project, **said, **weighed)
    return member


def _weigh(member: Membership, weight: float) -> float:
    if not 0 < weight <= LabelerWeight.MOST:  # Not a number is neither.
        text = f"weight: choose a number above 0, up to {LabelerWeight.MOST:g}; 1 is usual."
        raise InvalidInput(text, errors=[FieldError("weight", "out_of_range", text)])
    LabelerWeight.objects.update_or_create(
        project=member.project, user=member.user, defaults={"weight": weight}
    )
    return weight


@transaction.atomic
def remove_member(*, project: Project, user_id: UUID, actor: User) -> None:
    """End a membership; what the person did stays. Raises NotFound or LastAdmin."""
    member = _locked_member(project, user_id)
    _keep_an_admin(project, member)
    record("membership.removed", subject=member.user, actor=actor, project=project, role=member.role)
    member.delete()


@transaction.atomic
def link_for_member(*, project: Project, user_id: UUID, actor: User) -> str:
    """A fresh sign-in link for a member. Raises NotFound or NotYoursToSignIn."""
    member = _locked_member(project, user_id)
    if not may_sign_in_for(actor, member.user):
        raise NotYoursToSignIn
    return make_sign_in_link(user=member.user, actor=actor)[0]


def may_sign_in_for(actor: User, user: User) -> bool:
    """Whether a link for `user` opens nothing that `actor` does not administer."""
    if actor.pk == user.pk:
        return True
    if user.is_staff or user.is_superuser:
        return False
    administered = projects_visible_to(actor).filter(memberships__user=actor, memberships__role=Role.ADMIN)
    return not Membership.objects.filter(user=user).exclude(project__in=administered.values("pk")).exists()


def _locked_member(project: Project, user_id: UUID) -> Membership:
    # The project's row is the lock: two admins who demote each other at once must not leave none.
    Project.objects.select_for_update().get(pk=project.pk)
    member = Membership.objects.select_related("user").filter(project=project, user_id=user_id).first()
    if member is None:
        raise NotFound
    return member


def _keep_an_admin(project: Project, member: Membership) -> None:
    others = Membership.objects.filter(project=project, role=Role.ADMIN).exclude(pk=member.pk)
    if member.role == Role.ADMIN and not others.exists():
        raise LastAdmin
