import { createBrowserRouter, type RouteObject } from "react-router";
import { Crash, NotFound } from "@/app/crash";
import { Layout } from "@/app/layout";

type LazyRoute = NonNullable<RouteObject["lazy"]>;

/** Each page is a file of its own, fetched when it is opened: labelers never load the pages of admins. */
const page = (load: () => Promise<React.ComponentType>): LazyRoute => async () => ({ Component: await load() });

const projectPages: RouteObject[] = [
  { index: true, lazy: page(async () => (await import("@/features/projects/overview-page")).OverviewPage) },
  { path: "label", lazy: page(async () => (await import("@/features/labeling/label-page")).LabelPage) },
  { path: "my-work", lazy: page(async () => (await import("@/features/labeling/my-work-page")).MyWorkPage) },
  { path: "my-work/:assignment", lazy: page(async () => (await import("@/features/labeling/answer-page")).AnswerPage) },
  { path: "prompts", lazy: page(async () => (await import("@/features/prompts/prompts-page")).PromptsPage) },
  { path: "rounds", lazy: page(async () => (await import("@/features/rounds/rounds-page")).RoundsPage) },
  { path: "rounds/:round", lazy: page(async () => (await import("@/features/rounds/round-page")).RoundPage) },
  { path: "runs/:run", lazy: page(async () => (await import("@/features/runs/run-page")).RunPage) },
  { path: "models", lazy: page(async () => (await import("@/features/models/models-page")).ModelsPage) },
  { path: "models/:model", lazy: page(async () => (await import("@/features/models/model-page")).ModelPage) },
  { path: "data", lazy: page(async () => (await import("@/features/datasets/data-page")).DataPage) },
  { path: "quality", lazy: page(async () => (await import("@/features/quality/quality-page")).QualityPage) },
  { path: "members", lazy: page(async () => (await import("@/features/members/members-page")).MembersPage) },
];

export const router = createBrowserRouter([
  { path: "/sign-in", lazy: page(async () => (await import("@/features/account/sign-in-page")).SignInPage), hydrateFallbackElement: <span />, errorElement: <Crash /> },
  {
    element: <Layout />,
    errorElement: <Crash />,
    hydrateFallbackElement: <span />,
    children: [
      { index: true, lazy: page(async () => (await import("@/features/projects/projects-page")).ProjectsPage) },
      { path: "settings", lazy: page(async () => (await import("@/features/account/settings-page")).SettingsPage) },
      { path: "p/:project", errorElement: <Crash />, children: projectPages },
      { path: "*", element: <NotFound /> },
    ],
  },
]);
