/** The log of a trial: followed while it grows, searched, one attempt at a time. */
import { html, useEffect, useMemo, useRef, useState } from '../core/html.js';
import { get, studyPath } from '../core/api.js';
import { plural } from '../core/format.js';
import { onEvent } from '../core/events.js';

const TAIL = 262_144;
const SHOWN = 2000;

/** @param {{study: import('../core/contract').StudyDetail, trial: number, attempts: any[]}} props */
export function Logs({ study, trial, attempts }) {
  const [attempt, setAttempt] = useState(/** @type {number | null} */ (null));
  const [wanted, setWanted] = useState('');
  const [log, setLog] = useState({ text: '', next: 0, ended: false, error: /** @type {any} */ (null) });
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));

  useEffect(() => {
    let [next, stopped, timer] = [0, false, 0];
    setLog({ text: '', next: 0, ended: false, error: null });
    const read = async () => {
      try {
        const part = await get(`${studyPath(study.id)}/trials/${trial}/logs`, { attempt, ...(next ? { offset: next } : { tail: TAIL }) });
        if (stopped) return;
        next = part.next_offset;
        setLog((old) => ({ text: (old.text + part.text).slice(-4 * TAIL), next, ended: part.ended, error: null }));
        if (!part.ended) timer = window.setTimeout(read, 3000);
      } catch (error) {
        if (!stopped) setLog((old) => ({ ...old, error, ended: true }));
      }
    };
    read();
    const leave = onEvent((event) => {
      if (event && event.study === study.id && event.data?.trial === trial) { clearTimeout(timer); timer = window.setTimeout(read, 300); }
    });
    return () => { stopped = true; clearTimeout(timer); leave(); };
  }, [study.id, trial, attempt]);

  const lines = useMemo(() => log.text.replace(/\n$/, '').split('\n'), [log.text]);
  const needle = wanted.toLowerCase();
  const found = needle ? lines.filter((line) => line.toLowerCase().includes(needle)) : lines;
  useEffect(() => {
    const view = box.current;
    if (view && !needle && (log.next === 0 || view.scrollHeight - view.scrollTop - view.clientHeight < 400)) view.scrollTop = view.scrollHeight;
  }, [log.text]);
  return html`
    <div class="toolbar">
      <div class="grow">
        <input type="search" aria-label="Search the log" placeholder="Search the log" onInput=${(event) => setWanted(event.target.value)} />
        </div>
      ${attempts.length > 1 && html`<select aria-label="Attempt" onChange=${(event) => setAttempt(Number(event.target.value))}>
        ${attempts.map((one) => html`<option key=${one.n} value=${one.n} selected=${one.n === (attempt ?? attempts[attempts.length - 1].n)}>Attempt ${one.n}: ${one.state}</option>`)}</select>`}
      <span class="muted small" role="status">
        ${needle ? plural(found.length, 'line') : log.ended ? `${plural(lines.length, 'line')}` : 'following'}</span>
    </div>
    <div class="log" ref=${box} tabindex="0" role="region" aria-label=${`Log of trial ${trial}`} data-testid="log">
      ${log.error ? html`<div>${log.error.message}</div>` : found.slice(-SHOWN).map((line, i) => html`<div key=${i}>
        ${needle ? marked(line, needle) : line || ' '}</div>`)}
    </div>`;
}

/** A line with what was searched for marked. @param {string} line @param {string} needle */
function marked(line, needle) {
  const parts = [];
  let at = 0;
  for (let hit = line.toLowerCase().indexOf(needle); hit >= 0; hit = line.toLowerCase().indexOf(needle, at)) {
    parts.push(line.slice(at, hit), html`<mark>${line.slice(hit, hit + needle.length)}</mark>`);
    at = hit + needle.length;
  }
  return [...parts, line.slice(at)];
}
