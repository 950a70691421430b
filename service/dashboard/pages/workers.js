/** Who trains, what waits, what runs beside the searches. */
import { html, useEffect } from '../core/html.js';
import { address, post } from '../core/api.js';
import { ago, count, date, duration, label, plural } from '../core/format.js';
import { useResource } from '../core/resource.js';
import { changeQuery, studyHref, useQuery } from '../core/router.js';
import { groupsOf, timelineOption } from '../charts/timeline.js';
import { attempt } from '../components/announcer.js';
import { Badge, Progress } from '../components/badge.js';
import { Chart } from '../components/chart.js';
import { Choice } from '../components/choice.js';
import { Equivalents, curl } from '../components/equivalents.js';
import { Empty, Loaded } from '../components/states.js';

const BUSY = ['running', 'pausing', 'stopping', 'cancelling', 'queued', 'paused'];

export default function WorkersPage() {
  const workers = useResource(address('/workers'), { live: '*', kinds: ['study', 'trial'], every: 10000 });
  const studies = useResource(address('/studies', { page_size: 500 }), { live: '*', kinds: ['study', 'trial'] });
  const operations = useResource(address('/operations', { page_size: 50 }), { every: 5000 });
  useEffect(() => void (document.title = 'Workers · autokd'), []);
  const all = studies.data?.items ?? [];
  const queue = all.filter((one) => BUSY.includes(one.state)).sort((a, b) => BUSY.indexOf(a.state) - BUSY.indexOf(b.state) || (a.created < b.created ? -1 : 1));
  return html`
    <div class="page-head"><h1>Workers and queue</h1></div>
    <${Loaded} resource=${workers}>${(data) => html`<${Workers} workers=${data.items} />`}<//>
    <section class="panel flush"><div class="panel-head"><h2>Queue</h2><span class="muted small">
      ${plural(queue.length, 'study', 'studies')}</span></div>
      <${Loaded} resource=${studies}>${() => (queue.length ? html`<div class="table-box"><table><thead><tr>
        <th scope="col">Study</th><th scope="col">State</th><th scope="col">Progress</th>
        <th scope="col" class="number">Left</th><th scope="col" class="number">Created</th></tr></thead>
        <tbody>${queue.map((study) => html`<tr key=${study.id}><th scope="row">
          <a class="table-name" href=${studyHref(study)}>${study.name}</a></th><td><${Badge} state=${study.state} />
          </td><td><${Progress} done=${study.progress} label=${`Progress of ${study.name}`} /></td><td class="number">
          ${duration(study.seconds_left)}</td><td class="number muted">${ago(study.created)}</td></tr>`)}</tbody>
          </table></div>`
        : html`<${Empty} title="Nothing waits"><p><a href="/studies/new">New study</a></p><//>`)}<//></section>
    <${Timeline} studies=${all} />
    <section class="panel flush"><div class="panel-head"><h2>Operations</h2>
      <span class="muted small">exports, purges, retries</span></div>
      <${Loaded} resource=${operations}>
        ${(data) => html`<${Operations} items=${data.items} studies=${all} reload=${operations.reload} />`}<//>
        </section>
    <${Equivalents} texts=${{ CLI: 'autokd coordinator', curl: curl('/workers') }} />`;
}

/** @param {{workers: import('../core/contract').Worker[]}} props */
function Workers({ workers }) {
  if (!workers.length) return html`<div class="panel"><${Empty} title="No worker">
    <p>Studies wait until one is started: <code>autokd coordinator</code></p><//></div>`;
  return html`<ul class="cards">${workers.map((worker) => {
    const used = worker.running.reduce((/** @type {number} */ sum, one) => sum + one.slots, 0);
    return html`<li class="panel" key=${worker.id}>
      <div class="panel-head"><h2>${worker.host}</h2><${Badge} state=${worker.alive ? 'alive' : 'lost'} /></div>
      <div class="slots" role="img" aria-label=${`${used} of ${worker.slots} slots busy`}>
        ${Array.from({ length: worker.slots }, (_, i) => html`<i key=${i} data-busy=${i < used}></i>`)}</div>
      <dl class="pairs"><dt>Slots busy</dt><dd>${used} of ${worker.slots}</dd><dt>Last sign</dt>
        <dd title=${date(worker.heartbeat)}>${ago(worker.heartbeat)}</dd><dt>Up for</dt><dd>
        ${duration((Date.parse(worker.heartbeat) - Date.parse(worker.started)) / 1000)}</dd><dt>Process</dt><dd>
        ${worker.pid}</dd></dl>
      ${worker.running.map((one) => html`<p class="small running" key=${one.study}>
        <a href=${studyHref({ id: one.study, name: one.name })}>${one.name}</a>
        ${one.trials.length > 0 && html`<span class="sub">${one.trials.length === 1 ? 'Trial' : 'Trials'} ${one.trials.join(', ')}</span>`}
      </p>`)}
    </li>`;
  })}</ul>`;
}

/** @param {{items: any[], studies: import('../core/contract').Study[], reload: () => void}} props */
function Operations({ items, studies, reload }) {
  if (!items.length) return html`<${Empty} title="No operation yet" />`;
  const name = (/** @type {string} */ id) => studies.find((one) => one.id === id)?.name ?? id;
  const cancel = (/** @type {string} */ id) => async () => { await attempt(() => post(`/operations/${id}:cancel`), 'Cancelled'); reload(); };
  return html`<div class="table-box"><table><thead><tr><th scope="col">Operation</th><th scope="col">Study</th>
    <th scope="col">State</th><th scope="col" class="number">Started</th><th scope="col">
    <span class="visually-hidden">Cancel</span></th></tr></thead>
    <tbody>${items.map((one) => html`<tr key=${one.id}><th scope="row">${label(one.kind)}<span class="sub">
      ${one.id}</span></th><td>${name(one.study)}</td><td><${Badge} state=${one.state} />
      ${one.error && html`<span class="sub">${one.error.detail ?? one.error.title}</span>`}</td>
      <td class="number muted">${ago(one.started ?? one.created)}</td><td class="number">
      ${!one.done && html`<button onClick=${cancel(one.id)}>Cancel</button>`}</td></tr>`)}</tbody></table></div>`;
}

/** Attempts of one study over time, a row for each slot. @param {{studies: import('../core/contract').Study[]}} props */
function Timeline({ studies }) {
  const [query] = useQuery();
  const begun = studies.filter((one) => one.trials.total > 0);
  const shown = begun.find((one) => one.id === query.get('study')) ?? begun.find((one) => one.state === 'running') ?? begun[0];
  const { data } = useResource(shown ? address(`/studies/${shown.id}/timeline`) : null, { live: shown?.id, kinds: ['trial'] });
  if (!shown || !data?.attempts.length) return null;
  const { attempts } = data;
  const slots = new Set(attempts.map((one) => one.slot)).size;
  const choose = html`<${Choice} label="Study" value=${shown.id} options=${begun.map((one) => [one.id, one.name])} set=${(/** @type {string} */ next) => changeQuery({ study: next })} />`;
  return html`<section class="panel">
    <${Chart} title="Timeline" name="timeline" height=${Math.max(170, 90 + 32 * slots)} controls=${choose}
    summary=${`${plural(attempts.length, 'attempt')} in ${plural(slots, 'slot')}; ${count(attempts.filter((one) => one.state === 'failed').length)} failed.`}
    depends=${[data]} option=${timelineOption(attempts)}
    stops=${groupsOf(attempts).flatMap((group, series) => group.attempts.map((one, index) => ({ series, index, text: `trial ${one.trial}, slot ${one.slot}: ${one.state}` })))}
    table=${{ head: ['trial', 'kind', 'attempt', 'state', 'started', 'ended', 'slot'], rows: () => attempts.map((one) => [one.trial, one.kind, one.n, one.state, one.started, one.ended, one.slot]) }} />
      </section>`;
}
