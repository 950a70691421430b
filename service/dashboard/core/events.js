/** One stream of events for the whole page, with a state that people can see and gaps that are repaired. */
import { useEffect, useState } from './html.js';
import { API } from './api.js';

/**
 * @typedef {{number: number, study: string, time: string, kind: string, data: any}} StudyEvent
 * @typedef {'connecting' | 'live' | 'reconnecting'} Liveness
 */

const KINDS = ['study', 'trial', 'epoch', 'teacher_epoch', 'artifact', 'operation'];
/** @type {Set<(event: StudyEvent | null) => void>} */
const listeners = new Set();
/** @type {Set<(state: Liveness) => void>} */
const watchers = new Set();
/** @type {Liveness} */
let state = 'connecting';
/** @type {EventSource | null} */
let source = null;
let last = 0;
let lost = false;

/** @param {Liveness} next */
function become(next) {
  if (next === state) return;
  state = next;
  watchers.forEach((watcher) => watcher(state));
}

/** @param {StudyEvent | null} event */
const tell = (event) => listeners.forEach((listener) => listener(event));

/** Opens the stream, after the last event that was seen if there was one. */
export function startEvents() {
  source?.close();
  source = new EventSource(`${API}/events${last ? `?after=${last}` : ''}`);
  source.onopen = () => {
    become('live');
    if (lost) tell(null); // what happened meanwhile may be gone from the stream: everything is read again
    lost = false;
  };
  source.onerror = () => {
    lost = true;
    become('reconnecting');
    // The browser itself tries again, but not after an answer that was an error.
    if (source?.readyState === EventSource.CLOSED) setTimeout(startEvents, 3000);
  };
  for (const kind of KINDS) {
    source.addEventListener(kind, (message) => {
      const event = /** @type {StudyEvent} */ (JSON.parse(message.data));
      const gap = last && event.number > last + 1;
      last = Math.max(last, event.number);
      tell(gap ? null : event);
    });
  }
}

/** Ends the stream: nobody is signed in. */
export function stopEvents() {
  source?.close();
  source = null;
  become('connecting');
}

/**
 * Calls back for each event, and with null when events may have been missed.
 * @param {(event: StudyEvent | null) => void} listener
 */
export function onEvent(listener) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** How the stream is doing. */
export function useLiveness() {
  const [now, setNow] = useState(state);
  useEffect(() => {
    watchers.add(setNow);
    setNow(state);
    return () => void watchers.delete(setNow);
  }, []);
  return now;
}
