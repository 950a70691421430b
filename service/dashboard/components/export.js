/** From a student to files that were checked: one click, then what the check found, then downloads. */
import { html, useState } from '../core/html.js';
import { API, address, finished, get, post, studyPath } from '../core/api.js';
import { useResource } from '../core/resource.js';
import { ago, bytes, percent } from '../core/format.js';
import { toast } from './announcer.js';
import { Dialog } from './dialog.js';
import { Equivalents, curl, shellWord } from './equivalents.js';
import { Icon } from './icon.js';
import { Failure } from './states.js';

/**
 * @param {{study: import('../core/contract').StudyDetail, trial: number, candidate: number, primary?: boolean, text?: string}} props
 */
export function ExportButton({ study, trial, candidate, primary, text = 'Export' }) {
  const [open, setOpen] = useState(false);
  return html`
    <button class=${primary ? 'primary' : ''} data-testid="export" onClick=${() => setOpen(true)}>
      <${Icon} name="save" />${text}</button>
    <${Dialog} title=${`Export candidate ${candidate}`} wide open=${open} close=${() => setOpen(false)}>
      <${ExportForm} study=${study} trial=${trial} />
    <//>`;
}

/** @param {{study: import('../core/contract').StudyDetail, trial: number}} props */
function ExportForm({ study, trial }) {
  const [formats, setFormats] = useState(['onnx', 'safetensors']);
  const [work, setWork] = useState(/** @type {{busy?: boolean, error?: any, made?: any}} */ ({}));
  const before = useResource(address(`${studyPath(study.id)}/exports`), { live: study.id, kinds: ['artifact', 'operation'] });
  const earlier = (before.data?.items ?? []).filter((one) => one.trial === trial && one.id !== work.made?.id);
  const make = async () => {
    setWork({ busy: true });
    try {
      const { export: id } = await finished(await post(`${studyPath(study.id)}/exports`, { trial, formats }));
      setWork({ made: await get(`/exports/${id}`) });
      toast('Exported and verified');
    } catch (error) {
      setWork({ error });
    }
  };
  const toggle = (/** @type {string} */ name) => () =>
    setFormats((all) => (all.includes(name) ? all.filter((one) => one !== name) : [...all, name]));
  return html`
    ${!work.made && html`
      <p class="muted small">The files are written, loaded again, and scored against the student: an export that computes something else fails.</p>
      <fieldset disabled=${work.busy}><legend>Formats</legend>
        <div class="stack">
          ${[['onnx', 'ONNX', 'for onnxruntime and devices'], ['safetensors', 'safetensors', 'weights for Python']].map(([name, title, use]) => html`
          <label class="check" key=${name}>
            <input type="checkbox" checked=${formats.includes(name)} onChange=${toggle(name)} />
            ${title} <span class="muted">${use}</span></label>`)}</div>
      </fieldset>
      <div><button class="primary" disabled=${work.busy || !formats.length} onClick=${make}>
        ${work.busy ? 'Writing and checking …' : 'Write and verify'}</button></div>`}
    ${work.error && html`<${Failure} error=${work.error} />`}
    ${work.made && html`<${Exported} made=${work.made} />`}
    ${earlier.map((one) => html`<details class="disclosure" key=${one.id}>
      <summary>Exported ${ago(one.created)}</summary><${Exported} made=${one} /></details>`)}
    <${Equivalents} texts=${{
      CLI: `autokd export ${shellWord(study.name)} --trial ${trial} ${formats.map((name) => `--format ${name}`).join(' ')} --out out`,
      curl: curl(`${studyPath(study.id)}/exports`, 'POST', { trial, formats }),
      Python: `import autokd\n\nwith autokd.Client() as client:\n    client.export(${JSON.stringify(study.name)}, "out", trial=${trial})`,
    }} />`;
}

/** How near a file's outputs are to those of the student, up to a power of ten. @param {number} difference */
function nearness(difference) {
  if (!difference) return 'the same outputs as the student';
  const digits = Math.max(0, -Math.ceil(Math.log10(difference)));
  return `outputs within ${(10 ** -digits).toFixed(digits)} of the student's`;
}

/** What was checked, and the files. @param {{made: import('../core/contract').Export}} props */
export function Exported({ made }) {
  return html`
    <table data-testid="exported">
      <thead><tr><th scope="col">File</th><th scope="col" class="number">Size</th><th scope="col">Verified</th>
        <th scope="col"><span class="visually-hidden">Download</span></th></tr></thead>
      <tbody>${made.files.map((file) => html`<tr key=${file.name}>
          <th scope="row"><code>${file.name}</code>
            <span class="sub" title=${file.sha256}>sha256 ${file.sha256.slice(0, 12)}…</span></th>
          <td class="number nowrap">${bytes(file.bytes)}</td>
          <td>${file.verified ? html`<span class="badge" data-tone="good"><i aria-hidden="true"></i>
            ${file.verified}</span>` : html`<span class="muted">–</span>`}
            ${file.largest_difference != null && html`<span class="sub">${nearness(file.largest_difference)}</span>`}</td>
          <td class="number">
            <a class="button" download href=${`${API}/exports/${made.id}/files/${encodeURIComponent(file.name)}`}>Download<span class="visually-hidden"> ${file.name}</span>
            </a></td>
        </tr>`)}</tbody>
    </table>
    ${made.student?.recorded_accuracy != null && html`<p class="muted small">Scored on the ${made.student.scored_on} split; the record says ${percent(made.student.recorded_accuracy)}.</p>`}`;
}
