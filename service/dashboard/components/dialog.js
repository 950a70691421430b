/** A question in front of the page: the browser's own dialog, with its focus and its Escape key. */
import { html, useEffect, useId, useRef, useState } from '../core/html.js';
import { Icon } from './icon.js';

/**
 * @param {{title: string, open: boolean, close: () => void, children?: any, wide?: boolean}} props
 */
export function Dialog({ title, open, close, children, wide }) {
  const box = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const id = useId();
  useEffect(() => {
    if (open && !box.current?.open) box.current?.showModal();
    if (!open && box.current?.open) box.current.close();
  }, [open]);
  const outside = (/** @type {MouseEvent} */ event) => event.target === box.current && close();
  return html`
    <dialog ref=${box} class=${wide ? 'wide' : ''} aria-labelledby=${id} onClose=${close} onClick=${outside}>
      ${open && html`<div class="dialog-body">
        <header><h2 id=${id}>${title}</h2>
          <button class="quiet icon" aria-label="Close" onClick=${close}><${Icon} name="close" /></button></header>
        ${children}
      </div>`}
    </dialog>`;
}

/**
 * A button that asks before it does.
 * @param {{label: string, title: string, text: any, confirm?: string, danger?: boolean, act: () => Promise<any> | void,
 *   disabled?: boolean, quiet?: boolean}} props
 */
export function Asking({ label, title, text, confirm = label, danger, act, disabled, quiet }) {
  const [open, setOpen] = useState(false);
  const agree = async () => {
    setOpen(false);
    await act();
  };
  return html`
    <button class=${quiet ? 'link' : ''} disabled=${disabled} onClick=${() => setOpen(true)}>${label}</button>
    <${Dialog} title=${title} open=${open} close=${() => setOpen(false)}>
      <p>${text}</p>
      <footer><button onClick=${() => setOpen(false)}>Not now</button>
        <button class=${danger ? 'danger' : 'primary'} onClick=${agree}>${confirm}</button></footer>
    <//>`;
}
