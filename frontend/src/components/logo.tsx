/** Three ranked lines with the best one marked. */
export function Logo({ size = 24 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden focusable={false} className="logo">
      <rect width="32" height="32" rx="8" />
      <path d="M8 9.5h9M8 16h16M8 22.5h12.5" />
      <circle cx="22.6" cy="9.5" r="2.4" />
    </svg>
  );
}
