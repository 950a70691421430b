/** A file that a study needs: one that was sent before, or one of this machine that is sent now. */
import { html, useRef, useState } from '../core/html.js';
import { address, post, send } from '../core/api.js';
import { bytes } from '../core/format.js';
import { useResource } from '../core/resource.js';

const KINDS = { teacher: { ends: '.safetensors', title: 'weights' }, data: { ends: '.npz', title: 'images' } };

/** @param {{shared: any, kind: keyof typeof KINDS, value: string | undefined, set: (id: string | undefined) => void}} props */
export function Upload({ shared, kind, value, set }) {
  const sent = useResource(address('/uploads', { page_size: 500 }));
  const file = useRef(/** @type {HTMLInputElement | null} */ (null));
  const [said, setSaid] = useState('');
  const ready = (sent.data?.items ?? []).filter((/** @type {import('../core/contract').Upload} */ one) => one.kind === kind && one.state === 'ready');
  const take = async (/** @type {File | undefined} */ content) => {
    if (!content) return;
    setSaid(`Sending ${bytes(content.size)} …`);
    try {
      const { id } = await post('/uploads', { kind, name: content.name });
      const made = await send('PUT', address(`/uploads/${id}/content`), { body: content });
      setSaid(made.error ?? '');
      if (made.state === 'ready') set(id);
    } catch (error) {
      setSaid(/** @type {import('../core/api.js').Problem} */ (error).line);
    }
    sent.reload();
  };
  return html`
    <span class="field-line">
      <select ...${shared} onChange=${(event) => set(event.target.value || undefined)}>
        <option value="">${ready.length ? 'none' : 'none was sent yet'}</option>
        ${ready.map((one) => html`<option key=${one.id} value=${one.id} selected=${one.id === value}>
          ${one.name} (${bytes(one.bytes)})</option>`)}
      </select>
      <button type="button" onClick=${() => file.current?.click()}>Send …</button>
      <input ref=${file} type="file" hidden accept=${KINDS[kind].ends} aria-label=${`Send ${KINDS[kind].title}`}
        onChange=${(event) => take(event.target.files[0])} />
    </span>
    ${said && html`<span class="hint" role="status">${said}</span>`}`;
}
