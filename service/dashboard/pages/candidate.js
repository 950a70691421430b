/** One student: what it is, how it learned, how sure that is, and how to take it away. */
import { html, useEffect, useState } from '../core/html.js';
import { API, address, post, send, studyPath } from '../core/api.js';
import { ago, count, duration, figure, label, number, percent, plural, points, spread } from '../core/format.js';
import { useResource } from '../core/resource.js';
import { changeQuery, useQuery } from '../core/router.js';
import { attempt } from '../components/announcer.js';
import { Badge } from '../components/badge.js';
import { Calibration } from '../components/calibration.js';
import { Choice } from '../components/choice.js';
import { Curves } from '../components/curves.js';
import { Code, Equivalents, curl, shellWord } from '../components/equivalents.js';
import { ExportButton } from '../components/export.js';
import { Logs } from '../components/logs.js';
import { Network } from '../components/network.js';
import { Loaded } from '../components/states.js';
import { StudyHead } from '../components/study_head.js';

const COSTS = ['parameters', 'peak_activation_bytes', 'macs', 'weight_bytes', 'latency_ms'];

/** @param {{study: string, candidate: string}} props */
export default function CandidatePage({ study: name, candidate: number }) {
  const study = useResource(address(studyPath(name)), { live: '*', kinds: ['study'] });
  const candidate = useResource(address(`${studyPath(name)}/candidates/${number}`), { live: study.data?.id ?? '*', kinds: ['trial', 'epoch'] });
  return html`<${Loaded} resource=${study}>${(data) => html`
    <${StudyHead} study=${data} page=${null} crumb=${`Candidate ${number}`}>
      ${candidate.data && html`<${Actions} study=${data} candidate=${candidate.data} reload=${candidate.reload} />`}<//>
    <${Loaded} resource=${candidate} lines=${9}>${(one) => html`<${Candidate} study=${data} candidate=${one} />`}<//>`}<//>`;
}

/** @param {{study: import('../core/contract').StudyDetail, candidate: import('../core/contract').CandidateDetail}} props */
function Candidate({ study, candidate }) {
  const [query] = useQuery();
  const path = studyPath(study.id);
  const trials = [{ number: candidate.trial, kind: 'search', repeat: 0 }, ...candidate.repeats];
  const shown = Number(query.get('trial') ?? candidate.trial);
  const trial = useResource(address(`${path}/trials/${shown}`), { live: study.id, kinds: ['trial', 'epoch'] });
  const metrics = useResource(address(`${path}/trials/${shown}/metrics`, { max_points: 200 }), { live: study.id, kinds: ['epoch', 'trial'] });
  const graph = useResource(address(`${path}/candidates/${candidate.number}/graph`));
  return html`
    <${Figures} study=${study} candidate=${candidate} />
    <section class="panel"><div class="panel-head"><h2>Architecture</h2>
      <a class="button" href=${`${API}${path}/candidates/${candidate.number}/graph.svg`} download=${`candidate-${candidate.number}.svg`}>SVG</a>
      </div>
      <${Loaded} resource=${graph}>${(data) => html`<${Network} graph=${data} />`}<//></section>
    <section class="part" aria-label="Training">
      <div class="panel-head"><h2>Training</h2>
        <${Choice} label="Trial" value=${shown} set=${(/** @type {string} */ trial) => changeQuery({ trial })} options=${trials.map((one) => [one.number, `${one.number}: ${one.kind}${one.kind === 'search' ? '' : ` ${one.repeat + 1}`}`])} />
          </div>
      <${Loaded} resource=${metrics}>
        ${(data) => html`<${Curves} curves=${[{ name: `trial ${shown}`, metrics: data.metrics }]} teacher=${study.teacher}
          more=${Object.keys(trial.data?.calibration ?? {}).length > 0 && html`<${Calibration} calibration=${trial.data.calibration} />`} />`}<//>
    </section>
    <div class="grid">
      <section class="panel span-8"><h2>Log</h2>
        ${trial.data && html`<${Logs} study=${study} trial=${shown} attempts=${trial.data.attempts ?? []} />`}</section>
      <div class="span-4 stack">
        ${trial.data && html`<${Attempts} trial=${trial.data} />`}
        <section class="panel"><h2>Choices</h2>
          <${Pairs} all=${{ ...candidate.choices, ...candidate.distillation, draw: candidate.draw }} /></section>
      </div>
    </div>
    ${candidate.final && html`<${Repeats} candidate=${candidate} />`}
    <${ModelCard} path=${`${path}/candidates/${candidate.number}/model_card`} />
    <${Equivalents} summary="Reproduce it, or get it by other means" texts=${reproduce(study, candidate)} />`;
}

/** How it stands and what can be done. @param {{study: import('../core/contract').StudyDetail, candidate: import('../core/contract').CandidateDetail, reload: () => void}} props */
function Actions({ study, candidate, reload }) {
  const { state, trial, number: name } = candidate;
  const retry = async () => {
    await attempt(() => post(`${studyPath(study.id)}/trials/${trial}:retry`), 'Queued again');
    reload();
  };
  return html`
    <${Badge} state=${state} />
      ${candidate.on_front && html`<span class="chip">on the front</span>`}${!candidate.feasible && html`<span class="chip">over budget</span>`}
    <div class="actions">
      ${state === 'failed' && html`<button onClick=${retry}>Retry</button>`}
      <a class="button" href=${`/compare?candidate=${study.id}/${name}`}>Compare</a>
      ${(candidate.figures.accuracy != null || candidate.final) && html`<${ExportButton} primary study=${study} trial=${trial} candidate=${name} />`}
    </div>`;
}

/** @param {any} study @param {any} candidate */
const reproduce = (study, candidate) => ({
  CLI: `autokd trial show ${shellWord(study.name)} ${candidate.trial}\nautokd trial logs ${shellWord(study.name)} ${candidate.trial}\nautokd export ${shellWord(study.name)} --trial ${candidate.trial} --out out`,
  'Train it again': curl(`${studyPath(study.id)}/candidates`, 'POST', { choices: candidate.choices, draw: candidate.draw, distillation: candidate.distillation }),
  curl: curl(`${studyPath(study.id)}/candidates/${candidate.number}`),
  Python: 'import autokd\n\nstudent = autokd.load_student("out")  # after the export: an nn.Module in eval mode',
});

/** @param {{study: import('../core/contract').StudyDetail, candidate: import('../core/contract').CandidateDetail}} props */
function Figures({ study, candidate }) {
  const { teacher } = study;
  const { figures, final } = candidate;
  return html`
    <dl class="figures">
      ${final && html`<div><dt>Test accuracy</dt><dd>
        ${percent(final.test_accuracy)}<small>${spread(final.test_accuracy_sd, final.seeds)} ${final.seeds > 1 ? 'over' : 'of'} ${plural(final.seeds, 'seed')}</small>
        </dd></div>`}
      <div><dt>Validation accuracy</dt><dd>${percent(final?.validation_accuracy ?? figures.accuracy)}<small>
        ${figures.accuracy != null && teacher.accuracy != null ? `${points((final?.validation_accuracy ?? figures.accuracy) - teacher.accuracy)} against the teacher` : 'not trained'}</small>
        </dd></div>
      ${final?.baseline_test_accuracy != null && html`<div><dt>What the teacher gave</dt><dd>
        ${points(final.test_accuracy - final.baseline_test_accuracy)}<small>
        ${percent(final.baseline_test_accuracy)} without it</small></dd></div>`}
      ${COSTS.filter((name) => figures[name] != null).slice(0, 3).map((name) => html`<div key=${name}><dt>
        ${label(name)}</dt><dd>${figure(name, figures[name])}<small>
        ${teacher[name] && figures[name] != null ? `${percent(figures[name] / teacher[name], 1)} of the teacher's` : '–'}</small></dd></div>`)}
    </dl>`;
}

/** @param {{trial: import('../core/contract').TrialDetail}} props */
const Attempts = ({ trial }) => html`
  <section class="panel"><h2>Trial ${trial.number}</h2>
    <dl class="pairs"><dt>State</dt><dd><${Badge} state=${trial.state} /></dd><dt>Epochs</dt><dd>
      ${trial.epochs_done} of ${trial.epochs}</dd>
      ${trial.failure && html`<dt>Failure</dt><dd>${label(trial.failure.class)}: ${trial.failure.message}</dd>`}
      ${(trial.attempts ?? []).map((one) => html`<dt key=${one.n}>Attempt ${one.n}</dt><dd>
        ${one.state} ${one.ended && html`<small>after ${duration((Date.parse(one.ended) - Date.parse(one.started)) / 1000)}, ${ago(one.ended)}</small>`}</dd>`)}</dl>
  </section>`;

/** @param {{all: Record<string, any>}} props */
const Pairs = ({ all }) => html`<dl class="pairs">
  ${Object.entries(all).filter(([, value]) => value != null).map(([name, value]) => html`<dt key=${name}>
  ${label(name)}</dt><dd>
  ${typeof value === 'number' && !Number.isInteger(value) ? number(value) : String(value)}</dd>`)}</dl>`;

/** The final stage, seed by seed. @param {{candidate: import('../core/contract').CandidateDetail}} props */
function Repeats({ candidate }) {
  const { repeats } = candidate;
  const final = /** @type {import('../core/contract').FinalRow} */ (candidate.final);
  /** @type {[string, string, string][]} */
  const rows = [['final', 'With the teacher', ''], ['baseline', 'Without', 'baseline_']];
  return html`
    <section class="panel flush"><div class="panel-head"><h2>Seeds</h2>
      <span class="muted small">Test accuracy, ${plural(final.epochs, 'epoch')} each</span></div>
      <div class="table-box"><table><thead><tr><th scope="col">Trained</th>
        ${Array.from({ length: final.seeds }, (_, i) => html`<th scope="col" class="number" key=${i}>Seed ${i + 1}</th>`)}<th scope="col" class="number">${final.seeds > 1 ? 'Mean ± sd' : 'Mean'}</th>
        <th scope="col" class="number">Calibration error</th></tr></thead>
      <tbody>${rows.map(([kind, title, prefix]) => {
        const runs = repeats.filter((one) => one.kind === kind);
        return runs.length > 0 && html`<tr key=${kind}><th scope="row">${title}</th>
          ${Array.from({ length: final.seeds }, (_, i) => html`<td class="number" key=${i}>
            ${runs[i] ? html`<a href=${`?trial=${runs[i].number}`}>
            ${percent(runs[i].figures.test_accuracy)}</a>` : '–'}</td>`)}
          <td class="number"><strong>
            ${percent(final[`${prefix}test_accuracy`])}</strong> ${spread(final[`${prefix}test_accuracy_sd`], final.seeds)}</td>
            <td class="number">${number(final[`${prefix}ece`])}</td></tr>`;
      })}</tbody></table></div>
      ${final.family && html`<p class="muted small inset">Its generator's family: ${count(final.family.draws)} fresh draws reach ${percent(final.family.test_accuracy)} ${spread(final.family.test_accuracy_sd, final.family.draws)}.</p>`}
    </section>`;
}

/** The card as text: a student's words are never markup. @param {{path: string}} props */
function ModelCard({ path }) {
  const [open, setOpen] = useState(false);
  const [card, setCard] = useState('');
  useEffect(() => void (open && !card && send('GET', address(path), { headers: { Accept: 'text/markdown' } }).then(setCard, (error) => setCard(error.message))), [open]);
  return html`<details class="disclosure" onToggle=${(event) => setOpen(event.target.open)}>
    <summary>Model card</summary>${open && html`<${Code} text=${card} label="Model card" />`}</details>`;
}
