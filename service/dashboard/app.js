/** The shell: navigation, the live badge, and the page that the address names. */
import { html, render, useEffect, useErrorBoundary, useRef, useState } from './core/html.js';
import { API, address, remove } from './core/api.js';
import { startEvents, stopEvents, useLiveness } from './core/events.js';
import { useResource } from './core/resource.js';
import { matchRoute, navigate, startRouter, useAddress } from './core/router.js';
import { applyTheme, chooseTheme, chosenTheme } from './core/theme.js';
import { Announcer, Toasts } from './components/announcer.js';
import { Icon } from './components/icon.js';
import { Failure, Loading, NotFound } from './components/states.js';

/** @type {{path: string, page: () => Promise<any>}[]} */
const ROUTES = [
  { path: '/', page: () => import('./pages/studies.js') },
  { path: '/studies', page: () => import('./pages/studies.js') },
  { path: '/studies/new', page: () => import('./pages/new_study.js') },
  { path: '/studies/:study', page: () => import('./pages/study.js') },
  { path: '/studies/:study/analyse', page: () => import('./pages/analyse.js') },
  { path: '/studies/:study/candidates', page: () => import('./pages/candidates.js') },
  { path: '/studies/:study/candidates/:candidate', page: () => import('./pages/candidate.js') },
  { path: '/compare', page: () => import('./pages/compare.js') },
  { path: '/workers', page: () => import('./pages/workers.js') },
  { path: '/settings', page: () => import('./pages/settings.js') },
  { path: '/login', page: () => import('./pages/login.js') },
];
const SECTIONS = [['/studies', 'Studies'], ['/compare', 'Compare'], ['/workers', 'Workers'], ['/settings', 'Settings']];

/** The module of the page that a path names; null while it loads. @param {string} path */
function usePage(path) {
  const [page, setPage] = useState(/** @type {any} */ (null));
  const match = matchRoute(ROUTES, path);
  useEffect(() => {
    let wanted = true;
    match?.page().then((module) => wanted && setPage({ load: match.page, View: module.default }));
    return () => void (wanted = false);
  }, [match?.page]);
  if (!match) return { View: NotFound, parameters: {} };
  return page?.load === match.page ? { View: page.View, parameters: match.parameters } : null;
}

function App() {
  const path = useAddress().split('?')[0];
  const page = usePage(path);
  const main = useRef(/** @type {HTMLElement | null} */ (null));
  const [error, forget] = useErrorBoundary();
  const visited = useRef(path);

  useEffect(() => {
    const signIn = () => {
      stopEvents();
      if (location.pathname !== '/login') navigate(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    };
    addEventListener('autokd:signed-out', signIn);
    if (path !== '/login') startEvents();
    return () => removeEventListener('autokd:signed-out', signIn);
  }, [path === '/login']);

  useEffect(() => {
    if (!page || visited.current === path) return;
    visited.current = path;
    forget();
    scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [page?.View, path]);

  const bare = path === '/login';
  return html`
    <a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => { event.preventDefault(); main.current?.focus(); }}>Skip to content</a>
    ${!bare && html`<${TopBar} path=${path} />`}
    <main id="main" ref=${main} tabindex="-1" class=${bare ? 'bare' : ''}>
      ${error ? html`<${Failure} error=${error} retry=${forget} />`
        : page ? html`<${page.View} key=${path} ...${page.parameters} />` : html`<${Loading} />`}
    </main>
    <${Toasts} /><${Announcer} />`;
}

/** @param {{path: string}} props */
function TopBar({ path }) {
  const { data: me } = useResource(address('/whoami'));
  const section = path === '/' ? '/studies' : `/${path.split('/')[1]}`;
  const signOut = async () => {
    await remove('/session');
    stopEvents();
    navigate('/login');
  };
  return html`
    <header class="top">
      <a class="brand" href="/studies"><${Icon} name="front" size="18" />autokd</a>
      <nav aria-label="Main">
        ${SECTIONS.map(([href, name]) => html`
          <a key=${href} href=${href} aria-current=${section === href ? 'page' : null}>${name}</a>`)}
      </nav>
      <${LiveBadge} />
      <${ThemeSwitch} />
      ${me && html`<details class="menu">
        <summary class="quiet" aria-label=${`Signed in as ${me.name}`}><${Icon} name="person" /></summary>
        <div class="menu-body">
          <p><strong>${me.name}</strong><br /><span class="muted">${me.scope}</span></p>
          <a href="${API}/docs">API documentation</a>
          <button class="link" onClick=${signOut}>Sign out</button>
        </div>
      </details>`}
    </header>`;
}

function LiveBadge() {
  const state = useLiveness();
  const text = { live: 'Live', connecting: 'Connecting', reconnecting: 'Reconnecting' }[state];
  return html`<span class="live" data-state=${state} role="status" title=${state === 'live' ? 'This page follows the service' : 'What you see may be old'}>
    <i aria-hidden="true"></i><span>${text}</span></span>`;
}

function ThemeSwitch() {
  const [theme, setTheme] = useState(chosenTheme());
  const dark = theme === 'dark' || (theme === 'system' && matchMedia('(prefers-color-scheme: dark)').matches);
  const next = dark ? 'light' : 'dark';
  const turn = () => {
    chooseTheme(next);
    setTheme(next);
  };
  return html`<button class="quiet icon" onClick=${turn} aria-label=${`Use ${next} colours`} title=${`Use ${next} colours`}>
    <${Icon} name=${dark ? 'sun' : 'moon'} /></button>`;
}

applyTheme();
startRouter();
render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById('app')));
