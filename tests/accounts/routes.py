"""Who may call what: every route of the product with the least role that it needs and the scope that a token needs.

A route without a line here fails tests/accounts/test_route_matrix.py, and so does a line without a route. `who` is

    public      anybody
    operator    whoever has the operator's own secret; nobody of the cast
    signed_in   every person
    opener      who may open projects: an admin of some project
    labeler, reviewer, admin    members of the project with at least this role; strangers get 404
    own         the labeler whose it is; everybody else gets 404
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    method: str
    route: str
    who: str
    scope: str = ""  # of a token; "session": no token may; "": nobody looks at tokens here
    body: str = "{}"  # well-formed, where the body is looked at before the person is
    low: int = 403  # what a member below the role gets; 404 where that member does not even see the thing


API = "api/v1/"
PROJECT = API + "projects/<uuid:project_id>/"
MEMBER = PROJECT + "members/<uuid:user_id>/"
MODEL = API + "models/<uuid:version_id>/"
TASK = API + "assignments/<uuid:assignment_id>/"
ROUND = API + "rounds/<uuid:round_id>/"
RUN = API + "runs/<uuid:run_id>/"
SNAPSHOT = API + "snapshots/<uuid:snapshot_id>/"

PAGES = (
    Row("GET", "healthz", "public"),
    Row("GET", "readyz", "public"),
    Row("GET", "version", "public"),
    Row("GET", "metrics", "operator"),
    Row("GET", "api/schema/", "public"),
)
PEOPLE = (
    Row("GET", API + "auth/csrf/", "public"),
    Row("POST", API + "auth/sign-in/", "public"),
    Row("POST", API + "auth/sign-out/", "signed_in", "admin"),
    Row("GET", API + "me/", "signed_in", "read"),
    Row("PATCH", API + "me/", "signed_in", "admin"),
    Row("GET", API + "tokens/", "signed_in", "read"),
    Row("POST", API + "tokens/", "signed_in", "session"),
    Row("DELETE", API + "tokens/<uuid:token_id>/", "own", "session"),
    Row("GET", API + "projects/", "signed_in", "read"),
    Row("POST", API + "projects/", "opener", "admin"),
    Row("GET", PROJECT, "labeler", "read"),
    Row("PATCH", PROJECT, "admin", "admin"),
    Row("GET", PROJECT + "events/", "admin", "read"),
    Row("GET", PROJECT + "members/", "admin", "read"),
    Row("POST", PROJECT + "members/", "admin", "admin"),
    Row("PATCH", MEMBER, "admin", "admin"),
    Row("DELETE", MEMBER, "admin", "admin"),
    Row("POST", MEMBER + "link/", "admin", "admin"),
)
MODELS = (
    Row("GET", API + "base-models/", "signed_in", "read"),
    Row("GET", PROJECT + "models/", "reviewer", "read"),
    Row("GET", MODEL, "reviewer", "read"),
    Row("GET", MODEL + "lineage/", "reviewer", "read"),
    Row("POST", MODEL + "promote/", "admin", "models:promote"),
)
LABELING = (
    Row("GET", PROJECT + "prompts/", "reviewer", "read"),
    Row("POST", PROJECT + "prompts/", "admin", "prompts:write"),
    Row("POST", PROJECT + "prompts/import/", "admin", "prompts:write"),
    Row("GET", API + "prompts/<uuid:prompt_id>/", "reviewer", "read", low=404),
    Row("POST", API + "prompts/<uuid:prompt_id>/clear-pii/", "admin", "prompts:write"),
    Row("GET", PROJECT + "quality/", "labeler", "read"),
    Row("POST", PROJECT + "tasks/next/", "labeler", "tasks:work"),
    Row("GET", API + "assignments/", "signed_in", "read"),
    Row("GET", TASK, "own", "read"),
    Row("GET", TASK + "draft/", "own", "read"),
    Row("PUT", TASK + "draft/", "own", "tasks:work", '{"content": {"text": "x"}}'),
    Row("POST", TASK + "submit/", "own", "submissions:write", '{"text": "x"}'),
    Row("POST", TASK + "skip/", "own", "tasks:work", '{"reason": "unclear"}'),
    Row("POST", TASK + "release/", "own", "tasks:work"),
    Row("POST", TASK + "heartbeat/", "own", "tasks:work", '{"active_ms": 5}'),
)
TRAINING = (
    Row("GET", PROJECT + "recipes/defaults/", "admin", "read"),
    Row("GET", PROJECT + "rounds/", "reviewer", "read"),
    Row("POST", PROJECT + "rounds/", "admin", "runs:launch"),
    Row("POST", PROJECT + "rounds/estimate/", "admin", "runs:launch"),
    Row("GET", ROUND, "reviewer", "read"),
    Row("PATCH", ROUND, "admin", "runs:launch"),
    Row("POST", ROUND + "advance/", "admin", "runs:launch"),
    Row("POST", ROUND + "cancel/", "admin", "runs:launch"),
    Row("POST", ROUND + "retry/", "admin", "runs:launch"),
    Row("POST", ROUND + "promote/", "admin", "models:promote"),
    Row("POST", ROUND + "drop/", "admin", "models:promote"),
    Row("POST", ROUND + "simulate/", "admin", "runs:launch"),
    Row("GET", ROUND + "pairs/", "reviewer", "read"),
    Row("GET", ROUND + "events/", "reviewer", "read"),
    Row("GET", PROJECT + "runs/", "reviewer", "read"),
    Row("GET", RUN, "reviewer", "read"),
    Row("GET", RUN + "metrics/", "reviewer", "read"),
    Row("GET", RUN + "samples/", "reviewer", "read"),
    Row("GET", RUN + "log/", "admin", "read"),
    Row("POST", RUN + "cancel/", "admin", "runs:launch"),
    Row("POST", RUN + "retry/", "admin", "runs:launch"),
    Row("GET", RUN + "events/", "reviewer", "read"),
    Row("GET", PROJECT + "snapshots/", "reviewer", "read"),
    Row("POST", PROJECT + "snapshots/", "admin", "runs:launch"),
    Row("GET", SNAPSHOT, "reviewer", "read"),
    Row("GET", SNAPSHOT + "export/", "reviewer", "export:read"),
)
ROWS = (*PAGES, *PEOPLE, *MODELS, *LABELING, *TRAINING)

# Not resources: the page for a person's browser, and what answers below /api and /v1 where nothing is.
CATCH_ALL = {"^", "^(?:api|v1|static)(?:/|$)"}
