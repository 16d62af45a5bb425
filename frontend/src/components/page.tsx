import { Group, Title } from "@mantine/core";
import { useEffect, type ReactNode } from "react";

/** The frame of an ordinary page: title, actions on the right, content. */
export function Page({ title, subtitle, actions, children }: {
  title: string;
  subtitle?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}) {
  usePageTitle(title);
  return (
    <div className="page">
      <Group justify="space-between" align="flex-end" gap="md" className="page-head">
        <div>
          <Title order={1}>{title}</Title>
          {subtitle ? <div className="page-subtitle">{subtitle}</div> : null}
        </div>
        {actions ? <Group gap="xs">{actions}</Group> : null}
      </Group>
      {children}
    </div>
  );
}

export function usePageTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Preceptor`;
  }, [title]);
}
