import { useTexts } from "./texts";

const PARTS = ["model", "reference", "reward", "heldout_labelers"] as const;

/** What a parent was for its child, in the reader's language. */
export function usePart(): (role: string) => string {
  const { t } = useTexts();
  return (role) => {
    const known = PARTS.find((part) => part === role);
    return known ? t(`part.${known}`) : role;
  };
}
