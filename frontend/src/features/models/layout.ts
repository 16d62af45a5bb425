/** A lineage graph in layers: what something was made from stands to the left of it. Pure. */

export interface GraphNode {
  id: string;
}
export interface GraphEdge {
  from: string;
  to: string;
}
export interface Place {
  column: number;
  row: number;
}
export interface Layout {
  places: Map<string, Place>;
  columns: number;
  rows: number;
}

/** The longest way from a beginning. A circle, which no lineage has, ends where it closes. */
function columnsOf(nodes: GraphNode[], parents: Map<string, string[]>): Map<string, number> {
  const known = new Map<string, number>();
  const visit = (id: string, above: Set<string>): number => {
    const found = known.get(id);
    if (found !== undefined) return found;
    if (above.has(id)) return 0;
    const inside = new Set(above).add(id);
    const column = Math.max(-1, ...(parents.get(id) ?? []).map((parent) => visit(parent, inside))) + 1;
    known.set(id, column);
    return column;
  };
  for (const { id } of nodes) visit(id, new Set());
  return known;
}

/** Beginnings stand just left of what they were first used for, not all in the first column. */
function pullRight(columns: Map<string, number>, children: Map<string, string[]>, parents: Map<string, string[]>): void {
  for (const id of columns.keys()) {
    if ((parents.get(id) ?? []).length > 0) continue;
    const used = (children.get(id) ?? []).map((child) => columns.get(child) ?? 0);
    if (used.length > 0) columns.set(id, Math.min(...used) - 1);
  }
}

/** Rows within each column by the mean row of the parents, so that lines cross little. */
function rowsOf(columns: Map<string, number>, parents: Map<string, string[]>, places: Map<string, Place>): number {
  const byColumn = new Map<number, string[]>();
  for (const [id, column] of columns) byColumn.set(column, [...(byColumn.get(column) ?? []), id]);
  let rows = 0;
  for (const column of [...byColumn.keys()].sort((a, b) => a - b)) {
    const weight = (id: string) => {
      const above = (parents.get(id) ?? []).flatMap((parent) => places.get(parent)?.row ?? []);
      return above.length > 0 ? above.reduce((sum, row) => sum + row, 0) / above.length : Infinity;
    };
    const ids = (byColumn.get(column) ?? []).map((id) => ({ id, weight: weight(id) })).sort((a, b) => (a.weight === b.weight ? 0 : a.weight - b.weight));
    ids.forEach(({ id }, row) => places.set(id, { column, row }));
    rows = Math.max(rows, ids.length);
  }
  return rows;
}

export function layered(nodes: GraphNode[], edges: GraphEdge[]): Layout {
  const ids = new Set(nodes.map(({ id }) => id));
  const parents = new Map<string, string[]>();
  const children = new Map<string, string[]>();
  for (const { from, to } of edges) {
    if (!ids.has(from) || !ids.has(to)) continue;
    parents.set(to, [...(parents.get(to) ?? []), from]);
    children.set(from, [...(children.get(from) ?? []), to]);
  }
  const columns = columnsOf(nodes, parents);
  pullRight(columns, children, parents);
  const places = new Map<string, Place>();
  const rows = rowsOf(columns, parents, places);
  return { places, columns: Math.max(0, ...columns.values()) + 1, rows };
}
