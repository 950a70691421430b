/** A new study: a form that is checked while it is filled in, beside the file, command and request that say the same. */
import { html, useEffect, useMemo, useRef, useState } from '../core/html.js';
import { address, post, studyPath } from '../core/api.js';
import { count, duration, figure, label, percent } from '../core/format.js';
import { useResource } from '../core/resource.js';
import { changeQuery, navigate, studyHref, useQuery } from '../core/router.js';
import { changed, concise, resolve, withoutNull } from '../core/schema.js';
import { TEMPLATES } from '../core/templates.js';
import { yaml } from '../core/yaml.js';
import { CodeTabs, curl, shellWord } from '../components/equivalents.js';
import { Icon } from '../components/icon.js';
import { Field, Group, pointer } from '../components/schema_form.js';
import { Failure, Loaded } from '../components/states.js';

const FIRST = ['data', 'teacher', 'budget', 'objectives', 'limits'];
const TITLES = { data: 'Data', teacher: 'Teacher', budget: 'Budget of the student', objectives: 'Objectives', limits: 'Limits of the search', space: 'Search space', distillation: 'Distillation', strategy: 'Strategy', fidelity: 'Rungs', training: 'Training of the students', final: 'Final stage', execution: 'Execution' };
const SIZES = ['parameters', 'peak_activation_bytes', 'macs'];

export default function NewStudyPage() {
  const [query] = useQuery();
  const from = query.get('from');
  const schema = useResource(address('/spec_schema'));
  const spaces = useResource(address('/spaces'));
  const source = useResource(from ? address(studyPath(from)) : null);
  useEffect(() => void (document.title = 'New study · autokd'), []);
  return html`
    <div class="page-head"><p class="crumbs"><a href="/studies">Studies</a><span aria-hidden="true">/</span>new</p>
      <h1>New study</h1></div>
    <${Loaded} resource=${schema} lines=${10}>${(root) => {
      if (from && !source.data) return html`<${Loaded} resource=${source}>${() => null}<//>`;
      const start = from ? { ...concise(source.data.spec, root, root), name: `${source.data.name}-2`.replace(/[^\w.-]/g, '-') } : TEMPLATES[query.get('template') ?? 'digits']?.spec ?? TEMPLATES.digits.spec;
      return html`<${Editor} key=${from ?? query.get('template')} root=${root} start=${start} spaces=${spaces.data?.items ?? []} query=${query} />`;
    }}<//>`;
}

/** @param {{root: any, start: any, spaces: any[], query: URLSearchParams}} props */
function Editor({ root, start, spaces, query }) {
  const [spec, setSpec] = useState(() => draftOf(query) ?? start);
  const [labels] = useState({});
  const check = useCheck(spec);
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => changeQuery({ spec: spec === start ? null : JSON.stringify(spec) }), 400);
    return () => clearTimeout(timer);
  }, [spec]);
  const mistakes = useMemo(() => Object.fromEntries(((problem ?? check.problem)?.errors ?? []).map((one) => [one.pointer.replace(/^\/spec(?=\/)/, ''), one.hint ? `${one.message}: ${one.hint}` : one.message])), [problem, check.problem]);
  const form = { root, value: spec, mistakes, named: { spaces }, change: (path, next) => { setProblem(null); setSpec((old) => changed(old, path, next)); } };
  const create = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    try {
      navigate(studyHref(await post('/studies', { spec, labels })));
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  const rest = Object.keys(root.properties).filter((name) => !FIRST.includes(name) && !['name', 'seed'].includes(name));
  return html`
    <div class="templates" role="group" aria-label="Start from">
      ${Object.entries(TEMPLATES).map(([name, { title, about }]) => html`
      <button key=${name} class="template" aria-pressed=${!query.get('from') && (query.get('template') ?? 'digits') === name} onClick=${() => navigate(`/studies/new?template=${name}`, { replace: true })}>
        <strong>${title}</strong><span>${about}</span></button>`)}</div>
    <form class="grid" onSubmit=${create} novalidate>
      <div class="span-7 stack">
        <section class="panel"><div class="fields">
          <${Field} form=${form} path=${['name']} schema=${root.properties.name} required />
          <${Field} form=${form} path=${['seed']} schema=${root.properties.seed} /></div></section>
        ${FIRST.map((name) => html`<section class="panel" key=${name}><h2>${TITLES[name]}</h2>
          <${Section} form=${form} name=${name} /></section>`)}
        ${rest.map((name) => html`<details class="panel section" key=${name} open=${Object.keys(mistakes).some((one) => one.startsWith(pointer([name])))}>
          <summary><h2>${TITLES[name] ?? label(name)}</h2><span class="muted small">
            ${summaryOf(spec[name]) || resolve(root.properties[name], root).description}</span></summary>
            <${Section} form=${form} name=${name} /></details>`)}
      </div>
      <aside class="span-5 sticky stack" aria-label="Check">
        <section class="panel"><${Verdict} check=${check} /></section>
        ${problem && html`<${Failure} error=${problem} />`}
        <button class="primary wide-button" disabled=${busy || check.problem?.errors.length > 0}>
          ${busy ? 'Starting …' : 'Start the search'}</button>
        <section class="panel"><${CodeTabs} label="The same study" texts=${{
          YAML: yaml(spec), CLI: `autokd search ${shellWord(`${spec.name ?? 'study'}.yaml`)}`,
          curl: curl('/studies', 'POST', { spec }), Python: `import autokd\n\nspec = autokd.read_study(${JSON.stringify(`${spec.name ?? 'study'}.yaml`)})\nfront = autokd.assemble_study(spec).run()`,
        }} /></section>
      </aside>
    </form>`;
}

/** What was being written when the address was copied. @param {URLSearchParams} query */
function draftOf(query) {
  try {
    return query.has('spec') ? JSON.parse(query.get('spec') ?? '') : null;
  } catch {
    return null; // an address that was cut short
  }
}

/** @param {any} value */
const summaryOf = (value) => (value == null ? '' : value.name ?? Object.entries(value).filter(([, one]) => typeof one !== 'object').map(([name, one]) => `${name.replace(/_/g, ' ')} ${one}`).join(', '));

/** @param {{form: import('../components/schema_form.js').Form, name: string}} props */
function Section({ form, name }) {
  const schema = withoutNull(form.root.properties[name], form.root);
  const props = { form, path: [name], schema };
  if (name === 'space') return html`<${Space} ...${props} />`;
  return schema.properties ? html`<${Group} bare ...${props} />` : html`<div class="fields">
    <${Field} ...${props} title=${TITLES[name]} required /></div>`;
}

/** The search space: one of those installed, with the options that it says it has. @param {any} props */
function Space({ form, path, schema }) {
  const { spaces } = form.named;
  const chosen = spaces.find((one) => one.name === form.value.space?.name);
  const known = { ...chosen?.schema?.properties };
  for (const name of Object.keys(form.value.space ?? {})) if (name !== 'name') known[name] ??= { type: 'array', items: { type: 'number' } };
  const { name: _, ...options } = known;
  const names = spaces.map((one) => one.name);
  return html`
    <div class="fields">
      <${Field} form=${form} path=${[...path, 'name']} schema=${names.length ? { enum: names, description: chosen?.summary } : schema.properties.name} title="Space" required />
      </div>
    ${Object.keys(options).length > 0 && html`<div class="below">
      <${Group} bare form=${form} path=${path} schema=${{ properties: options }} /></div>`}`;
}

/** Asks the service what a spec means, when the typing rests. @param {any} spec */
function useCheck(spec) {
  const [check, setCheck] = useState({ busy: true, result: /** @type {any} */ (null), problem: /** @type {any} */ (null) });
  const round = useRef(0);
  useEffect(() => {
    round.current += 1;
    const mine = round.current;
    setCheck((old) => ({ ...old, busy: true }));
    const timer = setTimeout(() => {
      post('/studies', { spec }, { validate_only: true }).then(
        (result) => mine === round.current && setCheck({ busy: false, result, problem: null }),
        (problem) => mine === round.current && setCheck({ busy: false, result: null, problem }),
      );
    }, 600);
    return () => clearTimeout(timer);
  }, [spec]);
  return check;
}

/** What the check says. @param {{check: {busy: boolean, result: any, problem: any}}} props */
function Verdict({ check }) {
  const { busy, result, problem } = check;
  return html`
    <div class="panel-head"><h2>What this study means</h2><span class="muted small" role="status">
      ${busy ? 'Checking …' : problem ? '' : `from ${count(result?.samples)} samples`}</span></div>
    ${problem && html`<div class="note" data-level="error"><${Icon} name="error" /><div><strong>${problem.message}</strong>
      ${problem.errors.length > 0 && html`<ul>${problem.errors.map((one) => html`<li key=${one.pointer}><code>
        ${one.pointer}</code> ${one.message} ${one.hint}</li>`)}</ul>`}${problem.hint && html`<p>
        ${problem.hint}</p>`}</div></div>`}
    ${result && html`
      <div class="verdict">
        <div><strong class="answer-figure">${percent(result.feasible_share, 0)}</strong>
          <p class="muted small">of the space is in budget${result.nearest ? `: ${result.nearest}` : ''}</p></div>
        <div><strong class="answer-figure">${duration(result.estimated_seconds)}</strong>
          <p class="muted small">with ${count(result.workers)} workers, ${duration(result.teacher_seconds)} of it for the teacher</p>
          </div>
      </div>
      <progress max="1" value=${result.feasible_share} aria-label="Share in budget"></progress>
      <div class="table-box" tabindex="0" role="region" aria-label="Sizes of students"><table class="sizes"><thead>
        <tr><th scope="col"></th>
        ${['smallest', 'median', 'largest', 'teacher'].map((name) => html`<th scope="col" class="number" key=${name}>
        ${label(name)}</th>`)}<th scope="col" class="number">Limit</th></tr></thead>
        <tbody>${SIZES.filter((name) => result.teacher[name] != null).map((name) => html`<tr key=${name}>
          <th scope="row">${label(name)}</th>
          ${['smallest', 'median', 'largest', 'teacher'].map((size) => html`<td class="number" key=${size}>
          ${figure(name, result[size][name])}</td>`)}<td class="number">
          ${result.budget[name] == null ? '–' : figure(name, Math.floor(result.budget[name]))}</td></tr>`)}</tbody>
          </table></div>`}`;
}
