// Optional: every page works without it. Copy buttons, shortcuts, live relative times, the count of new deliveries.
(() => {
  'use strict';
  const all = (selector) => [...document.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);

  // rarely needed code is loaded on demand
  const more = (does) => import(one('[data-more]').dataset.more).then(does, () => {});

  const copies = (button, text) => {
    const label = button.textContent;
    button.addEventListener('click', async () => {
      try {
        await navigator.clipboard.writeText(text());
        button.textContent = 'Copied';
      } catch {
        button.textContent = 'Not allowed';
      }
      setTimeout(() => { button.textContent = label; }, 1200);
    });
  };
  if (navigator.clipboard) {
    for (const button of all('button.copy')) {
      const { copy, copyFrom } = button.dataset;
      button.hidden = false;
      copies(button, () => copy || document.getElementById(copyFrom).textContent);
    }
    // a copy button in the hovered or focused row
    const come = ({ target }) => {
      if (target.closest?.('.lines tr')) more(({ copyId }) => copyId(target, copies));
    };
    document.addEventListener('focusin', come);
    document.addEventListener('mouseover', come);
  }
  const start = one('[data-feed]');
  if (start) more(({ wait }) => wait(start));

  // on narrow screens the filters start folded
  const fold = one('.fold');
  if (fold && matchMedia('(max-width: 860px)').matches) fold.open = false;

  // keeps "4 min ago" current; dates stay as they are
  const ago = (ms) => {
    const steps = [[1000, 's'], [60000, 'min'], [3600000, 'h'], [86400000, 'd'], [604800000, '']];
    const at = steps.findIndex(([unit]) => ms < unit);
    if (at <= 0) return at ? '' : 'now';
    const [unit, name] = steps[at - 1];
    return `${Math.floor(ms / unit)} ${name} ago`;
  };
  const isAge = (text) => / ago$|^now$/.test(text);
  setInterval(() => {
    if (document.hidden) return;
    for (const time of all('time')) {
      if (!isAge(time.textContent)) continue;
      const text = ago(Date.now() - Date.parse(time.dateTime));
      if (text && text !== time.textContent) time.textContent = text;
    }
  }, 5000);

  // two to four campaigns can be compared
  const selected = one('[data-selected]');
  if (selected) {
    const boxes = all('[form=compare]');
    const count = () => {
      const n = boxes.filter((box) => box.checked).length;
      selected.textContent = n ? `${n} selected${n < 2 ? ', select 2–4' : n > 3 ? ', the most that can be compared' : ''}` : 'select 2–4';
      for (const box of boxes) box.disabled = n > 3 && !box.checked;
    };
    boxes.forEach((box) => box.addEventListener('change', count));
    count();
  }

  // a search that found nothing in its time goes on by itself
  const read = async (href) => {
    const answer = await fetch(href, { headers: { accept: 'text/html' } });
    const page = answer.ok && new DOMParser().parseFromString(await answer.text(), 'text/html');
    return page && page.querySelector('main');
  };
  const searchOn = async () => {
    const link = one('[data-search-on]');
    if (!link) return;
    const fresh = !document.hidden && await read(link.href).catch(() => null);
    if (fresh) {
      history.replaceState(null, '', link.href);
      one('main').replaceChildren(...fresh.childNodes);
      inZone();
    }
    setTimeout(searchOn, fresh ? 100 : 2000);
  };
  searchOn();

  // a page of the present is fetched again while it is visible, unless somebody is within it
  const main = one('[data-refresh]');
  const isBusy = () => main.contains(document.activeElement) && document.activeElement !== main
    || main.querySelector('details[open], input:checked') || !getSelection().isCollapsed;
  const refresh = async () => {
    if (document.hidden || isBusy()) return;
    try {
      const fresh = await read(location.href);
      if (fresh && !isBusy()) {
        main.replaceChildren(...fresh.childNodes);
        inZone();
      }
    } catch { /* the page says when it was made */ }
  };
  if (main) {
    setInterval(refresh, 10000);
    document.addEventListener('visibilitychange', refresh);
  }

  // on hover: the exact time, and text that is cut off
  document.addEventListener('mouseover', ({ target }) => {
    const time = target.closest?.('time:not([title])');
    if (time) time.title = `${time.dateTime.replace('T', ' ').replace('Z', ' UTC')} (${new Date(time.dateTime).toLocaleString()} local)`;
    const cut = target.closest?.('.lines td, .lines p, .reason');
    if (cut && cut.scrollWidth > cut.clientWidth) cut.title = cut.textContent;
  });

  // polls for the number of new deliveries while the tab is visible
  const live = one('[data-newer]');
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
        const text = `Show ${newer}${more ? '+' : ''} ${live.dataset.what || 'new'} ${newer === 1 && !more ? 'delivery' : 'deliveries'}`;
        // a screen reader announces it only when it changes
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

  const kept = (name, value) => {
    try {
      if (value) localStorage.setItem(`waybill-${name}`, value);
      return localStorage.getItem(`waybill-${name}`);
    } catch {
      return null;
    }
  };

  // times are in UTC, as the page has them, or in the zone of the browser; days, charts and filters stay in UTC
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const isLocal = () => kept('zone') === 'local';
  const local = (utc, iso) => {
    const at = new Date(iso);
    const [day, clock] = at.toLocaleString('sv').split(' ');
    const [month, date, year] = at.toLocaleDateString('en-US', { day: 'numeric', month: 'short', year: 'numeric' }).split(/,? /);
    const short = `${date} ${month}`;
    const text = utc.replace(/\d{4}-\d\d-\d\d/, day).replace(/\d\d:\d\d(:\d\d)?/, (it) => clock.slice(0, it.length))
      .replace(/^\d+ [A-Z][a-z]+( \d{4})?/, (_, of) => (of ? `${short} ${year}` : short))
      .replace('UTC', at.toLocaleTimeString('en-US', { timeZoneName: 'short' }).split(' ').pop());
    // a time of day stands below a day of UTC
    return /^\d\d:/.test(text) && day !== iso.slice(0, 10) ? `${short} ${text}` : text;
  };
  const inZone = () => {
    for (const time of all('time, .utc')) {
      const utc = time.dataset.utc || time.textContent;
      if (isAge(utc)) continue;
      time.dataset.utc = utc;
      const to = time.dateTime ? local(utc, time.dateTime) : here;
      time.textContent = isLocal() ? to : utc;
    }
  };
  let off = kept('keys') === 'off';

  const turn = (isOff) => {
    off = isOff;
    kept('keys', off ? 'off' : 'on');
  };
  const help = () => more(({ keys }) => keys(off, turn));
  const open = document.createElement('button');
  open.textContent = 'Shortcuts';
  open.className = 'keys-open';
  open.addEventListener('click', help);
  const menu = one('.menu');
  const themes = ['auto', 'light', 'dark'];
  const theme = document.createElement('button');
  const show = (name) => {
    document.documentElement.dataset.theme = name;
    theme.textContent = `Theme: ${name}`;
  };
  show(kept('theme') || 'auto');
  theme.addEventListener('click', () => {
    const next = themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % 3];
    kept('theme', next);
    show(next);
  });
  const zone = document.createElement('button');
  zone.className = 'times';
  const showZone = () => {
    zone.textContent = `Times: ${isLocal() ? `local (${here})` : 'UTC'}`;
    const note = menu?.querySelector('small');
    if (note) note.textContent = isLocal() ? 'Days, charts and filters are in UTC' : 'All times are in UTC';
    document.documentElement.dataset.zone = isLocal() ? 'local' : 'utc';
    inZone();
  };
  zone.addEventListener('click', () => {
    kept('zone', isLocal() ? 'utc' : 'local');
    showZone();
  });
  showZone();
  // the sign-in page has nothing to go to, and no menu
  menu?.querySelector('div').append(open, theme, zone, menu.querySelector('small'));
  document.addEventListener('click', ({ target }) => { if (menu && (!menu.contains(target) || target === open)) menu.open = false; });
  menu?.addEventListener('keydown', ({ key }) => {
    if (key === 'Escape') { menu.open = false; menu.firstElementChild.focus(); }
  });

  const move = (by) => {
    const rows = all('.row').filter((row) => row.offsetParent);
    if (!rows.length) return;
    const at = document.activeElement;
    const here = rows.indexOf(at.closest('.row') || at.closest('tr, li')?.querySelector('.row'));
    const next = rows[here < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, here + by))];
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: 'nearest' });
  };
  const go = (selector) => one(selector)?.click();
  // `g` and the first letter of a page goes there
  let going;

  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const at = event.target;
    if (at.closest('input:not([type=checkbox]), textarea, select, dialog')) {
      if (event.key === 'Escape' && at.blur) at.blur();
      return;
    }
    if (off) return;
    const keys = {
      '/': () => { const q = one('#q'); q?.focus(); q?.select(); },
      j: () => move(1),
      k: () => move(-1),
      u: () => go('a[rel=up]'),
      '[': () => go('.pager a[rel=prev]'),
      ']': () => go('.pager a[rel=next]'),
      x: () => {
        const box = at.closest('tr')?.querySelector('[type=checkbox]');
        box?.click();
        box?.focus();
      },
      c: () => go('[data-copy-from=ticket]'),
      e: () => one('[download], .twins a')?.focus(),
      g: () => { going = 1; },
      '?': help,
    };
    const page = going && all('.top nav a, .menu a').find((it) => (it.dataset.key || it.textContent[0].toLowerCase()) === event.key);
    going = 0;
    const does = page ? () => page.click() : keys[event.key];
    if (does) { event.preventDefault(); does(); }
  });
})();
