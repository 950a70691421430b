/** All studies: how each stands, what it found, and what to do with several at once. */
import { html, useEffect, useMemo, useState } from '../core/html.js';
import { address, post, remove, studyPath } from '../core/api.js';
import { ago, count, duration, figure, number, plural } from '../core/format.js';
import { useResource } from '../core/resource.js';
import { changeQuery, studyHref, useQuery } from '../core/router.js';
import { toast } from '../components/announcer.js';
import { Badge, Progress } from '../components/badge.js';
import { Asking } from '../components/dialog.js';
import { Equivalents, curl } from '../components/equivalents.js';
import { Icon } from '../components/icon.js';
import { Sparkline } from '../components/sparkline.js';
import { Empty, Loaded } from '../components/states.js';
import { VERBS, verbsOf } from '../components/study_head.js';

const STATES = ['running', 'queued', 'paused', 'completed', 'failed', 'cancelled', 'interrupted'];

/** How each column sorts. @type {Record<string, (study: import('../core/contract').Study) => number | string>} */
const KEYS = {
  name: (study) => study.name.toLowerCase(),
  state: (study) => STATES.indexOf(study.state),
  best: (study) => study.best?.[study.objectives[0].metric] ?? -1,
  front: (study) => study.front_size,
  progress: (study) => study.progress,
  updated: (study) => study.updated,
};

export default function StudiesPage() {
  const [query] = useQuery();
  const filter = { q: query.get('q'), state: query.get('state'), label: query.get('label') };
  const studies = useResource(address('/studies', { ...filter, page_size: 500 }), { live: '*' });
  const [picked, setPicked] = useState(/** @type {string[]} */ ([]));
  useEffect(() => void (document.title = 'Studies · autokd'), []);
  const filtered = Object.values(filter).some(Boolean);
  return html`
    <div class="page-head"><h1>Studies</h1>
      ${studies.data && html`<span class="muted">${count(studies.data.total)}</span>`}
      <div class="actions"><a class="button primary" href="/studies/new"><${Icon} name="plus" />New study</a></div></div>
    <${Filter} query=${query} />
    <${Loaded} resource=${studies} lines=${9}>${(data) => data.items.length
      ? html`<${Table} studies=${data.items} query=${query} picked=${picked} setPicked=${setPicked} />
          <${Bulk} studies=${data.items.filter((one) => picked.includes(one.id))} done=${() => { setPicked([]); studies.reload(); }} />`
      : html`<div class="panel"><${Empty} title=${filtered ? 'No study fits this filter' : 'No study yet'}>
          ${filtered ? html`<p><a href="/studies">Show all</a>
            </p>` : html`<p>A study searches for a small network that does your big one's work.</p><p>
            <a class="button primary" href="/studies/new">Make the first one</a></p>`}<//></div>`}<//>
    <${Equivalents} texts=${{ CLI: 'autokd study list', curl: curl('/studies'), Python: 'import autokd\n\nwith autokd.Client() as client:\n    studies = list(client.studies.list())' }} />`;
}

/** @param {{query: URLSearchParams}} props */
function Filter({ query }) {
  let timer = 0;
  const type = (event) => {
    const { value } = event.target;
    clearTimeout(timer);
    timer = window.setTimeout(() => changeQuery({ q: value }), 200);
  };
  return html`
    <div class="toolbar" role="search">
      <div class="grow">
        <input type="search" aria-label="Search by name" placeholder="Search by name" value=${query.get('q') ?? ''} onInput=${type} />
        </div>
      <select aria-label="State" value=${query.get('state') ?? ''} onChange=${(event) => changeQuery({ state: event.target.value })}>
        <option value="">Any state</option>
          ${STATES.map((state) => html`<option key=${state} value=${state} selected=${query.get('state') === state}>
          ${state}</option>`)}
      </select>
      ${query.get('label') && html`<button onClick=${() => changeQuery({ label: null })}>
        ${query.get('label')} <${Icon} name="close" size="12" /></button>`}
    </div>`;
}

/** @param {{studies: import('../core/contract').Study[], query: URLSearchParams, picked: string[], setPicked: (ids: string[]) => void}} props */
function Table({ studies, query, picked, setPicked }) {
  const order = query.get('order') ?? '-updated';
  const sorted = useMemo(() => {
    const key = KEYS[order.replace('-', '')] ?? KEYS.updated;
    const sign = order.startsWith('-') ? -1 : 1;
    return [...studies].sort((a, b) => sign * (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
  }, [studies, order]);
  const toggle = (/** @type {string} */ id) => setPicked(picked.includes(id) ? picked.filter((one) => one !== id) : [...picked, id]);
  const all = picked.length === studies.length;
  const head = (/** @type {string} */ name, /** @type {string} */ title, more = '') => {
    const mine = order.replace('-', '') === name;
    const down = order.startsWith('-');
    return html`<th scope="col" class=${more} aria-sort=${mine ? (down ? 'descending' : 'ascending') : null}>
      <button onClick=${() => changeQuery({ order: mine && down ? name : `-${name}` })}>
        ${title}${mine && html` <${Icon} name=${down ? 'down' : 'up'} size="12" />`}</button></th>`;
  };
  return html`
    <div class="panel flush"><div class="table-box" tabindex="0" role="region" aria-label="Studies"><table class="studies">
      <thead><tr>
        <td><input type="checkbox" aria-label="All studies" checked=${all} onChange=${() => setPicked(all ? [] : studies.map((one) => one.id))} />
          </td>
        ${head('name', 'Name')}${head('state', 'State')}${head('best', 'Best in budget', 'number')}${head('front', 'Front', 'number')}
        <th scope="col">Hypervolume</th>${head('progress', 'Progress')}${head('updated', 'Updated', 'number')}
      </tr></thead>
      <tbody>${sorted.map((study) => html`<tr key=${study.id}>
        <td><input type="checkbox" aria-label=${`Select ${study.name}`} checked=${picked.includes(study.id)} onChange=${() => toggle(study.id)} />
          </td>
        <th scope="row"><a class="table-name" href=${studyHref(study)}>${study.name}</a>
          <${Labels} labels=${study.labels} /></th>
        <td><${Badge} state=${study.state} reason=${study.stop_reason} /></td>
        <td class="number">${study.best ? html`<strong>
          ${figure(study.objectives[0].metric, study.best[study.objectives[0].metric])}</strong><span class="sub">
          ${count(study.best.parameters)} parameters</span>` : html`<span class="muted">–</span>`}</td>
        <td class="number">${study.front_size || html`<span class="muted">–</span>`}</td>
        <td><${Sparkline} values=${study.hypervolume} label=${`Hypervolume, now ${number(study.hypervolume[study.hypervolume.length - 1])}`} />
          </td>
        <td><${Progressed} study=${study} /></td>
        <td class="number nowrap muted">${ago(study.updated)}</td>
      </tr>`)}</tbody>
    </table></div></div>`;
}

/** @param {{study: import('../core/contract').Study}} props */
function Progressed({ study }) {
  const { trials, limits } = study;
  return html`<div class="progressed">
    ${study.progress < 1 && html`<${Progress} done=${study.progress} label=${`Progress of ${study.name}`} />`}
    <span class="sub">
      ${count(trials.total)}${limits.trials ? ` of ${count(limits.trials)}` : ''} trials${study.seconds_left != null ? ` · ${duration(study.seconds_left)} left` : ''}</span>
      </div>`;
}

/** @param {{labels: Record<string, string>}} props */
const Labels = ({ labels }) => {
  const pairs = Object.entries(labels);
  return pairs.length > 0 && html`<span class="chips">${pairs.map(([key, value]) => html`
    <a class="chip" key=${key} href=${`/studies?label=${encodeURIComponent(`${key}:${value}`)}`} title=${`${key}: ${value}`}>
      ${key}: ${value}</a>`)}</span>`;
};

/** What to do with those that are picked. @param {{studies: import('../core/contract').Study[], done: () => void}} props */
function Bulk({ studies, done }) {
  if (!studies.length) return null;
  const each = async (/** @type {any[]} */ some, /** @type {(study: import('../core/contract').Study) => Promise<any>} */ act, /** @type {string} */ word) => {
    const results = await Promise.allSettled(some.map(act));
    const failed = results.flatMap((result) => (result.status === 'rejected' ? [result.reason.message] : []));
    toast(failed.length ? `${failed.length} of ${some.length} failed: ${failed[0]}` : `${plural(some.length, 'study', 'studies')}: ${word}`, { kind: failed.length ? 'error' : 'done' });
    done();
  };
  const verbs = /** @type {(keyof typeof VERBS)[]} */ (Object.keys(VERBS)).filter((verb) => studies.some((study) => verbsOf(study.state).includes(verb)));
  return html`
    <div class="bulk" role="region" aria-label="Selected studies">
      <span>${plural(studies.length, 'study', 'studies')} selected</span>
      ${verbs.map((verb) => {
        const able = studies.filter((study) => verbsOf(study.state).includes(verb));
        return html`<${Asking} key=${verb} ...${VERBS[verb]} title=${`${VERBS[verb].label} ${plural(able.length, 'study', 'studies')}?`} act=${() => each(able, (study) => post(`${studyPath(study.id)}:${verb}`), VERBS[verb].done)} />`;
      })}
      ${studies.length >= 2 && studies.length <= 6 && html`<a class="button" href=${`/compare?${studies.map((study) => `study=${study.id}`).join('&')}`}>Compare</a>`}
      <${Asking} label="Delete" danger title=${`Delete ${plural(studies.length, 'study', 'studies')}?`} text="They leave the list. Their records and files stay until they are purged in the settings." act=${() => each(studies, (study) => remove(studyPath(study.id)), 'deleted')} />
    </div>`;
}
