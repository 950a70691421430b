/** The address is the view: its path names the page, its query everything that the page shows. */
import { useEffect, useMemo, useState } from './html.js';

/** @type {Set<() => void>} */
const listeners = new Set();
const notify = () => listeners.forEach((listener) => listener());

/**
 * Goes to an address of the dashboard.
 * @param {string} href
 * @param {{replace?: boolean}} [options] whether the address before it is forgotten
 */
export function navigate(href, { replace = false } = {}) {
  history[replace ? 'replaceState' : 'pushState'](null, '', href);
  notify();
}

/** Follows the address: starts the listening that `navigate` and plain links need. */
export function startRouter() {
  addEventListener('popstate', notify);
  document.addEventListener('click', (event) => {
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !plain || event.defaultPrevented || link.target || link.hasAttribute('download')) return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || url.pathname.startsWith('/api/') || link.hash) return;
    event.preventDefault();
    navigate(url.pathname + url.search);
  });
}

/** Path and query of the address; renders again when it changes. */
export function useAddress() {
  const [address, setAddress] = useState(location.pathname + location.search);
  useEffect(() => {
    const follow = () => setAddress(location.pathname + location.search);
    listeners.add(follow);
    follow();
    return () => void listeners.delete(follow);
  }, []);
  return address;
}

/**
 * The query of the address, and how to change it: null and '' remove a name.
 * @returns {[URLSearchParams, (changes: Record<string, string | number | boolean | string[] | null>, options?: {replace?: boolean}) => void]}
 */
export function useQuery() {
  const address = useAddress();
  const query = useMemo(() => new URLSearchParams(location.search), [address]);
  return [query, changeQuery];
}

/**
 * Changes names of the query; null, false and '' remove one. The view stays, so by default nothing is
 * added to the history.
 * @param {Record<string, string | number | boolean | string[] | null>} changes
 * @param {{replace?: boolean}} [options]
 */
export function changeQuery(changes, { replace = true } = {}) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    query.delete(name);
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== '' && one !== false) query.append(name, String(one));
    }
  }
  const text = query.toString();
  navigate(location.pathname + (text && `?${text}`), { replace });
}

/**
 * The first route whose pattern fits a path, with what stands in the place of its `:names`.
 * @template T
 * @param {{path: string, page: T}[]} routes
 * @param {string} path
 */
export function matchRoute(routes, path) {
  const given = path.replace(/\/+$/, '').split('/');
  for (const route of routes) {
    const wanted = route.path.replace(/\/+$/, '').split('/');
    if (wanted.length !== given.length) continue;
    if (!wanted.every((part, i) => part.startsWith(':') || part === given[i])) continue;
    const parameters = wanted.flatMap((part, i) => (part.startsWith(':') ? [[part.slice(1), decoded(given[i])]] : []));
    return { page: route.page, parameters: Object.fromEntries(parameters) };
  }
  return null;
}

/** A part of a path as text; one that is badly written as it stands. @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/**
 * Address of a study: by its name where that reads well.
 * @param {{id: string, name: string}} study
 * @param {string} [rest]
 */
export function studyHref(study, rest = '') {
  return `/studies/${/^[\w.-]+$/.test(study.name) ? study.name : study.id}${rest}`;
}
