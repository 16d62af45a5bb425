import { Group, Progress, Text } from "@mantine/core";
import type { ReactNode } from "react";

/** How far something is, as a bar with words: the bar carries the name for those who do not see it. */
export function ProgressLine({ done, wanted, name, left, right }: {
  done: number;
  wanted: number;
  name: string;
  left: ReactNode;
  right?: ReactNode;
}) {
  const share = wanted > 0 ? Math.min(100, (100 * done) / wanted) : 0;
  return (
    <div>
      <Group justify="space-between" gap="sm" mb={4}>
        <Text size="sm" component="span" className="num">{left}</Text>
        {right ? <Text size="sm" c="dimmed" component="span" className="num">{right}</Text> : null}
      </Group>
      <Progress.Root size="md">
        <Progress.Section value={share} aria-label={name} />
      </Progress.Root>
    </div>
  );
}
