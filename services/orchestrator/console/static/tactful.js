// Comfort only: every page can be read without this file.
const root = document.documentElement;
const rows = () => [...document.querySelectorAll('a.row')];

const toggle = document.querySelector('[data-theme-toggle]');
if (toggle) {
  toggle.hidden = false;
  toggle.addEventListener('click', () => {
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
    try { localStorage.setItem('tactful-theme', root.dataset.theme); } catch { /* private mode */ }
  });
}

// Live rows: new ones come in at the top; while paused they wait and are counted.
const MOST_ROWS = 100;
const table = document.querySelector('[data-stream]');
const pause = document.querySelector('[data-pause]');
const pulse = document.querySelector('[data-pulse]');
let paused = false;
let waiting = [];

const show = (html) => {
  const row = document.createElement('template');
  row.innerHTML = html;
  const fresh = row.content.firstElementChild;
  if (!fresh || table.querySelector(`[data-id="${CSS.escape(fresh.dataset.id)}"]`)) return;
  table.prepend(fresh);
  window.htmx?.process(fresh);
  document.querySelector('[data-empty]')?.remove();
  while (table.rows.length > MOST_ROWS) table.rows[table.rows.length - 1].remove();
};
const label = () => {
  const words = paused ? (waiting.length ? `Resume, ${waiting.length} new` : 'Resume') : 'Pause';
  pause.querySelector('span').textContent = words;
};
const say = (words, live) => {
  pulse.querySelector('span').textContent = words;
  pulse.classList.toggle('on', live);
};

if (table && pause && window.EventSource) {
  const source = new EventSource(table.dataset.stream);
  source.addEventListener('open', () => { if (!paused) say('Live', true); });
  source.addEventListener('error', () => say('Not connected, trying again', false));
  source.addEventListener('decision', (event) => {
    if (paused) { waiting = [...waiting, event.data].slice(-MOST_ROWS); label(); } else show(event.data);
  });
  addEventListener('pagehide', () => source.close());
  pause.hidden = false;
  pause.addEventListener('click', () => {
    paused = !paused;
    pause.setAttribute('aria-pressed', String(paused));
    if (!paused) { waiting.forEach(show); waiting = []; }
    say(paused ? 'Paused' : 'Live', !paused);
    label();
  });
}

// The chosen row is the one whose trace is shown. Where the trace lies over the table it takes the focus.
const overTable = matchMedia('(max-width: 1599px)');
const rowOf = (decision) => [...document.querySelectorAll('tr[data-decisions]')].find((row) => row.dataset.decisions.split(' ').includes(decision));
const choose = (row) => {
  document.querySelector('tr[aria-current]')?.removeAttribute('aria-current');
  row?.setAttribute('aria-current', 'true');
};
const shown = document.getElementById('trace')?.dataset.decision;
if (shown && !overTable.matches) choose(rowOf(shown));
document.addEventListener('htmx:afterSettle', () => {
  const trace = document.getElementById('trace');
  if (!trace?.dataset.decision) return;
  choose(rowOf(trace.dataset.decision));
  if (overTable.matches) trace.focus({ preventScroll: true });
});

const close = () => {
  const trace = document.querySelector('.trace.chosen');
  const link = trace?.querySelector('[data-close]');
  if (!link || !overTable.matches) return false;
  trace.classList.remove('chosen');
  history.pushState({ htmx: true }, '', link.href);  // htmx loads the page again when somebody goes back
  const row = rowOf(trace.dataset.decision);
  choose(null);
  row?.querySelector('a.row')?.focus({ preventScroll: true });
  return true;
};
document.addEventListener('click', (event) => {
  if (event.target.closest('[data-close]') && close()) event.preventDefault();
});

// j and k walk the rows, / finds, p pauses; never while somebody is typing.
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, select, textarea')) return;
  if (event.key === '/') { event.preventDefault(); document.querySelector('.search input[type=search]')?.focus(); }
  if (event.key === 'p') pause?.click();
  if (event.key === 'Escape') close();
  const move = { j: 1, k: -1 }[event.key];
  const all = rows();
  if (move && all.length) {
    const focused = all.indexOf(document.activeElement);
    const here = focused >= 0 ? focused : all.findIndex((row) => row.closest('[aria-current]'));
    all[Math.min(all.length - 1, Math.max(0, here + move))].focus();
  }
});
