/** What the service keeps and who may use it: tokens, webhooks, storage, the audit. */
import { html, useEffect, useState } from '../core/html.js';
import { API, address, finished, post, remove, studyPath } from '../core/api.js';
import { ago, bytes, count, date, label, plural } from '../core/format.js';
import { useResource } from '../core/resource.js';
import { changeQuery, useQuery } from '../core/router.js';
import { attempt, toast } from '../components/announcer.js';
import { Badge } from '../components/badge.js';
import { Asking, Dialog } from '../components/dialog.js';
import { Code } from '../components/equivalents.js';
import { Empty, Loaded } from '../components/states.js';

const TABS = { tokens: 'Tokens', webhooks: 'Webhooks', storage: 'Storage', audit: 'Audit', about: 'About' };
const SCOPES = { read: 'look at everything', launch: 'also make and steer studies', admin: 'also tokens, webhooks and the audit log' };
const KINDS = ['study', 'trial', 'artifact'];

export default function SettingsPage() {
  const [query] = useQuery();
  const shown = Object.hasOwn(TABS, query.get('show') ?? '') ? /** @type {keyof typeof TABS} */ (query.get('show')) : 'tokens';
  useEffect(() => void (document.title = `${TABS[shown]} · autokd`), [shown]);
  const Shown = { tokens: Tokens, webhooks: Webhooks, storage: Storage, audit: Audit, about: About }[shown];
  return html`
    <div class="page-head"><h1>Settings</h1></div>
    <nav class="tabbar" aria-label="Settings">
      ${Object.entries(TABS).map(([name, title]) => html`<a key=${name} href=${`/settings?show=${name}`} aria-current=${shown === name ? 'page' : null}>
      ${title}</a>`)}</nav>
    <${Shown} key=${shown} />`;
}

/** A secret that is shown once. @param {{title: string, secret: string, close: () => void}} props */
const Secret = ({ title, secret, close }) => html`
  <${Dialog} title=${title} open=${Boolean(secret)} close=${close}>
    <p>Copy it now: it is not kept and cannot be shown again.</p><${Code} text=${secret} label=${title} />
    <footer><button class="primary" onClick=${close}>I have it</button></footer><//>`;

/** The fields of a form as an object. @param {SubmitEvent} event */
function fieldsOf(event) {
  event.preventDefault();
  return new FormData(/** @type {HTMLFormElement} */ (event.target));
}

function Tokens() {
  const tokens = useResource(address('/tokens', { page_size: 500 }));
  const [secret, setSecret] = useState('');
  const create = async (/** @type {SubmitEvent} */ event) => {
    const form = fieldsOf(event);
    const days = Number(form.get('days'));
    const made = await attempt(() => post('/tokens', { name: form.get('name'), scope: form.get('scope'), ...(days ? { expires_in_days: days } : {}) }), '');
    if (made) setSecret(made.token);
    tokens.reload();
  };
  const revoke = (token) => async () => {
    await attempt(() => remove(`/tokens/${token.id}`), `${token.name} is revoked`);
    tokens.reload();
  };
  return html`
    <section class="panel"><h2>New token</h2>
      <form class="toolbar last" onSubmit=${create}>
        <div class="field grow"><label for="token-name">Name</label>
          <input id="token-name" name="name" required placeholder="e.g. laptop" /></div>
        <div class="field"><label for="token-scope">Scope</label><select id="token-scope" name="scope">
          ${Object.entries(SCOPES).map(([name, text]) => html`<option key=${name} value=${name}>
          ${name}: ${text}</option>`)}</select></div>
        <div class="field"><label for="token-days">Expires after days</label>
          <input id="token-days" name="days" type="number" min="1" placeholder="never" /></div>
        <button class="primary">Create</button>
      </form></section>
    <section class="panel flush"><${Loaded} resource=${tokens}>${(data) => html`<div class="table-box"><table>
      <thead><tr><th scope="col">Name</th><th scope="col">Scope</th><th scope="col" class="number">Created</th>
        <th scope="col" class="number">Expires</th><th scope="col" class="number">Last used</th><th scope="col">
        <span class="visually-hidden">Revoke</span></th></tr></thead>
      <tbody>${data.items.map((token) => html`<tr key=${token.id}><th scope="row">${token.name}<span class="sub">
        ${token.id}</span></th><td>${token.scope}</td><td class="number">${date(token.created)}</td>
        <td class="number">${token.expires ? date(token.expires) : 'never'}</td><td class="number muted">
        ${token.last_used ? ago(token.last_used) : 'never'}</td>
        <td class="number">
          <${Asking} label="Revoke" title=${`Revoke ${token.name}?`} text="Whoever uses it is signed out at once." danger act=${revoke(token)} />
          </td></tr>`)}</tbody></table></div>`}<//></section>
    <${Secret} title="The new token" secret=${secret} close=${() => setSecret('')} />`;
}

function Webhooks() {
  const hooks = useResource(address('/webhooks', { page_size: 500 }));
  const [secret, setSecret] = useState('');
  const create = async (/** @type {SubmitEvent} */ event) => {
    const form = fieldsOf(event);
    const made = await attempt(() => post('/webhooks', { url: form.get('url'), kinds: form.getAll('kinds') }), '');
    if (made) setSecret(made.secret);
    hooks.reload();
  };
  return html`
    <section class="panel"><h2>New webhook</h2>
      <form class="toolbar last" onSubmit=${create}>
        <div class="field grow"><label for="hook-url">Address</label>
          <input id="hook-url" name="url" type="url" required placeholder="https://" /></div>
        <fieldset><legend>Tells of</legend><div class="chips">
          ${KINDS.map((kind) => html`<label class="check" key=${kind}>
          <input type="checkbox" name="kinds" value=${kind} checked=${kind === 'study'} />${kind}</label>`)}</div>
          </fieldset>
        <button class="primary">Create</button>
      </form></section>
    <${Loaded} resource=${hooks}>
      ${(data) => (data.items.length ? data.items.map((hook) => html`<${Webhook} key=${hook.id} hook=${hook} reload=${hooks.reload} />`)
      : html`<section class="panel"><${Empty} title="No webhook">
        <p>One is told when a study ends, signed so that the receiver can check.</p><//></section>`)}<//>
    <${Secret} title="The signing secret" secret=${secret} close=${() => setSecret('')} />`;
}

/** @param {{hook: import('../core/contract').Webhook, reload: () => void}} props */
function Webhook({ hook, reload }) {
  const sent = useResource(address(`/webhooks/${hook.id}/deliveries`, { page_size: 20 }), { every: 3000 });
  const test = async () => {
    await attempt(() => post(`/webhooks/${hook.id}:test`), 'A test is on its way');
    sent.reload();
  };
  const again = (one) => async () => {
    await attempt(() => post(`/webhooks/${hook.id}/deliveries/${one.id}:redeliver`), 'On its way again');
    sent.reload();
  };
  const drop = async () => {
    await attempt(() => remove(`/webhooks/${hook.id}`), 'Deleted');
    reload();
  };
  return html`<section class="panel flush">
    <div class="panel-head"><div><h2 class="break">${hook.url}</h2><span class="muted small">
      ${hook.kinds.join(', ')} · since ${date(hook.created)}</span></div>
      <div class="chips"><button onClick=${test}>Test</button>
        <${Asking} label="Delete" title="Delete this webhook?" text="Nothing is sent to it any more." danger act=${drop} />
        </div></div>
    ${sent.data?.items.length > 0 && html`<div class="table-box"><table><thead><tr><th scope="col">Delivery</th>
      <th scope="col">State</th><th scope="col" class="number">Attempts</th><th scope="col" class="number">Answer</th>
      <th scope="col" class="number">When</th><th scope="col"><span class="visually-hidden">Again</span></th></tr>
      </thead>
      <tbody>${sent.data.items.map((one) => html`<tr key=${one.id}><th scope="row">${one.event == null ? 'Test' : `Event ${one.event}`}</th><td>
        <${Badge} state=${one.state} />${one.state !== 'delivered' && html`<span class="sub">${one.status}</span>`}</td>
        <td class="number">${one.attempts}</td><td class="number">
        ${one.response_status ?? '–'}</td><td class="number muted">${ago(one.created)}</td><td class="number">
        <button onClick=${again(one)}>Send again</button></td></tr>`)}</tbody></table></div>`}
  </section>`;
}

function Storage() {
  const storage = useResource(address('/storage'), { live: '*', kinds: ['study', 'operation'] });
  const deleted = useResource(address('/studies', { deleted: true, page_size: 500 }), { live: '*', kinds: ['study'] });
  const purge = (study) => async () => {
    const freed = await attempt(async () => finished(await post(`${studyPath(study.study)}:purge`)), '');
    if (freed) toast(`${study.name}: ${bytes(freed.bytes)} freed`);
    storage.reload();
    deleted.reload();
  };
  const restore = (study) => async () => {
    await attempt(() => post(`${studyPath(study.study)}:undelete`), `${study.name} is back`);
    storage.reload();
  };
  return html`<${Loaded} resource=${storage}>${(data) => {
    const used = Object.entries(data.bytes).sort(([, a], [, b]) => b - a);
    const sum = used.reduce((all, [, size]) => all + size, 0);
    const most = used[0]?.[1] || 1;
    const studies = [...data.studies].sort((a, b) => Number(Boolean(b.deleted)) - Number(Boolean(a.deleted)) || b.bytes - a.bytes);
    return html`
      <section class="panel"><div class="panel-head"><h2>Disk</h2><span class="muted small">
        ${bytes(sum)} used, ${bytes(data.free_bytes)} free</span></div>
        ${used.map(([name, size]) => html`<div class="bar" key=${name}><span>${label(name)}</span>
          <span class="track" aria-hidden="true"><i style=${{ width: `${Math.max(0.5, (100 * size) / most)}%` }}></i>
          </span><span class="number">${bytes(size)}</span></div>`)}</section>
      <section class="panel flush"><div class="panel-head"><h2>Studies</h2><span class="muted small">
        ${plural(studies.filter((one) => one.deleted).length, 'deleted study', 'deleted studies')} can come back or be purged</span>
        </div>
        <div class="table-box"><table><thead><tr><th scope="col">Study</th><th scope="col" class="number">Size</th>
          <th scope="col">Deleted</th><th scope="col"><span class="visually-hidden">Actions</span></th></tr></thead>
        <tbody>${studies.map((study) => html`<tr key=${study.study}><th scope="row" class="break">
          ${study.name}<span class="sub">${study.study}</span></th><td class="number">${bytes(study.bytes)}</td>
          <td class="muted">${study.deleted ? ago(deleted.data?.items.find((one) => one.id === study.study)?.deleted) : '–'}</td>
          <td class="number">${study.deleted && html`<span class="chips end">
            <button onClick=${restore(study)}>Bring back</button>
            <${Asking} label="Purge" danger title=${`Purge ${study.name}?`} text=${`Its record, checkpoints and logs are deleted for good: ${bytes(study.bytes)} become free.`} act=${purge(study)} />
            </span>`}</td></tr>`)}</tbody></table></div></section>`;
  }}<//>`;
}

function Audit() {
  const [query] = useQuery();
  const token = query.get('token');
  const events = useResource(address('/audit_events', { page_size: 200, page_token: token }));
  return html`<section class="panel flush"><${Loaded} resource=${events}>${(data) => (data.items.length ? html`
    <div class="table-box"><table><thead><tr><th scope="col">When</th><th scope="col">Token</th>
      <th scope="col">Operation</th><th scope="col">On</th><th scope="col" class="number">Answer</th>
      <th scope="col">Request</th></tr></thead>
      <tbody>${data.items.map((one) => html`<tr key=${one.number}><td class="nowrap">${date(one.time)}</td><td>
        ${one.name}</td><th scope="row">${one.operation}</th><td>${one.target ?? '–'}</td><td class="number">
        <${Badge} state=${one.status < 400 ? 'done' : 'refused'} /> ${one.status}</td><td class="muted"><code>
        ${one.request_id}</code></td></tr>`)}</tbody></table></div>
    <div class="inset page-row"><span class="muted small">${count(data.total)} events</span>
      ${token && html`<button onClick=${() => changeQuery({ token: null }, { replace: false })}>Newest</button>`}${data.next_page_token && html`<button onClick=${() => changeQuery({ token: data.next_page_token }, { replace: false })}>Older</button>`}</div>`
    : html`<${Empty} title="Nothing was changed yet" />`)}<//></section>`;
}

function About() {
  const meta = useResource(address('/meta'));
  const me = useResource(address('/whoami'));
  return html`<section class="panel"><${Loaded} resource=${meta}>${(data) => html`
    <h2>autokd ${data.version}</h2>
    <dl class="pairs narrow"><dt>API</dt><dd>${data.api}</dd><dt>Authentication</dt><dd>
      ${data.authentication ? 'on' : 'off'}</dd>${me.data && html`<dt>Signed in as</dt><dd>
      ${me.data.name} (${me.data.scope})</dd>`}</dl>
    <ul class="links"><li><a href="${API}/docs">API documentation, offline</a></li><li>
      <a href="${API}/openapi.json">OpenAPI document</a></li><li>
      <a href="/static/vendor/vendor.json" target="_blank">Libraries of this dashboard and their licences</a></li>
      </ul>`}<//></section>`;
}
