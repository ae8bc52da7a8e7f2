// Comfort only: every page is whole without it. Copy buttons, keys, times that go on, what is newer.
(() => {
  'use strict';
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const made = (name, text, className) => {
    const element = document.createElement(name);
    if (text) element.textContent = text;
    if (className) element.className = className;
    return element;
  };

  for (const button of all('button.copy')) {
    if (!navigator.clipboard) break;
    const label = button.textContent;
    button.hidden = false;
    button.addEventListener('click', async () => {
      const from = button.dataset.copyFrom;
      const text = from ? document.getElementById(from).textContent : button.dataset.copy;
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = 'Copied';
      } catch {
        button.textContent = 'Not allowed';
      }
      setTimeout(() => { button.textContent = label; }, 1200);
    });
  }

  // nothing was received yet: wait for it while the page is looked at
  const start = document.querySelector('[data-feed]');
  if (start) {
    start.querySelector('.waits').hidden = false;
    const look = async () => {
      try {
        if (!document.hidden) {
          const { feed } = await (await fetch(start.dataset.feed)).json();
          if ((feed.last_at || '') !== start.dataset.last) { location.reload(); return; }
        }
      } catch { /* the server is away: it may come again */ }
      setTimeout(look, 2000);
    };
    setTimeout(look, 2000);
  }

  // narrow: the filters begin folded
  const fold = document.querySelector('.fold');
  if (fold && matchMedia('(max-width: 860px)').matches) fold.open = false;

  // "4 min ago" goes on; a day stays a day
  const ago = (ms) => {
    const steps = [[1000, 's'], [60000, 'min'], [3600000, 'h'], [86400000, 'd'], [604800000, '']];
    const at = steps.findIndex(([unit]) => ms < unit);
    if (at <= 0) return at ? '' : 'now';
    const [unit, name] = steps[at - 1];
    return `${Math.floor(ms / unit)} ${name} ago`;
  };
  setInterval(() => {
    if (document.hidden) return;
    for (const time of all('time')) {
      if (!/ ago$|^now$/.test(time.textContent)) continue;
      const text = ago(Date.now() - Date.parse(time.dateTime));
      if (text && text !== time.textContent) time.textContent = text;
    }
  }, 30000);

  // on hover: the exact time, and what does not fit
  document.addEventListener('mouseover', ({ target }) => {
    const time = target.closest?.('time:not([title])');
    if (time) time.title = time.dateTime.replace('T', ' ').replace('Z', ' UTC');
    const cut = target.closest?.('.lines td, .reason, .cut');
    if (cut && cut.scrollWidth > cut.clientWidth) cut.title = cut.textContent;
  });

  // how many came since: asked every few seconds, while somebody can see it
  const live = document.querySelector('[data-newer]');
  if (live) {
    const every = 4000;
    let wait = every;
    let timer;
    const ask = async () => {
      clearTimeout(timer);
      if (document.hidden) return;
      try {
        const answer = await fetch(live.dataset.newer, { headers: { accept: 'application/json' } });
        if (!answer.ok) throw answer;
        const { newer, more } = await answer.json();
        const text = `${more ? 'more than ' : ''}${newer} new, show`;
        // said again only where it changed
        if ((newer || more) && live.textContent !== text) {
          live.textContent = text;
          live.className = 'some';
        }
        wait = every;
      } catch {
        wait = Math.min(wait * 2, 60000);
      }
      clearTimeout(timer);
      timer = setTimeout(ask, wait);
    };
    document.addEventListener('visibilitychange', ask);
    timer = setTimeout(ask, every);
  }

  const KEYS = [
    ['/', 'search'], ['j', 'next row'], ['k', 'row before'], ['Enter', 'open the row'], ['u', 'back to the list'],
    ['[', 'newer'], [']', 'older'], ['x', 'choose the row, to compare'], ['c', 'copy for ticket'], ['e', 'export'],
    ['g', 'then o d c s q m h: to that page'], ['?', 'this list'],
  ];
  const kept = (value) => {
    try {
      if (value) localStorage.setItem('waybill-keys', value);
      return localStorage.getItem('waybill-keys');
    } catch {
      return null;
    }
  };
  let off = kept() === 'off';

  const help = () => {
    let dialog = document.querySelector('dialog.keys');
    if (!dialog) {
      dialog = made('dialog', '', 'keys');
      dialog.setAttribute('aria-labelledby', 'keys-title');
      const title = made('h2', 'Keys');
      title.id = 'keys-title';
      const list = made('dl', '', 'facts');
      for (const [key, does] of KEYS) {
        const term = made('dt');
        term.append(made('kbd', key));
        list.append(term, made('dd', does));
      }
      const label = made('label', ' Keys are on');
      const box = made('input');
      box.type = 'checkbox';
      box.checked = !off;
      box.addEventListener('change', () => {
        off = !box.checked;
        kept(off ? 'off' : 'on');
      });
      label.prepend(box);
      const close = made('button', 'Close');
      close.addEventListener('click', () => dialog.close());
      const foot = made('p');
      foot.append(label, close);
      dialog.append(title, list, foot);
      document.body.append(dialog);
    }
    dialog.showModal();
  };
  const open = made('button', 'Keys', 'keys-open');
  open.type = 'button';
  open.addEventListener('click', help);
  document.querySelector('.top').append(open);

  const move = (by) => {
    const rows = all('.row').filter((row) => row.offsetParent);
    if (!rows.length) return;
    const at = document.activeElement;
    const here = rows.indexOf(at.closest('.row') || at.closest('tr, li')?.querySelector('.row'));
    const next = rows[here < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, here + by))];
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: 'nearest' });
  };
  const go = (selector) => document.querySelector(selector)?.click();
  const choose = (box) => {
    box?.click();
    box?.focus();
  };
  // `g`, and then soon the first letter of a page
  let going = 0;

  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const at = event.target;
    if (at.closest?.('input:not([type=checkbox]), textarea, select, dialog')) {
      if (event.key === 'Escape' && at.blur) at.blur();
      return;
    }
    if (off) return;
    const keys = {
      '/': () => { const q = document.getElementById('q'); q.focus(); q.select(); },
      j: () => move(1),
      k: () => move(-1),
      u: () => go('a[rel=up]'),
      '[': () => go('.pager a[rel=prev]'),
      ']': () => go('.pager a[rel=next]'),
      x: () => choose(at.closest?.('tr')?.querySelector('[type=checkbox]')),
      c: () => go('[data-copy-from=ticket]'),
      e: () => (document.querySelector('[download]') || document.querySelector('.twins a'))?.focus(),
      g: () => { going = Date.now(); },
      '?': help,
    };
    const page = Date.now() - going < 1500 && all('.top nav a').find((it) => it.textContent[0].toLowerCase() === event.key);
    going = 0;
    const does = page ? () => page.click() : keys[event.key];
    if (does) { event.preventDefault(); does(); }
  });
})();
