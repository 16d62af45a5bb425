"""What can go wrong when people work, each with its stable code."""

from __future__ import annotations

from common.errors import DomainError


class LeaseEnded(DomainError):
    """The lease is over and can't be renewed."""

    code = "lease_ended"
    message = "Your time on this task ran out. Your draft is kept, and you may still submit it."


class BatchFrozen(DomainError):
    """A correction came after the answers were frozen."""

    code = "batch_frozen"
    message = "This work was closed meanwhile, so answers given in it can no longer be changed. The first one counts."


class AssignmentSkipped(DomainError):
    """An answer to a task that its labeler skipped."""

    code = "assignment_skipped"
    message = "You skipped this task, so it cannot be answered any more."


class AlreadyAnswered(DomainError):
    """A skip of a task that was answered."""

    code = "already_answered"
    message = "You answered this task already. Correct your answer instead of skipping it."


class WrongKind(DomainError):
    """A ranking for a demonstration task, or the reverse."""

    code = "wrong_kind"
    message = "This task wants another kind of answer."
    status = 422


class DraftStale(DomainError):
    """Another tab saved a newer draft."""

    code = "draft_stale"
    message = (
        "Another tab or device saved a newer draft. It is in `extra.draft`: take it, or save yours over it."
    )
    status = 412


class PreconditionMissing(DomainError):
    """A draft was sent without saying what it replaces."""

    code = "precondition_required"
    message = 'Send If-Match: "<revision>" of the draft that you have, or If-None-Match: * for the first one.'
    status = 428


class RankingIncomplete(DomainError):
    """Not every shown candidate has a place."""

    code = "ranking_incomplete"
    message = "tiers: some answers have no place yet. Place every one; ties are allowed."
    status = 422


class RankingUnknownCandidate(DomainError):
    """An id that was not shown in this assignment."""

    code = "ranking_unknown_candidate"
    message = "tiers: there is a candidate that was not shown in this task. Send the ids of `candidates`."
    status = 422


class RankingDuplicate(DomainError):
    """A candidate stands in two places."""

    code = "ranking_duplicate"
    message = "tiers: a candidate stands in two places. Leave each in one."
    status = 422


class TiesNotAllowed(DomainError):
    """The batch wants a strict order."""

    code = "ties_not_allowed"
    message = "tiers: this work wants no ties. Put every candidate into a tier of its own."
    status = 422


class TextEmpty(DomainError):
    """A demonstration of nothing but white space."""

    code = "text_empty"
    message = "text: write the answer that the model should give, or skip the task."
    status = 422


class TextTooLong(DomainError):
    """More than can be stored."""

    code = "text_too_long"
    message = "text: this is too long to store. Shorten it."
    status = 422
