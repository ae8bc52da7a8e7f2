// Comfort only: every page is whole without it. Copy buttons, keys, relative times that go on.
(() => {
  'use strict';
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

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

  const KEYS = [
    ['/', 'search'], ['j', 'next row'], ['k', 'row before'], ['Enter', 'open the row'],
    ['[', 'newer page'], [']', 'older page'], ['?', 'this list'], ['!', 'keys off, or on again'],
  ];
  const off = () => { try { return localStorage.getItem('waybill-keys') === 'off'; } catch { return false; } };
  const turn = () => { try { localStorage.setItem('waybill-keys', off() ? 'on' : 'off'); } catch { /* not kept */ } };

  const help = () => {
    let dialog = document.querySelector('dialog.keys');
    if (!dialog) {
      dialog = document.createElement('dialog');
      dialog.className = 'keys';
      dialog.setAttribute('aria-labelledby', 'keys-title');
      const title = document.createElement('h2');
      title.id = 'keys-title';
      title.textContent = 'Keys';
      const list = document.createElement('dl');
      list.className = 'facts';
      for (const [key, does] of KEYS) {
        const term = document.createElement('dt');
        const kbd = document.createElement('kbd');
        const text = document.createElement('dd');
        kbd.textContent = key;
        text.textContent = does;
        term.append(kbd);
        list.append(term, text);
      }
      const close = document.createElement('button');
      close.textContent = 'Close';
      close.addEventListener('click', () => dialog.close());
      dialog.append(title, list, close);
      document.body.append(dialog);
    }
    dialog.showModal();
  };

  const move = (by) => {
    const rows = all('a.row').filter((row) => row.offsetParent);
    if (!rows.length) return;
    const here = rows.indexOf(document.activeElement);
    const next = rows[here < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, here + by))];
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: 'nearest' });
  };
  const go = (rel) => document.querySelector(`.pager a[rel=${rel}]`)?.click();

  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const at = event.target;
    if (at.closest?.('input, textarea, select, dialog')) {
      if (event.key === 'Escape' && at.blur) at.blur();
      return;
    }
    if (event.key === '!') { turn(); return; }
    if (off()) return;
    const does = {
      '/': () => { const q = document.getElementById('q'); q.focus(); q.select(); },
      j: () => move(1), k: () => move(-1), '[': () => go('prev'), ']': () => go('next'), '?': help,
    }[event.key];
    if (does) { event.preventDefault(); does(); }
  });
})();
