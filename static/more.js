// Loaded on demand: the list of shortcuts, the copy button of a row, and the wait for the first event.

const made = (name, ...holds) => {
  const element = document.createElement(name);
  element.append(...holds);
  return element;
};

const KEYS = [
  ['/', 'search'], ['j', 'next row'], ['k', 'previous row'], ['Enter', 'open the row'], ['u', 'back to the list'],
  ['[', 'previous'], [']', 'next'], ['x', 'select the row, to compare'], ['c', 'copy for ticket'], ['e', 'export'],
  ['g', 'then o, d, c, s, h, g or q (unprocessed events): go to that page'], ['?', 'this list'],
];

// Shows the shortcuts. `turn` is called with whether they are off.
export const keys = (off, turn) => {
  let dialog = document.querySelector('dialog.keys');
  if (!dialog) {
    const title = made('h2', 'Keyboard shortcuts');
    title.id = 'keys-title';
    const list = made('dl', ...KEYS.flatMap(([key, does]) => [made('dt', made('kbd', key)), made('dd', does)]));
    list.className = 'facts';
    const box = made('input');
    box.type = 'checkbox';
    box.checked = !off;
    box.addEventListener('change', () => turn(!box.checked));
    const close = made('button', 'Close');
    close.addEventListener('click', () => dialog.close());
    dialog = made('dialog', title, list, made('p', made('label', box, ' Enable shortcuts'), close));
    dialog.className = 'keys';
    dialog.setAttribute('aria-labelledby', title.id);
    document.body.append(dialog);
  }
  dialog.showModal();
};

// One button, moved to the current row; the delivery's ID is in the row's link. `copies` adds the behaviour.
let button, id;
export const copyId = (target, copies) => {
  if (!button) {
    button = made('button', 'Copy ID');
    button.className = 'copy';
    copies(button, () => id);
  }
  const row = target.closest('.lines tr').querySelector('a.row[id]');
  const cell = row?.parentNode.nextElementSibling;
  if (!cell || cell.contains(button)) return;
  id = decodeURIComponent(row.pathname.split('/').pop());
  cell.prepend(button);
};

// Nothing was received yet: polls while the tab is visible, and reloads when something arrives.
export const wait = (start) => {
  start.querySelector('.waits').hidden = false;
  const look = async () => {
    try {
      if (!document.hidden) {
        const { feed } = await (await fetch(start.dataset.feed)).json();
        if ((feed.last_at || '') !== start.dataset.last) { location.reload(); return; }
      }
    } catch { /* the server may come back */ }
    setTimeout(look, 2000);
  };
  setTimeout(look, 2000);
};
