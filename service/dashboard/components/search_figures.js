/** How the search went: hypervolume and best so far, over trials or seconds; how many trials each rung kept. */
import { html } from '../core/html.js';
import { address, studyPath } from '../core/api.js';
import { count, duration, figure, label, number, plural } from '../core/format.js';
import { useResource } from '../core/resource.js';
import { changeQuery, useQuery } from '../core/router.js';
import { linesOption, survivalOption } from '../charts/lines.js';
import { Chart } from './chart.js';

/** @param {{study: import('../core/contract').StudyDetail}} props */
export function SearchFigures({ study }) {
  const [query] = useQuery();
  const seconds = query.get('over') === 'seconds';
  const options = { live: study.id, kinds: ['trial', 'study'] };
  const { data: volume } = useResource(address(`${studyPath(study.id)}/hypervolume`), options);
  const { data: survival } = useResource(address(`${studyPath(study.id)}/survival`), options);
  const points = volume?.points ?? [];
  if (!points.length) return null;
  const { metric } = study.objectives[0];
  const at = (point) => (seconds ? point.seconds : point.finished);
  const last = points[points.length - 1];
  const axis = seconds ? 'Time' : 'Finished trials';
  const switcher = html`<span class="segmented" role="group" aria-label="Over">${['trials', 'seconds'].map((name) => html`
    <button key=${name} aria-pressed=${(name === 'seconds') === seconds} onClick=${() => changeQuery({ over: name === 'seconds' ? name : null })}>
      ${name}</button>`)}</span>`;
  const reached = points.find((point) => point.hypervolume >= 0.95 * last.hypervolume);
  const teacher = study.teacher[metric];
  const stops = (/** @type {string} */ name, /** @type {(v: any) => string} */ say) =>
    points.filter((_, /** @type {number} */ i) => i % Math.ceil(points.length / 50) === 0)
      .map((point) => ({ series: 0, index: points.indexOf(point), text: `${seconds ? duration(point.seconds) : plural(point.finished, 'trial')}: ${say(point[name])}` }));
  return html`
    <div class="grid stretch">
      <section class="panel span-5"><${Chart} title="Hypervolume" name="hypervolume" height=${210} controls=${switcher}
        summary=${`${number(last.hypervolume)} after ${plural(last.finished, 'finished trial')}; 95 % of it after ${count(reached?.finished)}.`}
        depends=${[points, seconds]} shape=${axis} stops=${stops('hypervolume', number)}
        option=${linesOption([{ name: 'Hypervolume', values: points.map((p) => [at(p), p.hypervolume]) }], { x: axis, y: '', step: true, area: true, seconds })}
        table=${{ head: ['finished', 'trial', 'seconds', 'hypervolume'], rows: () => points.map((p) => [p.finished, p.trial, p.seconds, p.hypervolume]) }} />
          </section>
      <section class="panel span-4">
        <${Chart} title=${`Best ${label(metric).toLowerCase()} so far`} name="best" height=${210} controls=${switcher}
        summary=${`${figure(metric, last.best)}${teacher == null ? '' : `; the teacher has ${figure(metric, teacher)}`}.`}
        depends=${[points, seconds]} shape=${axis} stops=${stops('best', (v) => figure(metric, v))}
        option=${linesOption([{ name: label(metric), values: points.map((p) => [at(p), p.best]) }], { x: axis, y: '', metric, step: true, seconds, level: teacher == null ? null : { value: teacher, name: 'Teacher' } })}
        table=${{ head: ['finished', 'trial', 'seconds', metric], rows: () => points.map((p) => [p.finished, p.trial, p.seconds, p.best]) }} />
          </section>
      <section class="panel span-3">
        ${survival?.rungs.length > 0 && html`<${Chart} title="Survival" name="survival" height=${210}
        summary=${`${count(survival.rungs[0].reached)} trained for ${plural(survival.rungs[0].epochs, 'epoch')}, ${count(survival.rungs[survival.rungs.length - 1].reached)} for ${survival.rungs[survival.rungs.length - 1].epochs}.`}
        depends=${[survival]} option=${survivalOption(survival.rungs)}
        stops=${survival.rungs.map((rung, /** @type {number} */ i) => ({ series: 0, index: i, text: `${plural(rung.epochs, 'epoch')}: ${plural(rung.reached, 'trial')}` }))}
        table=${{ head: ['epochs', 'reached'], rows: () => survival.rungs.map((r) => [r.epochs, r.reached]) }} />`}</section>
    </div>`;
}
