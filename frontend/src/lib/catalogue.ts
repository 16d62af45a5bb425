import { useEffect, useState } from "react";
import { currentLanguage } from "./i18n";

/** A large Chinese catalogue that is fetched where it is read, so that nobody else carries it; null in English and until it is there. */
export function useCatalogue<T>(load: () => Promise<{ default: T }>): T | null {
  const [found, setFound] = useState<T | null>(null);
  const isWanted = currentLanguage() === "zh-Hans";
  useEffect(() => {
    let isHere = true;
    if (isWanted) void load().then((module) => { if (isHere) setFound(() => module.default); });
    return () => { isHere = false; };
  }, [isWanted, load]);
  return isWanted ? found : null;
}
