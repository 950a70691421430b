/** The Pareto front as a figure with its controls; what it shows is in the address. */
import { html, useMemo } from '../core/html.js';
import { rowsOf, scoredRows } from '../core/columns.js';
import { figure, label, plural } from '../core/format.js';
import { changeQuery, navigate, studyHref, useQuery } from '../core/router.js';
import { chosenOverlay, frontOf, frontOption } from '../charts/front.js';
import { Chart } from './chart.js';
import { Choice } from './choice.js';

/** Which metrics the front shows, and how: from the address. @param {any} columns */
export function useFrontView(columns) {
  const [query] = useQuery();
  return useMemo(() => {
    const known = Object.keys(columns.figures);
    const pick = (/** @type {string} */ name, /** @type {string} */ otherwise) => (known.includes(query.get(name) ?? '') ? /** @type {string} */ (query.get(name)) : otherwise);
    return {
      x: pick('x', 'parameters'), y: pick('y', 'accuracy'), color: pick('color', ''),
      logX: query.get('logx') !== 'no', logY: query.get('logy') === 'yes', infeasible: query.get('infeasible') === 'yes',
    };
  }, [query, columns]);
}

/**
 * @param {{study: import('../core/contract').StudyDetail, columns: any, view: import('../charts/front.js').FrontView, limits: Record<string, number | null>, chosen: number | null}} props limits: those of the sliders
 */
export function FrontFigure({ study, columns, view, limits, chosen }) {
  const { front, rest, infeasible } = useMemo(() => {
    const scored = scoredRows(columns);
    const best = frontOf(columns, scored, view.x, view.y);
    const on = new Set(best);
    return {
      front: best, rest: scored.filter((i) => !on.has(i)),
      infeasible: view.infeasible ? rowsOf(columns).filter((i) => !columns.feasible[i]) : [],
    };
  }, [columns, view]);
  const baseline = view.x !== 'accuracy' && view.y === 'accuracy'
    ? study.final.filter((row) => row.baseline_validation_accuracy != null).map((row) => ({ candidate: row.candidate, x: row[view.x], y: row.baseline_validation_accuracy }))
    : [];
  const { figures } = columns;
  const ends = [front[0], front[front.length - 1]];
  const summary = front.length === 0
    ? 'No candidate in budget has been scored yet.'
    : `${plural(front.length, 'student')} ${front.length === 1 ? 'is' : 'are'} on the front and ${rest.length.toLocaleString('en')} dominated: ${label(view.y).toLowerCase()} from ${figure(view.y, figures[view.y][ends[0]])} to ${figure(view.y, figures[view.y][ends[1]])}, ${label(view.x).toLowerCase()} from ${figure(view.x, figures[view.x][ends[0]])} to ${figure(view.x, figures[view.x][ends[1]])}.`;
  const open = (event) => {
    const i = event.value?.[3];
    if (i != null) navigate(studyHref(study, `/candidates/${columns.candidate[i]}`));
  };
  return html`<${Chart} title="Pareto front" name="front" height=${430} summary=${summary}
    depends=${[columns, view, JSON.stringify(study.budget), JSON.stringify(study.final)]} shape=${`${view.x} ${view.y} ${view.logX} ${view.logY} ${view.color}`}
    option=${frontOption({ columns, view, front, rest, infeasible, teacher: study.teacher, limits: study.budget, baseline })}
    overlay=${chosenOverlay(columns, view, chosen, limits)} overlayDepends=${[chosen, ...Object.values(limits)]}
    onSelect=${open} controls=${html`<${Controls} columns=${columns} view=${view} />`}
    stops=${front.map((i, k) => ({ series: 3, index: k, text: `candidate ${columns.candidate[i]}, ${label(view.y)} ${figure(view.y, figures[view.y][i])}, ${label(view.x)} ${figure(view.x, figures[view.x][i])}`, href: studyHref(study, `/candidates/${columns.candidate[i]}`) }))}
    table=${{
      head: ['Candidate', 'On the front', ...Object.keys(figures)],
      rows: () => [...front, ...rest].map((i) => [columns.candidate[i], front.includes(i) ? 'yes' : 'no', ...Object.values(figures).map((values) => /** @type {any} */ (values)[i])]),
    }} />`;
}

/** @param {{columns: any, view: import('../charts/front.js').FrontView}} props */
function Controls({ columns, view }) {
  const names = Object.keys(columns.figures);
  const select = (/** @type {string} */ title, /** @type {string} */ key, /** @type {string} */ value, /** @type {string} */ none) => html`
    <${Choice} label=${title} value=${value} none=${none} options=${names.map((name) => [name, label(name)])} set=${(/** @type {string} */ next) => changeQuery({ [key]: next })} />`;
  const check = (/** @type {string} */ title, /** @type {boolean} */ value, change) => html`
    <label><input type="checkbox" checked=${value} onChange=${(event) => changeQuery(change(event.target.checked))} /> ${title}</label>`;
  return html`
    ${select('Y', 'y', view.y, '')} ${select('X', 'x', view.x, '')} ${select('Colour', 'color', view.color, 'none')}
    ${check('Log X', view.logX, (/** @type {boolean} */ on) => ({ logx: on ? null : 'no' }))}
    ${check('Log Y', view.logY, (/** @type {boolean} */ on) => ({ logy: on ? 'yes' : null }))}
    ${check('Over budget', view.infeasible, (/** @type {boolean} */ on) => ({ infeasible: on ? 'yes' : null }))}`;
}
