/** The state of a study or trial: a word, a colour and a shape, so that none is needed alone. */
import { html } from '../core/html.js';

/** @type {Record<string, string>} */
const TONES = {
  running: 'active', pausing: 'active', stopping: 'active', cancelling: 'active', queued: 'waiting', created: 'waiting',
  waiting: 'waiting', paused: 'waiting', interrupted: 'warning', completed: 'good', complete: 'good', done: 'good',
  succeeded: 'good', delivered: 'good', alive: 'good', ready: 'good', failed: 'bad', refused: 'bad', lost: 'bad',
  cancelled: 'off', infeasible: 'off', pruned: 'off', stopped: 'off', gone: 'off',
};
/** @type {Record<string, string>} */
const REASONS = {
  trials: 'all trials done', epochs: 'epochs spent', seconds: 'time spent', failures: 'too many failures',
  converged: 'converged', space_exhausted: 'space exhausted', nothing_feasible: 'nothing feasible', user: 'by hand',
};

/** @param {{state: string, reason?: string | null}} props */
export const Badge = ({ state, reason }) => html`
  <span class="badge" data-tone=${TONES[state] ?? 'off'}><i aria-hidden="true"></i>
    ${state}${reason && ['completed', 'failed'].includes(state) && html`<span class="muted"> · ${REASONS[reason] ?? reason}</span>`}</span>`;

/** @param {{done: number, label: string}} props share in [0, 1] */
export const Progress = ({ done, label }) => html`
  <progress max="1" value=${Math.min(1, done)} aria-label=${label}></progress>`;
