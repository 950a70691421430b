/** A student drawn as what it is: a graph of operations, laid out by dagre, each one's cost at hand. */
import { classes, html, useEffect, useMemo, useRef, useState } from '../core/html.js';
import { bytes, count, label, percent, short } from '../core/format.js';
import { Loading } from './states.js';

const WIDTH = 104;
const HEIGHT = 34;
const COSTS = { parameters: 'Parameters', macs: 'MACs', bytes: 'Memory' };

/**
 * @typedef {{id: string, label: string, operation: string, stage: number | null, channels: number, shape: number[],
 *   parameters: number, macs: number, bytes: number}} Operation
 * @typedef {{nodes: Operation[], edges: {source: string, target: string}[], totals: any, teacher: any}} Graph
 */

/** Where dagre puts everything. @param {Graph} graph @returns {Promise<any>} */
async function layout(graph) {
  const dagre = await import('../vendor/dagre.js');
  const drawing = new dagre.Graph();
  drawing.setGraph({ rankdir: 'TB', nodesep: 14, ranksep: 16, marginx: 54, marginy: 12 });
  drawing.setDefaultEdgeLabel(() => ({}));
  for (const node of graph.nodes) drawing.setNode(node.id, { width: WIDTH, height: HEIGHT });
  for (const edge of graph.edges) drawing.setEdge(edge.source, edge.target);
  dagre.layout(drawing);
  const { width, height } = drawing.graph();
  return {
    width, height,
    spots: Object.fromEntries(graph.nodes.map((node) => [node.id, drawing.node(node.id)])),
    paths: graph.edges.map((edge) => ({ ...edge, points: drawing.edge(edge.source, edge.target).points })),
  };
}

/** A smooth line through dagre's points. @param {{x: number, y: number}[]} points */
function path(points) {
  const [first, ...rest] = points;
  const middle = (a, b) => `${(a.x + b.x) / 2},${(a.y + b.y) / 2}`;
  const bends = rest.slice(0, -1).map((point, i) => `Q${point.x},${point.y} ${middle(point, rest[i + 1])}`);
  const last = rest[rest.length - 1];
  return `M${first.x},${first.y} ${bends.join(' ')} L${last.x},${last.y}`;
}

/** @param {{graph: Graph}} props */
export function Network({ graph }) {
  const [drawn, setDrawn] = useState(/** @type {any} */ (null));
  const [chosen, setChosen] = useState(/** @type {string | null} */ (null));
  const [cost, setCost] = useState(/** @type {keyof typeof COSTS} */ ('parameters'));
  const [zoom, setZoom] = useState(1);
  useEffect(() => {
    let wanted = true;
    layout(graph).then((result) => wanted && setDrawn(result));
    return () => void (wanted = false);
  }, [graph]);
  const most = useMemo(() => Math.max(1, ...graph.nodes.map((node) => node[cost])), [graph, cost]);
  const shown = graph.nodes.find((node) => node.id === chosen) ?? null;
  const picture = useRef(/** @type {SVGSVGElement | null} */ (null));
  const step = (/** @type {KeyboardEvent} */ event) => {
    const at = graph.nodes.findIndex((node) => node.id === chosen);
    const to = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: graph.nodes.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = graph.nodes[Math.max(0, Math.min(graph.nodes.length - 1, to))];
    setChosen(next.id);
    /** @type {any} */ (picture.current?.querySelector(`[data-node="${CSS.escape(next.id)}"]`))?.focus();
  };
  if (!drawn) return html`<${Loading} lines=${6} />`;
  const first = graph.nodes[0]?.id;
  return html`
    <div class="chart-controls">
      <span class="muted">Shade by</span>
      <span class="segmented" role="group" aria-label="Shade by">
        ${Object.entries(COSTS).map(([name, title]) => html`<button key=${name} aria-pressed=${cost === name} onClick=${() => setCost(/** @type {any} */ (name))}>
        ${title}</button>`)}</span>
      <span class="segmented" role="group" aria-label="Zoom">
        <button aria-label="Smaller" onClick=${() => setZoom(Math.max(0.4, zoom / 1.25))}>−</button>
        <button aria-label="Larger" onClick=${() => setZoom(Math.min(2, zoom * 1.25))}>+</button></span>
      <span class="muted">${count(graph.nodes.length)} operations, ${count(graph.edges.length)} edges</span>
    </div>
    <div class="grid">
      <div class="network span-8">
        <svg ref=${picture} width=${drawn.width * zoom} height=${drawn.height * zoom} viewBox=${`0 0 ${drawn.width} ${drawn.height}`} role="listbox" aria-label="Operations of the student, input first" onKeyDown=${step}>
          <${Stages} graph=${graph} drawn=${drawn} />
          <g aria-hidden="true">
            ${drawn.paths.map((edge) => html`<path key=${`${edge.source} ${edge.target}`} class=${classes('edge', chosen !== null && (edge.source === chosen || edge.target === chosen) && 'near')} d=${path(edge.points)} />`)}</g>
          ${graph.nodes.map((node) => html`<${Box} key=${node.id} node=${node} spot=${drawn.spots[node.id]} share=${node[cost] / most} chosen=${node.id === chosen} reachable=${node.id === (chosen ?? first)} choose=${setChosen} />`)}
        </svg>
      </div>
      <div class="span-4 sticky"><${Details} node=${shown} graph=${graph} /></div>
    </div>`;
}

/** @param {{node: Operation, spot: {x: number, y: number}, share: number, chosen: boolean, reachable: boolean, choose: (id: string) => void}} props */
function Box({ node, spot, share, chosen, reachable, choose }) {
  const choosing = () => choose(node.id);
  return html`
    <g class="node" data-node=${node.id} role="option" aria-selected=${chosen} tabindex=${reachable ? 0 : -1} transform=${`translate(${spot.x - WIDTH / 2},${spot.y - HEIGHT / 2})`}
      aria-label=${`${clipped(node.operation)} ${node.shape.join(' × ')}, ${count(node.parameters)} parameters`} onMouseEnter=${choosing} onFocus=${choosing} onClick=${choosing}>
      <rect class="box" width=${WIDTH} height=${HEIGHT} rx="4" />
      <rect class="heat" x="1" y="1" width=${WIDTH - 2} height=${HEIGHT - 2} rx="3" opacity=${(0.34 * Math.sqrt(share)).toFixed(3)} />
      <text x=${WIDTH / 2} y=${HEIGHT / 2 - 6}>${clipped(node.operation)}${' '}</text>
      <text class="channels" x=${WIDTH / 2} y=${HEIGHT / 2 + 8}>${node.shape.join(' × ')}</text>
    </g>`;
}

/** @param {string} text */
const clipped = (text) => (text.length > 16 ? `${text.slice(0, 15)}…` : text);

/** Where a stage begins. @param {{graph: Graph, drawn: any}} props */
function Stages({ graph, drawn }) {
  const tops = new Map();
  for (const node of graph.nodes) {
    if (node.stage == null) continue;
    const top = drawn.spots[node.id].y - HEIGHT / 2 - 13;
    tops.set(node.stage, Math.min(top, tops.get(node.stage) ?? Infinity));
  }
  return html`<g aria-hidden="true">${[...tops].map(([stage, y]) => html`<g key=${stage}>
    <line class="stage-line" x1="0" x2=${drawn.width} y1=${y} y2=${y} />
      <text class="stage" x="6" y=${y + 12}>stage ${stage}</text></g>`)}</g>`;
}

/** @param {{node: Operation | null, graph: Graph}} props */
function Details({ node, graph }) {
  const { totals, teacher } = graph;
  const share = (/** @type {number} */ part, /** @type {number} */ all) => (all ? html` <small>
    ${percent(part / all, 1)}</small>` : '');
  return html`
    <h3>${node ? node.label : 'The whole student'}</h3>
    ${node ? html`<dl class="pairs">
      <dt>Operation</dt><dd>${node.operation}</dd>
      ${node.stage != null && html`<dt>Stage</dt><dd>${node.stage}</dd>`}
      <dt>Result</dt><dd>${node.shape.join(' × ')}</dd><dt>Channels</dt><dd>${node.channels}</dd>
      <dt>Parameters</dt><dd>${count(node.parameters)}${share(node.parameters, totals.parameters)}</dd>
      <dt>MACs</dt><dd>${short(node.macs)}${share(node.macs, totals.macs)}</dd>
      <dt>Its result in memory</dt><dd>${bytes(node.bytes)}</dd></dl>`
      : html`<p class="muted small">Point at an operation, or walk with the arrow keys.</p>`}
    <h3 class="apart">Totals</h3>
    <dl class="pairs">
      ${['parameters', 'macs', 'peak_activation_bytes', 'weight_bytes'].filter((name) => totals[name] != null).map((name) => {
      const say = name.endsWith('bytes') ? bytes : name === 'macs' ? short : count;
      return html`<dt key=${name}>${label(name)}</dt><dd>
        ${say(totals[name])}${teacher[name] ? html` <small>of ${say(teacher[name])}</small>` : ''}</dd>`;
    })}</dl>`;
}
