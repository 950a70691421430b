/** What the service knows, as a component sees it: loading, there, or wrong; read again as events come in. */
import { useCallback, useEffect, useRef, useState } from './html.js';
import { send } from './api.js';
import { onEvent } from './events.js';

/**
 * @template T
 * @typedef {{data: T | null, error: import('./api.js').Problem | null, loading: boolean, reload: () => void}} Resource
 */

/** Answers that were shown last: a page that is opened again shows them at once, then reads anew. */
const kept = new Map();
const KEPT = 40;

/** @param {string} url @param {any} data */
function keep(url, data) {
  kept.delete(url);
  kept.set(url, data);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value);
}

/**
 * Reads an address of the API, and again after events that concern it.
 *
 * @param {string | null} url as `address` makes them; null: nothing yet
 * @param {{live?: string | null, kinds?: string[], every?: number}} [options] live: id of the study whose events make the answer
 *   old, or '*' for all studies; every: read again after so many ms, for what no event tells of
 * @returns {Resource<any>}
 */
export function useResource(url, { live = null, kinds, every } = {}) {
  const [answer, setAnswer] = useState({ url, data: url ? kept.get(url) ?? null : null, error: null });
  const [round, setRound] = useState(0);
  const pace = useRef({ timer: 0, cost: 0 });
  const reload = useCallback(() => setRound((n) => n + 1), []);

  useEffect(() => {
    if (!url) return undefined;
    const stop = new AbortController();
    const start = performance.now();
    send('GET', url, { signal: stop.signal }).then(
      (data) => {
        keep(url, data);
        pace.current.cost = performance.now() - start;
        setAnswer({ url, data, error: null });
      },
      (error) => {
        if (error.name === 'AbortError') return;
        // What was known stays on screen while the service is away; anything else is said.
        setAnswer((old) => ({ url, data: error.status === 0 && old.url === url ? old.data : null, error }));
        if (error.status === 0) pace.current.timer = window.setTimeout(reload, 4000);
      },
    );
    return () => {
      stop.abort();
      clearTimeout(pace.current.timer);
      pace.current.timer = 0;
    };
  }, [url, round]);

  useEffect(() => {
    if (!live) return undefined;
    return onEvent((event) => {
      const concerns = !event || ((live === '*' || event.study === live) && (!kinds || kinds.includes(event.kind)));
      if (!concerns || pace.current.timer) return;
      // Many events, few reads: the larger the answer, the longer the wait.
      pace.current.timer = window.setTimeout(() => {
        pace.current.timer = 0;
        reload();
      }, Math.max(500, 8 * pace.current.cost));
    });
  }, [live, kinds?.join(), reload]);

  useEffect(() => {
    const timer = every ? setInterval(() => document.hidden || reload(), every) : 0;
    return () => clearInterval(timer);
  }, [every, reload]);

  const current = answer.url === url;
  const data = current ? answer.data : url ? kept.get(url) ?? null : null;
  const error = current ? answer.error : null;
  return { data, error, loading: !data && !error, reload };
}
