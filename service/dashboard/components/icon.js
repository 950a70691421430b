/** A few line icons, drawn here so that no font or file is fetched. */
import { html } from '../core/html.js';

/** @type {Record<string, string>} */
const PATHS = {
  front: 'M3 21C3 10 10 3 21 3 M4.5 14.500h.01 M9 8h.01 M15.500 4.500h.01',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8 M12 2v2 M12 20v2 M4.900 4.900l1.400 1.400 M17.700 17.700l1.400 1.400 M2 12h2 M20 12h2 M4.900 19.100l1.400-1.400 M17.700 6.300l1.400-1.400',
  moon: 'M20 14.500A8.500 8.500 0 1 1 9.500 4a7 7 0 0 0 10.500 10.500z',
  person: 'M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8 M4 21c0-4 3.500-6.500 8-6.500s8 2.500 8 6.500',
  more: 'M5 12h.01 M12 12h.01 M19 12h.01',
  save: 'M12 4v11 M7.500 10.500 12 15l4.500-4.500 M4 20h16',
  table: 'M4 5h16v14H4z M4 10h16 M10 5v14',
  copy: 'M9 9h11v11H9z M15 9V4H4v11h5',
  check: 'M4.500 12.500 10 18 20 6.500',
  close: 'M6 6l12 12 M18 6 6 18',
  info: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18 M12 11v5.500 M12 7.600v.01',
  warning: 'M12 4 2.500 20h19z M12 10v4.500 M12 17.200v.01',
  error: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18 M12 7.500v5.500 M12 16.300v.01',
  up: 'M12 19V5 M6 11l6-6 6 6',
  down: 'M12 5v14 M6 13l6 6 6-6',
  plus: 'M12 5v14 M5 12h14',
};

/** @param {{name: string, size?: number | string}} props */
export const Icon = ({ name, size = 16 }) => html`
  <svg class="icon" width=${size} height=${size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d=${PATHS[name]} fill="none" stroke="currentColor" stroke-width=${name === 'more' || name === 'front' ? 2.4 : 1.8} stroke-linecap="round" stroke-linejoin="round" />
  </svg>`;
