import { MantineProvider, mergeThemeOverrides } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClientProvider } from "@tanstack/react-query";
import { useMemo, type ReactNode } from "react";
import { queryClient } from "@/api/session";
import { useTexts } from "@/app/texts";
import { cssVariables, theme } from "@/app/theme";
import { styleNonce } from "@/lib/trusted-types";

export function Providers({ children }: { children: ReactNode }) {
  const { t } = useTexts();
  const close = t("close");
  const named = useMemo(() => mergeThemeOverrides(theme, { components: { CloseButton: { defaultProps: { "aria-label": close } } } }), [close]);
  return (
    <MantineProvider theme={named} cssVariablesResolver={cssVariables} defaultColorScheme="auto" getStyleNonce={styleNonce}>
      <Notifications position="bottom-right" limit={4} className="toasts" />
      <QueryClientProvider client={queryClient}>{children}</QueryClientProvider>
    </MantineProvider>
  );
}
