import { DemonstrationScreen } from "./demonstration/demonstration-screen";
import { RankingScreen } from "./ranking/ranking-screen";
import type { TaskProps } from "./task";
import "./labeling.css";

/** The screen for a task; each assignment gets its own, so nothing of the one before stays. */
export function TaskScreen(props: TaskProps) {
  const Screen = props.assignment.kind === "demonstration" ? DemonstrationScreen : RankingScreen;
  return <Screen key={props.assignment.id} {...props} />;
}
