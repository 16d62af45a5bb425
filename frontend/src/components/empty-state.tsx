import { Stack, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";
import { Icon, type IconName } from "@/components/icons";

/** A page with nothing on it says why, and what would fill it. */
export function EmptyState({ icon, title, children, action }: {
  icon: IconName;
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}) {
  return (
    <Stack align="center" gap="xs" py={64} px="md" ta="center">
      <span className="empty-icon">
        <Icon name={icon} size={26} />
      </span>
      <Title order={2} size="h3">
        {title}
      </Title>
      {children ? (
        <Text c="dimmed" maw={460}>
          {children}
        </Text>
      ) : null}
      {action ? <div className="empty-action">{action}</div> : null}
    </Stack>
  );
}
