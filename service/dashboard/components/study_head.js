/** The head of a study's pages: its name, its state, what can be done with it, and where else to look. */
import { html, useEffect, useState } from '../core/html.js';
import { API, patch, post, remove, studyPath } from '../core/api.js';
import { navigate, studyHref } from '../core/router.js';
import { announce, attempt } from './announcer.js';
import { Badge } from './badge.js';
import { Asking, Dialog } from './dialog.js';
import { Icon } from './icon.js';

const ENDED = ['completed', 'cancelled', 'failed', 'stopped', 'created'];
const HELD = ['paused', 'pausing', 'interrupted'];

/** What each verb does, in the words of the dialog that asks. */
export const VERBS = {
  pause: { label: 'Pause', title: 'Pause this study?', text: 'The epochs that are running are finished, then nothing trains until you resume.', done: 'Pausing' },
  resume: { label: 'Resume', title: 'Resume this study?', text: 'It goes on where it was paused.', done: 'Resumed' },
  stop: { label: 'Stop', title: 'Stop searching?', text: 'No new trials begin. Running ones finish their rung, then the final stage retrains the best. You can extend the study later.', done: 'Stopping' },
  cancel: { label: 'Cancel', title: 'Cancel this study?', text: 'All training ends now and there is no final stage. What was measured stays; you can extend the study later.', done: 'Cancelled', danger: true },
};

/** The verbs that a state allows. @param {string} state @returns {(keyof typeof VERBS)[]} */
export const verbsOf = (state) => {
  if (state === 'running') return ['pause', 'stop', 'cancel'];
  if (HELD.includes(state)) return ['resume', 'stop', 'cancel'];
  return state === 'queued' || state === 'stopping' ? ['cancel'] : [];
};

/**
 * @param {{study: import('../core/contract').StudyDetail, reload?: () => void, page: '' | '/analyse' | '/candidates' | null, crumb?: string, children?: any}} props
 *   crumb: title of a page below the study's, children: what stands beside it
 */
export function StudyHead({ study, reload = () => {}, page, crumb, children }) {
  useEffect(() => void (document.title = `${crumb ? `${crumb} · ` : ''}${study.name} · autokd`), [study.name, crumb]);
  useEffect(() => announce(`${study.name} is ${study.state}`), [study.state]);
  const does = (/** @type {keyof typeof VERBS} */ verb) => async () => {
    await attempt(() => post(`${studyPath(study.id)}:${verb}`), VERBS[verb].done);
    reload();
  };
  return html`
    <div class="page-head">
      <p class="crumbs"><a href="/studies">Studies</a><span aria-hidden="true">/</span>${crumb
        ? html`<a href=${studyHref(study)}>${study.name}</a><span aria-hidden="true">/</span>
          <a href=${studyHref(study, '/candidates')}>Candidates</a>`
        : study.id}</p>
      <h1>${crumb ?? study.name}</h1>
      ${children}
      ${!crumb && html`<${Badge} state=${study.state} reason=${study.stop_reason} />`}
      ${!crumb && html`<div class="actions">
        ${verbsOf(study.state).map((verb) => html`<${Asking} key=${verb} ...${VERBS[verb]} act=${does(verb)} />`)}
        ${ENDED.includes(study.state) && html`<${Extend} study=${study} reload=${reload} />`}
        <a class="button" href=${`/studies/new?from=${study.id}`}>Clone</a>
        <${More} study=${study} reload=${reload} />
      </div>`}
    </div>
    ${page !== null && html`<nav class="tabbar" aria-label="Study">
      ${[['', 'Overview'], ['/analyse', 'Analyse'], ['/candidates', 'Candidates']].map(([rest, name]) => html`
        <a key=${rest} href=${studyHref(study, rest)} aria-current=${page === rest ? 'page' : null}>${name}</a>`)}
    </nav>`}`;
}

/** Larger limits for a study that has ended. @param {{study: import('../core/contract').StudyDetail, reload: () => void}} props */
function Extend({ study, reload }) {
  const [open, setOpen] = useState(false);
  const extend = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const limits = Object.fromEntries([...form].filter(([, value]) => value !== '').map(([name, value]) => [name, Number(value)]));
    setOpen(false);
    await attempt(() => post(`${studyPath(study.id)}:extend`, { limits }), 'Extended');
    reload();
  };
  return html`
    <button onClick=${() => setOpen(true)}>Extend</button>
    <${Dialog} title="Extend the search" open=${open} close=${() => setOpen(false)}>
      <form onSubmit=${extend}>
        <p class="muted small">The study goes on from its record: paused trials may still be promoted.</p>
        <div class="fields">
          <div class="field"><label for="extend-trials">Trials in all</label>
            <input id="extend-trials" name="trials" type="number" min=${study.trials.total + 1} required value=${Math.ceil((study.limits.trials ?? study.trials.total) * 1.5)} />
            <span class="hint">${study.trials.total} so far</span></div>
          <div class="field"><label for="extend-seconds">Seconds in all</label>
            <input id="extend-seconds" name="seconds" type="number" min="1" placeholder="no limit" value=${study.limits.seconds ? study.limits.seconds * 2 : ''} />
            <span class="hint">${Math.round(study.seconds)} so far</span></div>
        </div>
        <footer class="page-head"><div class="actions">
          <button type="button" onClick=${() => setOpen(false)}>Not now</button>
          <button class="primary">Extend</button></div></footer>
      </form>
    <//>`;
}

/** What is needed rarely. @param {{study: import('../core/contract').StudyDetail, reload: () => void}} props */
function More({ study, reload }) {
  const [editing, setEditing] = useState(false);
  const save = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const labels = Object.fromEntries(String(form.get('labels')).split('\n').map((line) => line.split(':').map((part) => part.trim())).filter(([key]) => key).map(([key, ...value]) => [key, value.join(':')]));
    setEditing(false);
    const name = String(form.get('name'));
    const changed = await attempt(() => patch(studyPath(study.id), { name, labels }), 'Saved');
    if (changed && name !== study.name) navigate(studyHref(changed), { replace: true });
    reload();
  };
  const drop = async () => {
    await attempt(() => remove(studyPath(study.id)), 'Deleted. Settings can bring it back.');
    navigate('/studies');
  };
  return html`
    <details class="menu">
      <summary class="quiet" aria-label="More actions"><${Icon} name="more" /></summary>
      <div class="menu-body">
        <button class="link" onClick=${() => setEditing(true)}>Name and labels</button>
        <a href="${API}${studyPath(study.id)}/report.html" download=${`${study.id}-report.html`}>Report as HTML</a>
        <a href="${API}${studyPath(study.id)}/report.json" download=${`${study.id}-report.json`}>Report as JSON</a>
        <${Asking} quiet label="Delete" title="Delete this study?" danger confirm="Delete" act=${drop}
          text="It leaves the list. Its record and files stay until they are purged in the settings." />
      </div>
    </details>
    <${Dialog} title="Name and labels" open=${editing} close=${() => setEditing(false)}>
      <form class="stack" onSubmit=${save}>
        <div class="field"><label for="study-name">Name</label>
          <input id="study-name" name="name" required value=${study.name} /></div>
        <div class="field"><label for="study-labels">Labels</label>
          <textarea id="study-labels" name="labels" rows="4" placeholder="device: esp32">
            ${Object.entries(study.labels).map((pair) => pair.join(': ')).join('\n')}</textarea>
          <span class="hint">One a line, as name: value</span></div>
        <footer class="page-head"><div class="actions">
          <button type="button" onClick=${() => setEditing(false)}>Not now</button>
          <button class="primary">Save</button></div></footer>
      </form>
    <//>`;
}
