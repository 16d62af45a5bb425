"""The OpenAPI file says what the endpoints really give: generated types are only as true as this."""

from drf_spectacular.generators import SchemaGenerator

from tests.labeling.factories import PromptFactory, demonstration_batch, ranking_batch

SHAPES = {
    "Assignment", "AssignmentCandidate", "AssignmentSummary", "NextAssignment", "SubmitResult", "Prompt", "PromptPage",
    "ImportReport", "Quality", "Lease", "DraftSaved",
}  # fmt: skip


def shapes():
    return SchemaGenerator().get_schema(request=None, public=True)["components"]["schemas"]


def fits(value, schema, known, path=""):
    """Objects have exactly the declared fields, everywhere."""
    if "allOf" in schema:
        schema = schema["allOf"][0]
    if "oneOf" in schema and value is not None:
        schema = next(one for one in schema["oneOf"] if one.get("type") != "null")
    if "$ref" in schema:
        schema = known[schema["$ref"].rsplit("/", 1)[1]]
    if isinstance(value, dict) and "properties" in schema:
        assert set(value) == set(schema["properties"]), path
        for name, one in value.items():
            fits(one, schema["properties"][name], known, f"{path}.{name}")
    elif isinstance(value, list):
        for one in value:
            fits(one, schema["items"], known, path + "[]")


def test_the_shapes_have_names():
    assert set(shapes()) >= SHAPES


def test_every_answer_has_exactly_the_declared_fields(works, project, ana, eva, client_of):
    known = shapes()
    ranking_batch(project, tasks=2)
    demonstration_batch(project)
    PromptFactory(project=project)
    me = works(ana)
    first = me.next(kinds=["ranking"]).json()
    fits(first, known["NextAssignment"], known)
    task = first["assignment"]
    saved = me.save(task, {"text": "a"}, **{"If-None-Match": "*"})
    fits(saved.json(), known["DraftSaved"], known)
    fits(me.get(task, "draft/").json(), known["AssignmentDraft"], known)
    fits(me.post(task, "heartbeat", {"active_ms": 1}).json(), known["Lease"], known)
    fits(me.rank(task, next={}).json(), known["SubmitResult"], known)
    fits(me.get(task).json(), known["Assignment"], known)
    essay = me.take(kinds=["demonstration"])
    me.submit(essay, text="Dear")
    fits(me.get(essay).json(), known["Assignment"], known)
    fits(me.post(me.take(), "skip", {"reason": "language", "next": {}}).json(), known["SkipResult"], known)
    for line in me.client.get("/api/v1/assignments/").json():
        fits(line, known["AssignmentSummary"], known)
    admin = client_of(eva)
    base = f"/api/v1/projects/{project.pk}"
    fits(admin.get(f"{base}/quality/").json(), known["Quality"], known)
    fits(admin.get(f"{base}/prompts/").json(), known["PromptPage"], known)
    report = admin.post(
        f"{base}/prompts/import/", b'{"prompt": "a"}\n{"prompt": "A"}', content_type="application/x-ndjson"
    )
    fits(report.json(), known["ImportReport"], known)
