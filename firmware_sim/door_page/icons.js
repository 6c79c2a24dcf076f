// Icons as inline SVG: no font that a machine may lack.
const PATHS = {
  locked: '<rect x="5" y="11" width="14" height="9" rx="2"/><path d="M8 11V8a4 4 0 0 1 8 0v3"/>',
  unlocked: '<rect x="5" y="11" width="14" height="9" rx="2"/><path d="M8 11V7a4 4 0 0 1 7.6-1.8"/>',
  unknown: '<circle cx="12" cy="12" r="8"/><path d="M9.8 9.6a2.3 2.3 0 1 1 3.2 2.6c-.7.4-1 .8-1 1.6M12 16.6v.1"/>',
  open: '<path d="M5 12.5l4.5 4.5L19 7.5"/>',
  denied: '<path d="M7 7l10 10M17 7L7 17"/>',
  alarm: '<path d="M12 4l9 15H3zM12 10v4M12 16.6v.1"/>',
  info: '<circle cx="12" cy="12" r="8"/><path d="M12 11v5M12 8v.1"/>',
  push: '<path d="M4 12h11M11 7l5 5-5 5M20 5v14"/>',
  exit: '<circle cx="12" cy="12" r="8"/><circle cx="12" cy="12" r="3.4"/>',
  prop: '<path d="M4 19h16M6 19l9-6v6"/>',
  force: '<path d="M13 3L5 14h6l-1 7 9-12h-6z"/>',
  badge: '<rect x="5" y="4" width="14" height="16" rx="3"/><path d="M9 14a3 3 0 0 1 6 0M12 8.2v.1M10 8h4"/>',
  phone: '<path d="M6 4h4l1.5 4.5-2.3 1.6a11 11 0 0 0 4.7 4.7l1.6-2.3L20 14v4a2 2 0 0 1-2 2A14 14 0 0 1 4 6a2 2 0 0 1 2-2z"/>',
  radio: '<circle cx="12" cy="12" r="1.8"/><path d="M8 8a6 6 0 0 0 0 8M16 8a6 6 0 0 1 0 8M5 5a10 10 0 0 0 0 14M19 5a10 10 0 0 1 0 14"/>',
  panel: '<rect x="6" y="3" width="12" height="18" rx="2"/><path d="M9 7h6M9 10h6M9 13h6M12 17v.1"/>',
  sound: '<path d="M4 10v4h3l5 4V6l-5 4zM15.5 9a4 4 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11"/>',
  silent: '<path d="M4 10v4h3l5 4V6l-5 4zM16 10l4 4M20 10l-4 4"/>',
};

export function icon(name) {
  return `<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">${PATHS[name] ?? PATHS.info}</svg>`;
}
