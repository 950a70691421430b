/** Signing in with a token: from the link that `autokd serve` prints, or typed in. */
import { html, useEffect, useState } from '../core/html.js';
import { post } from '../core/api.js';
import { navigate } from '../core/router.js';
import { Icon } from '../components/icon.js';

/** The token of the address's fragment, which is removed from the address at once: no history keeps it. */
function tokenOfAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token) history.replaceState(null, '', location.pathname + location.search);
  return token;
}

export default function LoginPage() {
  const [error, setError] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  const signIn = async (/** @type {string} */ token) => {
    setBusy(true);
    try {
      await post('/session', { token });
      const next = new URLSearchParams(location.search).get('next') ?? '/studies';
      navigate(/^\/(?![/\\])/.test(next) ? next : '/studies', { replace: true });
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  useEffect(() => {
    document.title = 'Sign in · autokd';
    const token = tokenOfAddress();
    if (token) signIn(token);
  }, []);
  const submit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    signIn(String(new FormData(/** @type {HTMLFormElement} */ (event.target)).get('token')).trim());
  };
  return html`
    <div class="panel login">
      <p class="brand"><${Icon} name="front" size="20" />autokd</p>
      <form onSubmit=${submit}>
        <h1>Sign in</h1>
        <div class="field">
          <label for="token">Token</label>
          <input id="token" name="token" type="password" autocomplete="current-password" required placeholder="akd_…" aria-invalid=${error ? 'true' : null} aria-describedby="token-hint" />
          <span class="hint" id="token-hint">The service prints a link with one when it starts; <code>autokd token create</code> makes more.</span>
          ${error && html`<span class="wrong" role="alert">${error.line}</span>`}
        </div>
        <button class="primary" disabled=${busy}>${busy ? 'Signing in …' : 'Sign in'}</button>
      </form>
    </div>`;
}
