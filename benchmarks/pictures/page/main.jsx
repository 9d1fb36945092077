// Draws the dashboard that the address names, then writes into ``window.drawn`` what became of each panel.
import '@fontsource/inter/latin-400.css';
import '@fontsource/inter/latin-500.css';
import { createTheme, dateTime } from '@grafana/data';
import { GlobalStyles, ThemeContext } from '@grafana/ui';
import { initPluginTranslations } from '@grafana/i18n';
import { createRoot } from 'react-dom/client';
import { Board } from './board.jsx';
import { choices } from './choosing.js';
import { marks } from './marking.js';
import './page.css';

const TIME_ZONE = 'utc';
const MARGIN = 16; // pixels, as page.css has it
const SETTLE_MS = 1500; // legends are measured and charts drawn anew, icons loaded
const asked = new URLSearchParams(window.location.search);

async function draw() {
  await initPluginTranslations('grafana');
  const dashboard = await (await fetch(`/dashboards/${asked.get('dashboard')}.json`)).json();
  const [from, to] = ['from', 'to'].map((name) => dateTime(Number(asked.get(name)) * 1000));
  const source = {
    url: asked.get('prometheus'),
    range: { from, to, raw: { from, to } },
    scrapeSeconds: Number(asked.get('scrape_seconds')),
  };
  const variables = await choices(dashboard, source);
  const theme = createTheme({ colors: { mode: 'dark' } });
  const panels = dashboard.panels.filter((panel) => panel.type !== 'row');
  const found = new Map();
  const finished = Promise.withResolvers();
  const told = (state) => {
    found.set(state.id, state);
    if (found.size === panels.length) {
      finished.resolve();
    }
  };
  // What is drawn on a canvas takes a font only once it is there.
  await Promise.all(['400 12px Inter', '500 14px Inter'].map((font) => document.fonts.load(font)));
  createRoot(document.getElementById('page')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles isExtensionSidebarOpen={false} />
      <Board
        {...{ dashboard, source, variables, theme, told }}
        marks={await marks(dashboard, source, variables)}
        timeZone={TIME_ZONE}
        width={document.getElementById('page').clientWidth - 2 * MARGIN}
      />
    </ThemeContext.Provider>
  );
  await finished.promise;
  await document.fonts.ready;
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  return [...found.values()];
}

draw().then(
  (panels) => (window.drawn = { panels }),
  (error) => (window.drawn = { error: String(error.stack ?? error) })
);
