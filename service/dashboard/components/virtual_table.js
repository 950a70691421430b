/** A table of any length: only the rows in view exist, and they are fetched as they come into view. */
import { classes, html, useEffect, useLayoutEffect, useRef, useState } from '../core/html.js';
import { send } from '../core/api.js';
import { onEvent } from '../core/events.js';
import { Icon } from './icon.js';
import { Failure } from './states.js';

const ROW = 34;
const PAGE = 100;
const AROUND = 8;

/**
 * Pages of a listing, read when asked for; page tokens lead from one to the next, so a far page may need those before.
 * @param {(token: string | null, size: number) => string} url of a page
 * @param {string} key changes when the listing is another one
 * @param {string | null} live id of the study whose events make it old
 */
export function usePages(url, key, live) {
  const [state, setState] = useState({ key: '', total: 0, rows: /** @type {any[]} */ ([]), token: /** @type {string | null} */ (null), error: /** @type {any} */ (null) });
  const wanted = useRef(PAGE);
  const [round, setRound] = useState(0);
  const reload = () => setRound((n) => n + 1);

  useEffect(() => {
    const stop = new AbortController();
    wanted.current = Math.max(PAGE, Math.min(wanted.current, 500));
    send('GET', url(null, wanted.current), { signal: stop.signal }).then(
      (page) => setState({ key, total: page.total, rows: page.items, token: page.next_page_token, error: null }),
      (error) => error.name !== 'AbortError' && setState({ key, total: 0, rows: [], token: null, error }),
    );
    return () => stop.abort();
  }, [key, round]);
  useEffect(() => {
    let timer = 0;
    const leave = live ? onEvent((event) => {
      if ((event && (event.study !== live || event.kind !== 'trial')) || timer) return;
      timer = window.setTimeout(() => { timer = 0; reload(); }, 2000);
    }) : () => {};
    return () => { clearTimeout(timer); leave(); };
  }, [live]);

  const busy = useRef(false);
  const need = async (/** @type {number} */ last) => {
    if (busy.current || state.key !== key || state.rows.length > last || !state.token) return;
    busy.current = true;
    try {
      const page = await send('GET', url(state.token, 500));
      setState((old) => (old.key === key && old.token === state.token ? { ...old, rows: [...old.rows, ...page.items], token: page.next_page_token } : old));
    } catch (error) {
      setState((old) => ({ ...old, error }));
    } finally {
      busy.current = false;
    }
  };
  return { ...state, ready: state.key === key, need, reload };
}

/**
 * @typedef {{name: string, title: any, cell: (row: any) => any, number?: boolean, sort?: boolean, head?: boolean}} Column
 * @param {{label: string, columns: Column[], pages: ReturnType<typeof usePages>, order: string, setOrder: (order: string) => void,
 *   keyOf: (row: any) => any, height?: number}} props
 */
export function VirtualTable({ label, columns, pages, order, setOrder, keyOf }) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [top, setTop] = useState(0);
  const [view, setView] = useState(700);
  useEffect(() => {
    const follow = new ResizeObserver(() => box.current && setView(box.current.clientHeight));
    if (box.current) follow.observe(box.current);
    return () => follow.disconnect();
  }, [pages.ready]);
  const first = Math.max(0, Math.floor(top / ROW) - AROUND);
  const last = Math.min(pages.total, Math.ceil((top + view) / ROW) + AROUND);
  useEffect(() => void pages.need(last - 1), [last, pages.rows.length, pages.token]);
  const rows = useRows(box, pages.total, [first, last, pages.rows]);
  if (pages.error) return html`<${Failure} error=${pages.error} retry=${pages.reload} />`;
  const space = (/** @type {number} */ rows) => rows > 0 && html`<tr class="spacer" aria-hidden="true">
    <td colspan=${columns.length} style=${{ height: `${rows * ROW}px` }}></td></tr>`;
  const numbers = Array.from({ length: Math.max(0, last - first) }, (_, k) => first + k);
  return html`
    <div class="virtual" ref=${box} tabindex="0" role="region" aria-label=${label} data-testid="virtual" onScroll=${() => box.current && setTop(box.current.scrollTop)} ...${rows}>
      <table aria-rowcount=${pages.total + 1} aria-busy=${!pages.ready}>
        <thead><tr aria-rowindex="1">
          ${columns.map((column) => html`<${Head} key=${column.name} column=${column} order=${order} setOrder=${setOrder} />`)}</tr>
          </thead>
        <tbody>
          ${space(first)}
          ${numbers.map((i) => {
            const row = pages.rows[i];
            return html`<tr key=${row ? keyOf(row) : `row-${i}`} aria-rowindex=${i + 2}>${columns.map((column) => {
              const name = classes(column.number && 'number');
              const content = row ? column.cell(row) : '';
              return column.head ? html`<th scope="row" class=${name} key=${column.name}>
                ${content}</th>` : html`<td class=${name} key=${column.name}>${content}</td>`;
            })}</tr>`;
          })}
          ${space(pages.total - last)}
        </tbody>
      </table>
    </div>`;
}

/**
 * Arrow keys go from row to row: only one row can be reached with Tab, or the way past the table would be as long as it is.
 * @param {{current: HTMLElement | null}} box
 * @param {number} total
 * @param {any[]} rendered changes when other rows are there
 */
function useRows(box, total, rendered) {
  const at = useRef({ row: 0, control: 0, focus: false });
  const rowOf = (/** @type {number} */ i) => box.current?.querySelector(`tr[aria-rowindex="${i + 2}"]`);
  const controls = (/** @type {Element | null | undefined} */ row) => /** @type {HTMLElement[]} */ ([...(row?.querySelectorAll('a, input, button') ?? [])]);
  const settle = () => {
    const all = [...(box.current?.querySelectorAll('tbody tr:not(.spacer)') ?? [])];
    const current = rowOf(at.current.row) ?? all[0];
    for (const row of all) controls(row).forEach((one) => { one.tabIndex = row === current ? 0 : -1; });
    const wanted = at.current.focus && controls(rowOf(at.current.row))[at.current.control];
    if (wanted) {
      wanted.focus({ preventScroll: true });
      at.current.focus = false;
    }
  };
  useLayoutEffect(settle, rendered);
  return {
    onFocusIn: (event) => {
      const row = event.target.closest('tbody tr');
      if (!row) return;
      at.current = { row: Number(row.getAttribute('aria-rowindex')) - 2, control: Math.max(0, controls(row).indexOf(event.target)), focus: false };
      settle();
    },
    onKeyDown: (/** @type {KeyboardEvent} */ event) => {
      const { row } = at.current;
      const next = { ArrowDown: row + 1, ArrowUp: row - 1, PageDown: row + 15, PageUp: row - 15, Home: 0, End: total - 1 }[event.key];
      if (next === undefined || (event.target === box.current && !at.current.focus)) return;
      event.preventDefault();
      const to = Math.max(0, Math.min(total - 1, next));
      at.current = { ...at.current, row: to, focus: true };
      const view = /** @type {HTMLElement} */ (box.current);
      view.scrollTop = Math.max(Math.min(view.scrollTop, to * ROW), (to + 2) * ROW - view.clientHeight);
      view.focus({ preventScroll: true }); // until the row is there
      settle();
    },
  };
}

/** @param {{column: Column, order: string, setOrder: (order: string) => void}} props */
function Head({ column, order, setOrder }) {
  const { name, title, number, sort = true } = column;
  if (!sort) return html`<th scope="col" class=${classes(number && 'number')}>${title}</th>`;
  const mine = order.replace('-', '') === name;
  const down = order.startsWith('-');
  return html`<th scope="col" class=${classes(number && 'number')} aria-sort=${mine ? (down ? 'descending' : 'ascending') : null}>
    <button onClick=${() => setOrder(mine && down ? name : `-${name}`)}>
      ${title}${mine && html` <${Icon} name=${down ? 'down' : 'up'} size="12" />`}</button></th>`;
}
