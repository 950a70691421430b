/** A study: its front, the best within limits, how the search went, and whether to trust it. */
import { html, useEffect, useMemo, useRef, useState } from '../core/html.js';
import { address, studyPath } from '../core/api.js';
import { bestWithin, extent, rowsOf, scoredRows } from '../core/columns.js';
import { count, duration, figure, label, number, percent, plural, points, short, spread } from '../core/format.js';
import { useResource } from '../core/resource.js';
import { changeQuery, studyHref, useQuery } from '../core/router.js';
import { Progress } from '../components/badge.js';
import { Equivalents, curl, shellWord } from '../components/equivalents.js';
import { ExportButton } from '../components/export.js';
import { FrontFigure, useFrontView } from '../components/front_figure.js';
import { Icon } from '../components/icon.js';
import { SearchFigures } from '../components/search_figures.js';
import { Sliders } from '../components/sliders.js';
import { Empty, Loaded } from '../components/states.js';
import { StudyHead } from '../components/study_head.js';

const SLIDERS = ['parameters', 'peak_activation_bytes', 'macs', 'weight_bytes', 'latency_ms'];

/** @param {{study: string}} props */
export default function StudyPage({ study: name }) {
  const [live, setLive] = useState('*'); // until its id is known, so that nothing is missed
  const study = useResource(address(studyPath(name)), { live });
  const columns = useResource(address(`${studyPath(name)}/columns`), { live, kinds: ['trial', 'study'] });
  useEffect(() => void (study.data && setLive(study.data.id)), [study.data?.id]);
  return html`<${Loaded} resource=${study} lines=${8}>${(data) => html`
    <${StudyHead} study=${data} reload=${study.reload} page="" />
    <${Health} notes=${data.health} error=${data.error} />
    <${Figures} study=${data} />
    ${data.trials.total === 0 && !columns.data?.candidate.length
      ? html`<${Beginning} study=${data} />`
      : html`<${Loaded} resource=${columns} lines=${10}>${(all) => html`<${Overview} study=${data} columns=${all} />`}<//>`}
    ${data.final.length > 0 && html`<${FinalStage} study=${data} />`}
    <${SearchFigures} study=${data} />
    <${Equivalents} texts=${{
      CLI: `autokd study show ${shellWord(data.name)}\nautokd front ${shellWord(data.name)} --json\nautokd export ${shellWord(data.name)} --best --out out`,
      curl: curl(studyPath(data.id)),
      Python: `import autokd\n\nwith autokd.Client() as client:\n    study = client.studies.read(${JSON.stringify(data.name)})`,
    }} />`}<//>`;
}

/** @param {{notes: {level: string, code: string, message: string}[], error: string | null}} props */
function Health({ notes, error }) {
  const all = error ? [{ level: 'error', code: 'error', message: error }, ...notes] : notes;
  return all.length > 0 && html`<ul class="notes" aria-label="Health notes">${all.map((note) => html`
    <li class="note" data-level=${note.level} key=${note.code}><${Icon} name=${note.level} /><span>
      <span class="visually-hidden">${note.level}: </span>${note.message.charAt(0).toUpperCase() + note.message.slice(1)}</span></li>`)}</ul>`;
}

/** Before the first candidate: the teacher, epoch by epoch. @param {{study: import('../core/contract').StudyDetail}} props */
function Beginning({ study }) {
  const { teacher_epoch: last } = study;
  const { epochs } = study.spec.teacher;
  const title = study.state === 'queued' ? 'Waiting for a worker' : last ? `Training the teacher: epoch ${last.epoch} of ${epochs}` : 'No candidate yet';
  return html`<div class="panel" data-testid="beginning"><${Empty} title=${title}>
    ${last && html`<${Progress} done=${last.epoch / epochs} label="Progress of the teacher" />`}
    <p>${last?.metrics.loss != null ? `Its training loss: ${number(last.metrics.loss)}. ` : ''}The first students appear here as soon as they are proposed${last ? '' : '; the teacher may be training'}.</p><//></div>`;
}

/** The study in six numbers. @param {{study: import('../core/contract').StudyDetail}} props */
function Figures({ study }) {
  const { best, teacher, trials, limits } = study;
  const objective = study.objectives[0];
  const level = teacher[objective.metric];
  const gain = best && level != null ? best[objective.metric] - level : null;
  const volume = study.hypervolume[study.hypervolume.length - 1];
  return html`
    <dl class="figures" data-testid="figures">
      <div><dt>Best ${label(objective.metric).toLowerCase()}</dt><dd>${figure(objective.metric, best?.[objective.metric])}
        <small>${gain == null ? 'nothing in budget yet' : objective.metric === 'accuracy' ? `${points(gain)} vs teacher` : 'validation split'}</small>
          </dd></div>
      <div><dt>Its parameters</dt><dd>${count(best?.parameters)}
        <small>${best && teacher.parameters ? `${short(teacher.parameters / best.parameters)}× fewer than teacher` : '–'}</small>
          </dd></div>
      <div><dt>Its peak memory</dt><dd>${figure('peak_activation_bytes', best?.peak_activation_bytes)}
        <small>${best && teacher.peak_activation_bytes ? `${short(teacher.peak_activation_bytes / best.peak_activation_bytes)}× less than teacher` : '–'}</small>
          </dd></div>
      <div><dt>Front</dt><dd>${plural(study.front_size, 'student')}<small>hypervolume ${number(volume)}</small></dd></div>
      <div><dt>Trials</dt><dd>${count(trials.total)}<small>
        ${limits.trials ? `of ${count(limits.trials)}` : 'no limit'} · ${count(trials.failed)} failed</small>
        ${study.progress < 1 && html`<${Progress} done=${study.progress} label="Progress of the search" />`}</dd></div>
      <div><dt>Time</dt><dd>${duration(study.seconds)}<small>
        ${study.seconds_left != null ? `about ${duration(study.seconds_left)} left` : `${count(trials.infeasible)} over budget, untrained`}</small>
        </dd></div>
    </dl>`;
}

/** The slider's limits: in the address, written when the hand rests. */
function useLimits() {
  const [query] = useQuery();
  const read = () => Object.fromEntries(SLIDERS.map((name) => [name, query.has(`max_${name}`) ? Number(query.get(`max_${name}`)) : null]));
  const [limits, setLimits] = useState(read);
  const timer = useRef(0);
  useEffect(() => void (timer.current || setLimits(read())), [query]);
  const set = (/** @type {string} */ name, /** @type {number | null} */ limit) => {
    const next = { ...limits, [name]: limit };
    setLimits(next);
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => {
      timer.current = 0;
      changeQuery(Object.fromEntries(Object.entries(next).map(([key, value]) => [`max_${key}`, value])));
    }, 250);
  };
  return /** @type {const} */ ([limits, set]);
}

/** The front, and beside it the answer to "what is the best under …". @param {{study: import('../core/contract').StudyDetail, columns: any}} props */
function Overview({ study, columns }) {
  const [limits, setLimit] = useLimits();
  const view = useFrontView(columns);
  const scored = useMemo(() => scoredRows(columns), [columns]);
  const metrics = useMemo(() => SLIDERS.filter((name) => columns.figures[name]?.some((value) => value != null))
    .map((name) => ({ name, range: extent(columns.figures[name], scored.length ? scored : rowsOf(columns)) })), [columns, scored]);
  const objective = study.objectives[0];
  const chosen = useMemo(() => bestWithin(columns, scored, limits, objective), [columns, scored, limits]);
  return html`
    <div class="grid stretch">
      <section class="panel span-8">
        <${FrontFigure} study=${study} columns=${columns} view=${view} limits=${limits} chosen=${chosen} /></section>
      <section class="panel span-4 with-answer" aria-label="Best student within limits">
        <h2>Best student within</h2>
        <${Sliders} metrics=${metrics.slice(0, 4)} limits=${limits} set=${setLimit} />
        <${Answer} study=${study} columns=${columns} row=${chosen} objective=${objective} />
      </section>
    </div>`;
}

/** @param {{study: import('../core/contract').StudyDetail, columns: any, row: number | null, objective: {metric: string}}} props */
function Answer({ study, columns, row, objective }) {
  if (row === null) {
    return html`<div class="answer" data-testid="answer"><p><strong>No student is that small.</strong></p>
      <p class="muted small">Allow more, or extend the search with a smaller budget.</p></div>`;
  }
  const { teacher } = study;
  const value = columns.figures[objective.metric][row];
  const shown = SLIDERS.filter((name) => columns.figures[name]?.[row] != null);
  const candidate = columns.candidate[row];
  return html`
    <div class="answer" data-testid="answer">
      <p class="answer-figure">
        ${figure(objective.metric, value)} ${objective.metric === 'accuracy' && teacher.accuracy != null && html`<small>
        ${points(value - teacher.accuracy)} against the teacher</small>`}</p>
      <dl class="pairs">${shown.map((name) => html`<dt key=${name}>${label(name)}</dt><dd>
        ${figure(name, columns.figures[name][row])} ${teacher[name] && html`<small>
        ${percent(columns.figures[name][row] / teacher[name], 1)} of the teacher's</small>`}</dd>`)}</dl>
      <footer>
        <a class="button" href=${studyHref(study, `/candidates/${candidate}`)}>Candidate ${candidate}</a>
        <${ExportButton} primary study=${study} trial=${columns.trial[row]} candidate=${candidate} text="Export this student" />
      </footer>
    </div>`;
}

/** The retrained, with and without the teacher. @param {{study: import('../core/contract').StudyDetail}} props */
function FinalStage({ study }) {
  const { final, teacher } = study;
  const pm = (row, /** @type {string} */ name) =>
    row[name] == null ? '–' : html`${percent(row[name])}${row.seeds > 1 && html`<span class="sub">${spread(row[`${name}_sd`], row.seeds)}</span>`}`;
  return html`
    <section class="panel flush" data-testid="final">
      <div class="panel-head"><h2>Final stage</h2>
        <span class="muted small">Retrained in full with ${plural(final[0].seeds, 'seed')}; the test split only reports</span>
        </div>
      <div class="table-box" tabindex="0" role="region" aria-label="Final stage"><table>
        <thead><tr><th scope="col">Candidate</th><th scope="col" class="number">Test accuracy</th>
          <th scope="col" class="number">Without teacher</th><th scope="col" class="number">Gain</th>
          <th scope="col" class="number">Validation</th><th scope="col" class="number">Parameters</th>
          <th scope="col" class="number">Peak memory</th><th scope="col" class="number">Calibration error</th></tr>
          </thead>
        <tbody>
          ${final.map((row) => html`<tr key=${row.candidate}>
            <th scope="row"><a href=${studyHref(study, `/candidates/${row.candidate}`)}>Candidate ${row.candidate}</a></th>
            <td class="number"><strong>${pm(row, 'test_accuracy')}</strong></td><td class="number">
              ${pm(row, 'baseline_test_accuracy')}</td>
            <td class="number">
              ${row.baseline_test_accuracy == null ? '–' : points(row.test_accuracy - row.baseline_test_accuracy)}</td>
            <td class="number">${pm(row, 'validation_accuracy')}</td><td class="number">${count(row.parameters)}</td>
            <td class="number">${figure('peak_activation_bytes', row.peak_activation_bytes)}</td><td class="number">
              ${row.ece == null ? '–' : number(row.ece)}</td></tr>`)}
          <tr><th scope="row" class="muted">Teacher</th><td class="number">${percent(teacher.test_accuracy)}</td>
            <td class="number">–</td><td class="number">–</td><td class="number">${percent(teacher.accuracy)}</td>
            <td class="number">${count(teacher.parameters)}</td><td class="number">
            ${figure('peak_activation_bytes', teacher.peak_activation_bytes)}</td><td class="number">${number(teacher.test_ece)}</td></tr>
        </tbody>
      </table></div>
    </section>`;
}
