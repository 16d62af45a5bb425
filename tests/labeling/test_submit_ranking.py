from labeling.models import Assignment, Ranking, Slot, Task
from tests.labeling.factories import ranking_batch


def test_it_works(works, project, ana):
    ranking_batch(project, texts=("good", "fair", "bad"))
    me = works(ana)
    task = me.take()
    best, *rest = [candidate["id"] for candidate in task["candidates"]]
    answer = me.submit(task, tiers=[[best], rest], likert={best: 7}, confidence=4, note=" as is ")
    assert answer.status_code == 201
    assert answer.json()["answer"]["status"] == "submitted"
    assert answer.json()["next"] is None
    ranking = Ranking.objects.get()
    assert (ranking.labeler, ranking.note, ranking.confidence) == (ana, " as is ", 4)
    assert {str(item.candidate_id): item.rank for item in ranking.items.all()} == {
        best: 1,
        rest[0]: 2,
        rest[1]: 2,
    }
    assert Slot.objects.get().answered
    assert Task.objects.get().state == "complete"
    assert Assignment.objects.get().state == "submitted"
