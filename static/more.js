// Loaded when somebody needs it: the list of keys, the button of a row, and the wait for the first event.

const made = (name, ...holds) => {
  const element = document.createElement(name);
  element.append(...holds);
  return element;
};

const KEYS = [
  ['/', 'search'], ['j', 'next row'], ['k', 'row before'], ['Enter', 'open the row'], ['u', 'back to the list'],
  ['[', 'newer'], [']', 'older'], ['x', 'choose the row, to compare'], ['c', 'copy for ticket'], ['e', 'export'],
  ['g', 'then o d c s q m h: to that page'], ['?', 'this list'],
];

// Shows the keys. `turn` is told whether they are to be off.
export const keys = (off, turn) => {
  let dialog = document.querySelector('dialog.keys');
  if (!dialog) {
    const title = made('h2', 'Keys');
    title.id = 'keys-title';
    const list = made('dl', ...KEYS.flatMap(([key, does]) => [made('dt', made('kbd', key)), made('dd', does)]));
    list.className = 'facts';
    const box = made('input');
    box.type = 'checkbox';
    box.checked = !off;
    box.addEventListener('change', () => turn(!box.checked));
    const close = made('button', 'Close');
    close.addEventListener('click', () => dialog.close());
    dialog = made('dialog', title, list, made('p', made('label', box, ' Keys are on'), close));
    dialog.className = 'keys';
    dialog.setAttribute('aria-labelledby', title.id);
    document.body.append(dialog);
  }
  dialog.showModal();
};

// One button, in the row one is at; the delivery's id stands in the row's address. `copies` makes it do so.
let button, id;
export const copyId = (target, copies) => {
  if (!button) {
    button = made('button', 'Copy id');
    button.className = 'copy';
    copies(button, () => id);
  }
  const row = target.closest('.lines tr').querySelector('a.row[id]');
  const cell = row?.parentNode.nextSibling;
  if (!cell || cell.contains(button)) return;
  id = decodeURIComponent(row.pathname.split('/').pop());
  cell.prepend(button);
};

// Nothing was received yet: looks while somebody sees it, and loads the page again when something came.
export const wait = (start) => {
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
};
