/** Line icons of one weight, drawn for this product. Decorative: the control that holds one carries the name. */

const PATHS = {
  menu: "M4 7h16M4 12h16M4 17h16",
  sun: "M12 4V2M12 22v-2M4 12H2M22 12h-2M5.6 5.6 4.2 4.2M19.8 19.8l-1.4-1.4M5.6 18.4l-1.4 1.4M19.8 4.2l-1.4 1.4M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8",
  moon: "M20 14.5A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0 10.5 10.5",
  auto: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 3v18M15 6.5v11M18 9v6",
  globe: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M3 12h18M12 3c3 3 3.6 6 3.6 9s-.6 6-3.6 9c-3-3-3.6-6-3.6-9s.6-6 3.6-9",
  user: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8M4.5 20c1-4 4-6 7.5-6s6.5 2 7.5 6",
  chevron: "m7 10 5 5 5-5",
  right: "m10 7 5 5-5 5",
  left: "m14 7-5 5 5 5",
  check: "m5 12.5 4.5 4.5L19 7.5",
  close: "m6 6 12 12M18 6 6 18",
  plus: "M12 5v14M5 12h14",
  overview: "M4 5h7v6H4zM13 5h7v4h-7zM13 11h7v8h-7zM4 13h7v6H4z",
  label: "M4 7h8M4 12h16M4 17h12M18 5.5a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3",
  history: "M4 5v4h4M4.5 9a8 8 0 1 1-.5 5M12 8v4.5l3 2",
  prompts: "M4 5h16v11H10l-4 4v-4H4zM8 9h8M8 12h5",
  rounds: "M19 8a8 8 0 0 0-14-1M5 3v4h4M5 16a8 8 0 0 0 14 1M19 21v-4h-4",
  models: "M12 3 4 7.5v9L12 21l8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9",
  data: "M5 6c0-3.5 14-3.5 14 0s-14 3.5-14 0M5 6v12c0 3.5 14 3.5 14 0V6M5 12c0 3.5 14 3.5 14 0",
  quality: "M4 19V5M4 19h16M8 15l3.5-4 3 2.5L20 7",
  members: "M9 5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7M2.5 19c.8-3.4 3.2-5 6.5-5s5.7 1.6 6.5 5M16 5.3a3.5 3.5 0 0 1 0 6.4M18 14.5c2 .7 3 2.3 3.5 4.5",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4",
  help: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M9.5 9.5a2.5 2.5 0 1 1 3.6 2.3c-.8.4-1.1.9-1.1 1.7M12 16.8v.2",
  warning: "M12 4 2.8 19.5h18.4zM12 10v4.5M12 17v.2",
  download: "M12 4v11M7.5 11 12 15.5 16.5 11M5 20h14",
  upload: "M12 16V5M7.5 9.5 12 5l4.5 4.5M5 20h14",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  book: "M4 5c3-1 6-1 8 1 2-2 5-2 8-1v13c-3-1-6-1-8 1-2-2-5-2-8-1zM12 6v13",
  grip: "M9 6v.2M15 6v.2M9 12v.2M15 12v.2M9 18v.2M15 18v.2",
  undo: "M8 5 4 9l4 4M4 9h10a6 6 0 0 1 0 12h-3",
  redo: "m16 5 4 4-4 4M20 9H10a6 6 0 0 0 0 12h3",
  skip: "m5 6 7 6-7 6zM13 6l7 6-7 6z",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 7.5V12l3 2",
  cloud: "M7 18a4 4 0 0 1-.5-8 5.5 5.5 0 0 1 10.7 1A3.5 3.5 0 0 1 17 18z",
  wide: "M4 9V5h4M16 5h4v4M20 15v4h-4M8 19H4v-4",
  stop: "M7 7h10v10H7z",
  play: "M8 5.5v13l11-6.5z",
  branch: "M7 4v12M7 16a2 2 0 1 0 0 4 2 2 0 0 0 0-4M17 4a2 2 0 1 0 0 4 2 2 0 0 0 0-4M17 8c0 5-10 3-10 8",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" aria-hidden focusable={false} className="icon">
      <path d={PATHS[name]} />
    </svg>
  );
}
