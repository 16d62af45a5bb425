import { useQuery } from "@tanstack/react-query";
import { useLocation, useNavigate, useParams } from "react-router";
import { deliver, type Pending } from "@/api/answers";
import { api, body } from "@/api/client";
import { queryClient, useMe, useProjectId } from "@/api/session";
import { ErrorPanel } from "@/components/error-panel";
import { Loading } from "@/components/loading";
import { notify } from "@/components/notify";
import { usePageTitle } from "@/components/page";
import { useMyWork } from "./my-work";
import { TaskScreen } from "./task-screen";
import { useTexts } from "./texts";

/** One's own answer: read, or corrected while its batch is open. */
export function AnswerPage() {
  const { t } = useTexts();
  const navigate = useNavigate();
  const project = useProjectId();
  const id = useParams()["assignment"] ?? "";
  const from = (useLocation().state as { from?: string } | null)?.from;
  const me = useMe().data;
  const editable = useMyWork(project).data?.find((row) => row.id === id)?.editable;
  const assignment = useQuery({
    queryKey: ["assignment", id],
    queryFn: () => body(api.GET("/api/v1/assignments/{assignment_id}/", { params: { path: { assignment_id: id } } })),
    // What is on the screen is worked on: a newer copy must not replace it.
    staleTime: Infinity,
    gcTime: 0,
  });
  usePageTitle(t("my-work.title"));

  if (assignment.error) return <div className="page"><ErrorPanel error={assignment.error} onRetry={() => void assignment.refetch()} /></div>;
  if (!assignment.data || !me) return <div className="page"><Loading lines={9} /></div>;

  const submit = async (answer: Pending) => {
    const result = await deliver(me.id, id, answer);
    await queryClient.invalidateQueries({ queryKey: ["my-work"] });
    notify(t(result.answer.status === "late" ? "sent.late" : "corrected"));
    void navigate(`/p/${project}/${from === "label" ? "label" : "my-work"}`);
  };
  return (
    <TaskScreen
      user={me.id}
      project={project}
      assignment={assignment.data}
      waiting={0}
      isCorrection={assignment.data.answer !== null}
      isReadOnly={editable === false}
      onSubmit={submit}
      onSkip={null}
    />
  );
}
