/** Light or dark: what the system says unless someone chose; and the same colours for what draws on a canvas. */
import { useEffect, useState } from './html.js';

const KEY = 'autokd.theme';
const CHANGED = 'autokd:theme';
const NAMES = ['text', 'muted', 'line', 'grid', 'panel', 'accent', 'teacher', 'limit', 'dim', 'baseline', 'good', 'warning'];
const SERIES = 6;

/** @returns {'light' | 'dark' | 'system'} */
export const chosenTheme = () => /** @type {any} */ (localStorage.getItem(KEY)) ?? 'system';

/** @param {'light' | 'dark' | 'system'} theme */
export function chooseTheme(theme) {
  localStorage.setItem(KEY, theme);
  applyTheme();
}

/** Puts the chosen theme on the page. */
export function applyTheme() {
  const theme = chosenTheme();
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  dispatchEvent(new Event(CHANGED));
}

/**
 * The page's colours as a canvas wants them: each resolved to rgb.
 * @returns {Record<string, string> & {series: string[], scale: string[]}}
 */
function readPalette() {
  const probe = document.body.appendChild(document.createElement('i'));
  const resolve = (/** @type {string} */ name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const named = Object.fromEntries(NAMES.map((name) => [name, resolve(name)]));
  const numbered = (/** @type {string} */ name, /** @type {number} */ n) => Array.from({ length: n }, (_, i) => resolve(`${name}-${i + 1}`));
  const palette = { ...named, series: numbered('series', SERIES), scale: numbered('scale', 4) };
  probe.remove();
  return /** @type {any} */ (palette);
}

/** The palette of the present theme. */
export function usePalette() {
  const [palette, setPalette] = useState(readPalette);
  useEffect(() => {
    const refresh = () => setPalette(readPalette());
    const system = matchMedia('(prefers-color-scheme: dark)');
    addEventListener(CHANGED, refresh);
    system.addEventListener('change', refresh);
    return () => {
      removeEventListener(CHANGED, refresh);
      system.removeEventListener('change', refresh);
    };
  }, []);
  return palette;
}
