import { Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { Link } from "react-router";
import { api, body } from "@/api/client";
import type { Lineage } from "@/api/types";
import { QueryState } from "@/components/query-state";
import { useNames } from "@/components/state-badge";
import { layered } from "./layout";
import { usePart } from "./part";
import { useTexts } from "./texts";

type Node = Lineage["nodes"][number];

/** What stands in a box; the server's own words are English. */
function useLabel() {
  const { t } = useTexts();
  const names = useNames();
  return (node: Node): string => {
    const [, round] = /round (\d+)$/.exec(node.label) ?? [];
    if (node.type === "run") return [names.runKind(node.kind ?? "sft"), round ? t("round", { number: round }) : ""].filter(Boolean).join(", ");
    if (node.type === "snapshot") return t(`snapshot.${(node.kind ?? "prompts") as "sft"}`, { count: node.count ?? 0 });
    return node.type === "labelers" ? t("labelers", { count: node.count ?? 0 }) : node.label;
  };
}

/** Nobody stands behind a snapshot of prompts. */
const withoutNobody = ({ nodes, edges }: Lineage): Lineage => {
  const shown = nodes.filter(({ type, count }) => type !== "labelers" || (count ?? 0) > 0);
  const ids = new Set(shown.map(({ id }) => id));
  return { nodes: shown, edges: edges.filter(({ from, to }) => ids.has(from) && ids.has(to)) };
};

const [WIDTH, HEIGHT, GAP_X, GAP_Y, PAD] = [172, 46, 44, 18, 6];
const LONGEST = 23;

function addressOf(node: Node, project: string): string | null {
  if (node.type === "version") return `/p/${project}/models/${node.id}`;
  if (node.type === "run") return `/p/${project}/runs/${node.id}`;
  return node.type === "snapshot" ? `/p/${project}/data#${node.id}` : null;
}

function Box({ node, x, y, isThis, project }: { node: Node; x: number; y: number; isThis: boolean; project: string }) {
  const { t } = useTexts();
  const label = useLabel()(node);
  const isLong = label.length > LONGEST;
  const to = addressOf(node, project);
  const box = (
    <g transform={`translate(${x} ${y})`} className={`lineage-node is-${node.type}`} data-this={isThis || undefined}>
      {isLong ? <title>{label}</title> : null}
      <rect width={WIDTH} height={HEIGHT} rx={node.type === "run" ? HEIGHT / 2 : 7} />
      <text x={WIDTH / 2} y={19} className="lineage-type">{t(`node.${node.type}`)}</text>
      <text x={WIDTH / 2} y={35}>{isLong ? `${label.slice(0, LONGEST - 1)}…` : label}</text>
    </g>
  );
  return to ? <Link to={to} aria-current={isThis ? "page" : undefined}>{box}</Link> : box;
}

function Graph({ lineage, version, project }: { lineage: Lineage; version: string; project: string }) {
  const { t } = useTexts();
  const part = usePart();
  const { places, columns, rows } = layered(lineage.nodes, lineage.edges);
  const at = (id: string) => {
    const { column, row } = places.get(id) ?? { column: 0, row: 0 };
    return { x: PAD + column * (WIDTH + GAP_X), y: PAD + row * (HEIGHT + GAP_Y) };
  };
  const width = columns * (WIDTH + GAP_X) - GAP_X + 2 * PAD;
  const here = at(version);
  const scroll = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const box = scroll.current;
    box?.scrollTo(here.x + WIDTH / 2 - box.clientWidth / 2, here.y - box.clientHeight / 2);
  }, [here.x, here.y]);
  const height = rows * (HEIGHT + GAP_Y) - GAP_Y + 2 * PAD;
  return (
    <div className="lineage-scroll" tabIndex={0} ref={scroll} role="region" aria-label={t("lineage.graph")}>
      <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="group" aria-label={t("lineage.graph")}>
        {lineage.edges.filter(({ from, to }) => places.has(from) && places.has(to)).map(({ from, to, role }) => {
          const [a, b] = [at(from), at(to)];
          const [x1, y1, x2, y2] = [a.x + WIDTH, a.y + HEIGHT / 2, b.x, b.y + HEIGHT / 2];
          const bend = Math.max(22, (x2 - x1) / 2);
          return <path key={`${from} ${to} ${role}`} d={`M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`} className="lineage-edge"><title>{part(role)}</title></path>;
        })}
        {lineage.nodes.map((node) => <Box key={node.id} node={node} {...at(node.id)} isThis={node.id === version} project={project} />)}
      </svg>
    </div>
  );
}

/** The same as the graph, in words. */
function AsList({ lineage, project }: { lineage: Lineage; project: string }) {
  const { t } = useTexts();
  const label = useLabel();
  const part = usePart();
  const byId = new Map(lineage.nodes.map((node) => [node.id, label(node)]));
  return (
    <ul className="lineage-list">
      {lineage.nodes.map((node) => {
        const from = lineage.edges.filter(({ to }) => to === node.id);
        const to = addressOf(node, project);
        return (
          <li key={node.id}>
            {t(`node.${node.type}`)} {to ? <Link to={to}>{label(node)}</Link> : label(node)}
            {from.length > 0 ? <span className="dim"> {t("lineage.from", { names: from.map(({ from: id, role }) => `${byId.get(id) ?? id} (${part(role)})`).join(", ") })}</span> : null}
          </li>
        );
      })}
    </ul>
  );
}

/** Where a version comes from and what came of it, down to how many people stand behind it. */
export function LineageView({ version, project }: { version: string; project: string }) {
  const { t } = useTexts();
  const lineage = useQuery({
    queryKey: ["lineage", version],
    queryFn: () => body(api.GET("/api/v1/models/{version_id}/lineage/", { params: { path: { version_id: version } } })),
  });
  return (
    <QueryState query={lineage}>
      {(found) => {
        const data = withoutNobody(found);
        return (
        <>
          <Text size="sm" c="dimmed" mb="sm">{t("lineage.help")}</Text>
          <Graph lineage={data} version={version} project={project} />
          <details className="lineage-words">
            <summary>{t("lineage.list")}</summary>
            <Title order={3} className="visually-hidden">{t("lineage.list")}</Title>
            <AsList lineage={data} project={project} />
          </details>
        </>
        );
      }}
    </QueryState>
  );
}
