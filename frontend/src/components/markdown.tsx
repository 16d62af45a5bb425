import type { Element, Root, RootContent, Text } from "hast";
import { Component, memo, useMemo, type ReactNode } from "react";
import ReactMarkdown, { type Components, type Options } from "react-markdown";
import rehypeSanitize, { defaultSchema, type Options as Schema } from "rehype-sanitize";
import remarkGfm from "remark-gfm";
import { RawText } from "@/components/raw-text";
import { useTexts } from "@/components/texts";
import { splitHidden } from "@/lib/invisible";
import { isTooHard } from "@/lib/markdown-guard";
import "@/components/markdown.css";

// What a text of a labeler or a model may become. No style, no id, no image, no raw HTML (that stays text).
const SCHEMA: Schema = {
  ...defaultSchema,
  clobber: [],
  tagNames: [
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "img", "input", "li", "ol",
    "p", "pre", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
  ],
  attributes: {
    a: ["href"],
    code: [["className", /^language-[\w+#.-]{1,30}$/]],
    img: ["src", "alt"],
    input: [["type", "checkbox"], ["disabled", true], "checked"],
    ol: ["start"],
    td: ["align"],
    th: ["align"],
  },
  protocols: { href: ["http", "https", "mailto"] },
  required: { input: { type: "checkbox", disabled: true } },
};

/** HTML in a text is text: it is shown, and never becomes an element. Runs before the sanitizer, which would drop it. */
function htmlAsText() {
  return (tree: Root) => {
    const queue: (Root | Element)[] = [tree];
    for (let parent = queue.pop(); parent; parent = queue.pop()) {
      const isInline = parent.type === "element" && INLINE_PARENTS.has(parent.tagName);
      parent.children = parent.children.map((node) => ((node.type as string) === "raw" ? shownHtml(node, isInline) : node)) as Element["children"];
      for (const child of parent.children) if (child.type === "element") queue.push(child);
    }
  };
}

const INLINE_PARENTS = new Set(["p", "a", "em", "strong", "del", "h1", "h2", "h3", "h4", "h5", "h6", "td", "th", "li"]);

function shownHtml(node: RootContent, isInline: boolean): Text | Element {
  const text: Text = { type: "text", value: "value" in node ? node.value : "" };
  return isInline ? text : { type: "element", tagName: "p", properties: {}, children: [text] };
}

/** Hidden characters become visible marks. Runs after the sanitizer, so only this makes spans with a class. */
function showHidden() {
  return (tree: Root) => {
    const queue: (Root | Element)[] = [tree];
    for (let parent = queue.pop(); parent; parent = queue.pop()) {
      parent.children = parent.children.flatMap(expand) as Element["children"];
      for (const child of parent.children) if (child.type === "element") queue.push(child);
    }
  };
}

function expand(node: RootContent): RootContent[] {
  if (node.type !== "text") return [node];
  return splitHidden(node.value).map((piece): Text | Element =>
    "text" in piece
      ? { type: "text", value: piece.text }
      : {
          type: "element",
          tagName: "span",
          properties: { className: ["hidden-char"], title: piece.hidden },
          children: [{ type: "text", value: piece.hidden }],
        },
  );
}

/** The address, if it leads out by a harmless protocol. Relative ones would point into this site. */
export function outwardUrl(href: string | undefined): URL | null {
  if (!href || !URL.canParse(href)) return null;
  const url = new URL(href);
  return ["http:", "https:", "mailto:"].includes(url.protocol) ? url : null;
}

function shownTarget(url: URL): string {
  if (url.protocol === "mailto:") return url.pathname;
  const rest = url.pathname + url.search + url.hash;
  return url.host + (rest.length > 60 ? `${rest.slice(0, 59)}…` : rest === "/" ? "" : rest);
}

function SafeLink({ href, children }: { href?: string; children?: ReactNode }) {
  const url = outwardUrl(href);
  if (!url) return <>{children}</>;
  return (
    <a href={url.href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
      <span className="link-target"> {shownTarget(url)}</span>
    </a>
  );
}

function ImageAsText({ alt, src }: { alt?: string; src?: unknown }) {
  const { t } = useTexts();
  return (
    <span className="image-text">
      {t("markdown.image")}: {alt ? <RawText text={alt} inline /> : null} {typeof src === "string" ? <code>{src.slice(0, 300)}</code> : null}
    </span>
  );
}

const COMPONENTS: Components = {
  a: ({ href, children }) => <SafeLink href={href}>{children}</SafeLink>,
  img: ({ alt, src }) => <ImageAsText alt={alt} src={src} />,
  table: ({ children }) => <div className="table-scroll"><table>{children}</table></div>,
};
const REMARK: Options["remarkPlugins"] = [[remarkGfm, { singleTilde: false }]];
const REHYPE: Options["rehypePlugins"] = [htmlAsText, [rehypeSanitize, SCHEMA], showHidden];
// The sanitizer and SafeLink decide; the image's address is shown as text and never fetched.
const keepUrl = (url: string) => url;

/** A text that no parser survives is still shown. */
class OrRaw extends Component<{ source: string; children: ReactNode }, { failed: string | null }> {
  override state = { failed: null };
  static getDerivedStateFromError() {
    return { failed: "parser" };
  }
  override componentDidUpdate(before: { source: string }) {
    if (before.source !== this.props.source && this.state.failed !== null) this.setState({ failed: null });
  }
  override render() {
    return this.state.failed === null ? this.props.children : <RawText text={this.props.source} />;
  }
}

/** Markdown by labelers or models as React elements: nothing executes, nothing is fetched. */
export const Markdown = memo(function Markdown({ source }: { source: string }) {
  const { t } = useTexts();
  const hard = useMemo(() => isTooHard(source), [source]);
  if (hard) {
    return (
      <div className="markdown">
        <p className="markdown-note">{t("markdown.raw")}</p>
        <RawText text={source} />
      </div>
    );
  }
  return (
    <div className="markdown" dir="auto">
      <OrRaw source={source}>
        <ReactMarkdown remarkPlugins={REMARK} rehypePlugins={REHYPE} components={COMPONENTS} urlTransform={keepUrl}>
          {source}
        </ReactMarkdown>
      </OrRaw>
    </div>
  );
});
