/** A form from a JSON Schema: every field of a study file, with its description, default and mistakes beside it. */
import { classes, html, useId, useState } from '../core/html.js';
import { label } from '../core/format.js';
import { asText, at, kindOf, resolve, variants, withoutNull } from '../core/schema.js';
import { Icon } from './icon.js';
import { Upload } from './upload.js';

/**
 * @typedef {{root: any, value: any, mistakes: Record<string, string>, change: (path: (string | number)[], next: any) => void,
 *   named: Record<string, {name: string, summary: string, schema?: any}[]>}} Form
 *   root: the schema; value: the whole spec; mistakes: by JSON pointer; named: installed spaces and the like
 * @typedef {{form: Form, path: (string | number)[], schema: any, required?: boolean, title?: string}} FieldProps
 */

/** @param {(string | number)[]} path */
export const pointer = (path) => `/${path.join('/')}`;

/** One field, of whatever kind its schema is. @param {FieldProps} props @returns {any} */
export function Field({ form, path, schema: given, required, title }) {
  const schema = withoutNull(given, form.root);
  const kind = kindOf(schema, form.root);
  const name = path[path.length - 1];
  const props = { form, path, schema, required, title: title ?? label(String(name)) };
  if (kind === 'const') return null;
  if (kind === 'object') return html`<${Group} ...${props} />`;
  if (kind === 'variant') return html`<${Variant} ...${props} />`;
  if (kind === 'objects') return html`<${Objects} ...${props} />`;
  if (kind === 'range') return html`<${Range} ...${props} />`;
  return html`<${Plain} ...${props} kind=${kind} />`;
}

/** Fields of an object, required ones first. @param {FieldProps & {bare?: boolean}} props @returns {any} */
export function Group({ form, path, schema, title, bare }) {
  const all = Object.entries(schema.properties ?? {});
  const wanted = new Set(schema.required ?? []);
  // Where something is required, what is not and has no value yet stands back; decided once, or fields would move while one types.
  const [back] = useState(() => new Set(wanted.size ? all.filter(([name]) => !wanted.has(name) && at(form.value, [...path, name]) === undefined).map(([name]) => name) : []));
  const some = (/** @type {[string, any][]} */ entries) => html`<div class="fields">
    ${entries.map(([name, inner]) => html`<${Field} key=${name} form=${form} path=${[...path, name]} schema=${inner} required=${wanted.has(name)} />`)}</div>`;
  const behind = all.filter(([name]) => back.has(name));
  const before = all.filter(([name]) => !back.has(name)).sort(([a], [b]) => Number(wanted.has(b)) - Number(wanted.has(a)));
  const fields = html`${before.length > 0 && some(before)}${behind.length > 0 && html`<details class="disclosure more">
    <summary>${behind.length} more: ${behind.map(([name]) => label(name).toLowerCase()).join(', ')}</summary>
    ${some(behind)}</details>`}`;
  return bare ? fields : html`<fieldset class="whole"><legend>${title}</legend>${fields}</fieldset>`;
}

/** A choice by name, then the fields of what was chosen. @param {FieldProps} props */
function Variant({ form, path, schema, title }) {
  const all = variants(schema, form.root) ?? {};
  const value = at(form.value, path) ?? schema.default;
  const chosen = all[value?.name];
  const id = useId();
  const fields = chosen && { ...chosen, properties: Object.fromEntries(Object.entries(chosen.properties).filter(([name]) => name !== 'name')) };
  return html`
    <div class="field"><label for=${id}>${title}</label>
      <select id=${id} value=${value?.name ?? ''} onChange=${(event) => form.change(path, { name: event.target.value })}>
        ${!chosen && html`<option value="">Choose</option>`}${Object.keys(all).map((name) => html`<option key=${name} value=${name} selected=${name === value?.name}>
          ${name}</option>`)}</select>
      <${Below} form=${form} path=${path} hint=${chosen?.description ?? schema.description} /></div>
    ${fields && Object.keys(fields.properties).length > 0 && html`<div class="whole">
      <${Group} bare form=${form} path=${path} schema=${fields} /></div>`}`;
}

/** Several objects, like losses or objectives. @param {FieldProps} props */
function Objects({ form, path, schema, title }) {
  const item = resolve(schema.items, form.root);
  const list = at(form.value, path) ?? [];
  const first = item.properties?.name?.const;
  return html`
    <fieldset class="whole"><legend class=${path.length > 1 ? '' : 'visually-hidden'}>${title}</legend>
      ${list.map((_, /** @type {number} */ i) => html`<div class="object" key=${i}>
        <${Group} bare form=${form} path=${[...path, i]} schema=${item} />
        ${list.length > (schema.minItems ?? 0) && html`<button type="button" class="quiet icon" aria-label=${`Remove ${title} ${i + 1}`} onClick=${() => form.change([...path, i], undefined)}>
          <${Icon} name="close" /></button>`}</div>`)}
      <button type="button" onClick=${() => form.change([...path, list.length], first ? { name: first } : {})}>
        <${Icon} name="plus" size="14" />Add</button>
      <${Below} form=${form} path=${path} hint="" />
    </fieldset>`;
}

/** A number that is given, or searched for between two. @param {FieldProps} props */
function Range({ form, path, schema, title }) {
  const value = at(form.value, path);
  const searched = value !== null && typeof value === 'object';
  const id = useId();
  const set = (next) => form.change(path, next);
  const start = typeof value === 'number' ? value : schema.default ?? 1;
  const numeric = (/** @type {string} */ name, /** @type {string} */ text) => html`<input type="number" step="any" aria-label=${`${title}, ${text}`} placeholder=${text} value=${value[name]} onInput=${(event) => set({ ...value, [name]: Number(event.target.value) })} />`;
  return html`
    <div class=${classes('field', searched && 'wide-field')}>
      <span class="field-line"><label for=${searched ? null : id} class="field-name">${title}</label>
        <label class="check muted">
          <input type="checkbox" aria-label=${`Search for ${title}`} checked=${searched} onChange=${() => set(searched ? undefined : { low: start / 4, high: start * 4, log: true })} />search</label>
          </span>
      ${searched ? html`<span class="range">${numeric('low', 'lowest')}<span aria-hidden="true">–</span>
        ${numeric('high', 'highest')}
          <label class="check">
            <input type="checkbox" checked=${Boolean(value.log)} onChange=${(event) => set({ ...value, log: event.target.checked || undefined })} />log</label>
            </span>`
        : html`<input id=${id} type="number" step="any" placeholder=${asText(schema.default)} value=${value ?? ''} onInput=${(event) => set(event.target.value === '' ? undefined : Number(event.target.value))} />`}
      <${Below} form=${form} path=${path} hint=${schema.description} />
    </div>`;
}

/** A number, text, choice, switch or list. @param {FieldProps & {kind: string}} props */
function Plain({ form, path, schema, required, title, kind }) {
  const id = useId();
  const value = at(form.value, path);
  const mistake = form.mistakes[pointer(path)];
  const set = (next) => form.change(path, next);
  const shared = { id, 'aria-invalid': mistake ? 'true' : null, 'aria-describedby': `${id}-below`, required };
  if (kind === 'boolean') {
    return html`<div class="field"><span class="field-name" id=${`${id}-name`}>${title}</span>
      <label class="check">
        <input type="checkbox" id=${id} checked=${value ?? schema.default ?? false} onChange=${(event) => set(event.target.checked === (schema.default ?? false) ? undefined : event.target.checked)} />
        ${schema.description}</label></div>`;
  }
  return html`
    <div class=${classes('field', kind === 'upload' && 'whole')}><label for=${id}>${kind === 'upload' && title === 'Path' ? 'Images' : title}</label>
      ${kind === 'upload' ? html`<${Upload} shared=${shared} kind=${path[0] === 'teacher' ? 'teacher' : 'data'} value=${value} set=${set} />`
        : kind === 'choice' ? html`<select ...${shared} onChange=${(event) => set(event.target.value || undefined)}>
          ${!required && html`<option value="">
            ${asText(schema.default) || 'none'}</option>`}${required && value === undefined && html`<option value="">Choose</option>`}
          ${schema.enum.map((/** @type {string} */ one) => html`<option key=${one} value=${one} selected=${one === value}>
            ${one}</option>`)}</select>`
        : kind === 'list' || kind === 'json' ? html`<${Parsed} shared=${shared} value=${value} schema=${schema} set=${set} />`
        : kind === 'number' ? html`<input ...${shared} type="number" step=${schema.type === 'integer' ? 1 : 'any'} min=${schema.minimum ?? null} placeholder=${asText(schema.default)} value=${value ?? ''} onInput=${(event) => set(event.target.value === '' ? undefined : Number(event.target.value))} />`
        : html`<input ...${shared} type="text" spellcheck="false" placeholder=${asText(schema.default) || (schema.examples ? `e.g. ${schema.examples[0]}` : '')} value=${value ?? ''} onInput=${(event) => set(event.target.value === '' ? undefined : event.target.value)} />`}
      <${Below} form=${form} path=${path} hint=${schema.description} id=${`${id}-below`} />
    </div>`;
}

/** A list or an object as JSON; what cannot be read yet stays as typed. @param {{shared: any, value: any, schema: any, set: (next: any) => void}} props */
function Parsed({ shared, value, schema, set }) {
  const list = schema.type === 'array';
  const text = value == null ? '' : list ? value.join(', ') : JSON.stringify(value);
  const [draft, setDraft] = useState(/** @type {string | null} */ (null));
  const read = (/** @type {string} */ typed) => {
    setDraft(typed);
    if (!typed.trim()) return set(undefined);
    if (list) return set(typed.split(',').map((part) => part.trim()).filter(Boolean).map((part) => (Number.isNaN(Number(part)) ? part : Number(part))));
    try {
      return set(JSON.parse(typed));
    } catch {
      return undefined; // half typed
    }
  };
  return html`<input ...${shared} type="text" spellcheck="false" placeholder=${asText(schema.default).replace(/^\[|\]$/g, '')} value=${draft ?? text} onInput=${(event) => read(event.target.value)} onBlur=${() => setDraft(null)} />`;
}

/** What stands below a field: its mistake, or else what it is. @param {{form: Form, path: (string | number)[], hint?: string, id?: string}} props */
function Below({ form, path, hint, id }) {
  const mistake = form.mistakes[pointer(path)];
  return html`<span id=${id}>${mistake ? html`<span class="wrong">
    ${mistake}</span>` : hint && html`<span class="hint">${hint}</span>`}</span>`;
}
