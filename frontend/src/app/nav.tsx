import { NavLink } from "react-router";
import { isAtLeast, useProjectId, useRole } from "@/api/session";
import type { Role } from "@/api/types";
import { useTexts } from "@/app/texts";
import { Icon } from "@/components/icons";

// Who sees which entry. The server decides what a person may do; this only leaves out what would be refused.
const GROUPS = [
  { title: "nav.work", pages: [["overview", "labeler"], ["label", "labeler"], ["my-work", "labeler"]] },
  { title: "nav.learn", pages: [["prompts", "reviewer"], ["rounds", "reviewer"], ["models", "reviewer"], ["data", "reviewer"]] },
  { title: "nav.manage", pages: [["quality", "labeler"], ["members", "admin"]] },
] as const satisfies { title: string; pages: readonly (readonly [string, Role])[] }[];

const ICONS = { "my-work": "history" } as const;

export function Nav({ onChosen }: { onChosen: () => void }) {
  const { t } = useTexts();
  const project = useProjectId();
  const role = useRole();
  return (
    <nav className="nav" aria-label={t("nav.project")}>
      {GROUPS.filter(({ pages }) => pages.some(([, wanted]) => isAtLeast(role, wanted))).map((group) => (
        <div key={group.title}>
          <div className="nav-group">{t(group.title)}</div>
          {group.pages
            .filter(([, wanted]) => isAtLeast(role, wanted))
            .map(([page]) => (
              <NavLink key={page} to={page === "overview" ? `/p/${project}` : `/p/${project}/${page}`} end={page === "overview"} className="nav-link" onClick={onChosen}>
                <Icon name={page === "my-work" ? ICONS[page] : page} />
                {t(`nav.${page}`)}
              </NavLink>
            ))}
        </div>
      ))}
    </nav>
  );
}
