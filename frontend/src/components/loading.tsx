import { Skeleton, Stack } from "@mantine/core";

/** Grey lines in the place of what is coming. */
export function Loading({ lines = 5 }: { lines?: number }) {
  return (
    <Stack gap="sm" py="md" aria-busy>
      <Skeleton height={26} width="38%" />
      {Array.from({ length: lines }, (_, index) => (
        <Skeleton key={index} height={14} width={`${94 - ((index * 17) % 40)}%`} />
      ))}
    </Stack>
  );
}
