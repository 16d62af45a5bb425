import { createTheme, type CSSVariablesResolver, type MantineColorsTuple } from "@mantine/core";

// One accent, the green-blue of an old ink; greys are warm, like paper. Contrast with the page is AA in both schemes.
const petrol: MantineColorsTuple = [
  "#ecf5f5", "#d5e9e9", "#aad3d5", "#7fbcbf", "#5aa8ac", "#348f94", "#1d777c", "#0f5f63", "#0c4e52", "#093d40",
];
const gray: MantineColorsTuple = [
  "#faf9f6", "#f4f2ed", "#eae7e0", "#dcd8cf", "#c5c0b5", "#99948a", "#67635b", "#514e48", "#37352f", "#22211d",
];
const dark: MantineColorsTuple = [
  "#e6e3dc", "#cdc9c1", "#aaa69d", "#827e77", "#474540", "#383632", "#2a2926", "#1e1d1b", "#181716", "#11100f",
];

const SANS = '"Inter Variable", system-ui, -apple-system, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC", sans-serif';
const SERIF = '"Newsreader Variable", Georgia, "Songti SC", "Noto Serif CJK SC", "Noto Serif SC", SimSun, serif';
const MONO = 'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "Liberation Mono", monospace';

export const theme = createTheme({
  colors: { petrol, gray, dark },
  primaryColor: "petrol",
  primaryShade: { light: 7, dark: 6 },
  fontFamily: SANS,
  fontFamilyMonospace: MONO,
  headings: {
    fontFamily: SERIF,
    fontWeight: "500",
    sizes: {
      h1: { fontSize: "1.875rem", lineHeight: "1.2" },
      h2: { fontSize: "1.375rem", lineHeight: "1.3" },
      h3: { fontSize: "1.125rem", lineHeight: "1.35" },
      h4: { fontSize: "1rem", lineHeight: "1.4" },
    },
  },
  fontSizes: { xs: "0.75rem", sm: "0.8438rem", md: "0.9375rem", lg: "1.0625rem", xl: "1.25rem" },
  lineHeights: { md: "1.55" },
  defaultRadius: "sm",
  radius: { xs: "3px", sm: "6px", md: "10px", lg: "14px", xl: "20px" },
  cursorType: "pointer",
  respectReducedMotion: true,
  components: {
    Button: { defaultProps: { size: "sm" } },
    ActionIcon: { defaultProps: { variant: "subtle", color: "gray" } },
    Badge: { defaultProps: { variant: "light", radius: "sm", tt: "none", fw: 550 } },
    Paper: { defaultProps: { withBorder: true, radius: "md" } },
    Tooltip: { defaultProps: { openDelay: 350, withArrow: true, multiline: true, maw: 320 } },
    Modal: { defaultProps: { centered: true, overlayProps: { backgroundOpacity: 0.35, blur: 2 } } },
    Menu: { defaultProps: { shadow: "md" } },
    Table: { defaultProps: { verticalSpacing: "xs", horizontalSpacing: "sm" } },
    Anchor: { defaultProps: { underline: "hover" } },
  },
});

// White has to be read on the buttons that destroy.
const danger = { "--mantine-color-red-filled": "#b93320", "--mantine-color-red-filled-hover": "#a02a1c" };

export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    ...danger,
    "--mantine-color-body": "#fbfaf7",
    "--mantine-color-text": "#22211d",
    "--mantine-color-dimmed": "#67635b",
    "--mantine-color-placeholder": "#7a766d",
    "--surface": "#ffffff",
    "--surface-sunken": "#f4f2ed",
    "--line": "#e2ded5",
    "--line-strong": "#c5c0b5",
    "--accent": "#0f5f63",
    "--accent-soft": "#e3f0f0",
    "--mark": "#a85607",
    "--mantine-color-gray-light": "#efece5",
    "--mantine-color-gray-light-color": "#514e48",
    "--mantine-color-gray-outline": "#67635b",
    "--mantine-color-error": "#b3261e",
    "--mantine-color-red-light": "#fbe6e1",
    "--mantine-color-red-light-hover": "#f6d6cf",
    "--mantine-color-red-light-color": "#a02a1c",
    "--mantine-color-green-light": "#e0f2e3",
    "--mantine-color-green-light-color": "#1c5c2c",
    "--mantine-color-yellow-light": "#fbeed6",
    "--mantine-color-yellow-light-color": "#7a4200",
  },
  dark: {
    ...danger,
    "--mantine-color-body": "#181716",
    "--mantine-color-text": "#e6e3dc",
    "--mantine-color-dimmed": "#aaa69d",
    "--mantine-color-placeholder": "#8f8b83",
    "--surface": "#211f1d",
    "--surface-sunken": "#131211",
    "--line": "#35332f",
    "--line-strong": "#54514b",
    "--accent": "#7fbcbf",
    "--accent-soft": "#1a3436",
    "--mark": "#e9a850",
    "--mantine-color-petrol-light": "#1a3436",
    "--mantine-color-petrol-light-hover": "#21464a",
    "--mantine-color-petrol-light-color": "#a5d3d5",
    "--mantine-color-gray-light": "#33312e",
    "--mantine-color-gray-light-hover": "#3d3b37",
    "--mantine-color-gray-light-color": "#cdc9c1",
    "--mantine-color-gray-outline": "#aaa69d",
    "--mantine-color-error": "#f2907f",
    "--mantine-color-red-light": "#43211d",
    "--mantine-color-red-light-hover": "#532a25",
    "--mantine-color-red-light-color": "#f3b0a5",
    "--mantine-color-green-light": "#16341e",
    "--mantine-color-green-light-color": "#9bd6a8",
    "--mantine-color-yellow-light": "#3a2a12",
    "--mantine-color-yellow-light-color": "#f0bd74",
  },
});
