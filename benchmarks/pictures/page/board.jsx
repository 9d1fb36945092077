// A dashboard: its head, its rows, and each panel in Grafana's frame.
import { dateTimeFormat } from '@grafana/data';
import { Icon, PanelChrome } from '@grafana/ui';
import { Component, useEffect, useState } from 'react';
import { frames as asked } from './asking.js';
import { Bars, Figures, Rows } from './figures.jsx';
import { prepared } from './overriding.js';
import { Heatmap, Lines, States } from './plots.jsx';

// Grafana's grid: 24 columns, rows of 30 pixels, 8 between.
const COLUMNS = 24;
const CELL = 30;
const GAP = 8;

const DRAWN = {
  timeseries: Lines,
  stat: Figures,
  bargauge: Bars,
  heatmap: Heatmap,
  table: Rows,
  'state-timeline': States,
};

export function Board({ dashboard, source, variables, marks, theme, timeZone, width, told }) {
  const bottom = Math.max(...dashboard.panels.map(({ gridPos: at }) => at.y + at.h));
  const column = (width - GAP * (COLUMNS - 1)) / COLUMNS;
  return (
    <>
      <Head dashboard={dashboard} source={source} variables={variables} timeZone={timeZone} />
      <div style={{ position: 'relative', width, height: bottom * (CELL + GAP) }}>
        {dashboard.panels.map((panel) => {
          const { x, y, w, h } = panel.gridPos;
          const place = { left: x * (column + GAP), top: y * (CELL + GAP), position: 'absolute' };
          const size = { width: w * column + (w - 1) * GAP, height: h * CELL + (h - 1) * GAP };
          return (
            <div key={`${panel.id} ${y}`} style={{ ...place, ...size }}>
              {panel.type === 'row' ? (
                <RowTitle title={panel.title} />
              ) : (
                <Panel {...{ panel, source, variables, marks, theme, timeZone, told }} {...size} />
              )}
            </div>
          );
        })}
      </div>
    </>
  );
}

function Head({ dashboard, source, variables, timeZone }) {
  const { from, to } = source.range;
  const at = (time) => dateTimeFormat(time, { timeZone, format: 'YYYY-MM-DD HH:mm:ss' });
  return (
    <>
      <div className="head">
        <b>{dashboard.title}</b>
        <span>
          {at(from)} to {at(to)}
        </span>
      </div>
      <div className="variables">
        {variables.map(({ name, label, shown }) => (
          <div key={name}>
            <span>{label}</span>
            <span>{shown}</span>
            <Icon name="angle-down" />
          </div>
        ))}
      </div>
    </>
  );
}

function RowTitle({ title }) {
  return (
    <div className="row">
      <Icon name="angle-down" /> {title}
    </div>
  );
}

/** ``told`` gets the panel's state once it is drawn: how many series, and what went wrong. */
function Panel({ panel, source, variables, marks, theme, timeZone, width, height, told }) {
  const [state, setState] = useState({});
  useEffect(() => {
    asked(panel, source, variables, width)
      .then((frames) => prepared(panel, frames, theme, timeZone))
      .then((frames) => setState({ frames }))
      .catch((error) => setState({ error: String(error.message ?? error) }));
  }, []);
  useEffect(() => {
    if (state.error !== undefined) {
      told({ id: panel.id, panel: panel.title, series: 0, error: state.error });
    } else if (state.frames) {
      told({ id: panel.id, panel: panel.title, series: state.frames.filter((frame) => frame.length).length });
    }
  }, [state]);
  const links = panel.links?.length ? <Icon name="external-link-alt" size="md" className="links" /> : null;
  const failed = (error) => setState({ error: String(error.message ?? error) });
  return (
    <PanelChrome
      title={panel.title}
      description={panel.description}
      titleItems={links}
      statusMessage={state.error}
      width={width}
      height={height}
    >
      {(inner, tall) => (
        <Guard failed={failed}>
          <Content {...{ panel, marks, theme, timeZone, state }} range={source.range} width={inner} height={tall} />
        </Guard>
      )}
    </PanelChrome>
  );
}

function Content({ panel, state, ...others }) {
  if (!state.frames) {
    return <div className="none">{state.error ? 'Error' : ''}</div>;
  }
  if (!state.frames.some((frame) => frame.length)) {
    return <div className="none">{panel.fieldConfig.defaults.noValue ?? 'No data'}</div>;
  }
  const Drawn = DRAWN[panel.type];
  if (!Drawn) {
    throw new Error(`no panel of the type ${panel.type} can be drawn`);
  }
  return <Drawn panel={panel} frames={state.frames} {...others} />;
}

class Guard extends Component {
  state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  componentDidCatch(error) {
    this.props.failed(error);
  }

  render() {
    return this.state.failed ? null : this.props.children;
  }
}
