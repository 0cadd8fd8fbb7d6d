import { type Part, today } from './context.ts';
import { describeMachine } from './machine.ts';
import type { Underlay } from './site.ts';
import { compareTunnels, type TunnelRuns } from './tunnels.ts';
import { type TunnelFigures, tunnelsMarkdown, tunnelsPlot } from './tunnels-report.ts';

/** Weft, others and none in turn, on both kinds of wire. */
export const tunnels: Part = async ({ rounds, seconds, under, systems, tests, progress, save }) => {
  const underlays: TunnelRuns[] = [];
  for (const underlay of under) {
    if (underlay !== 'veth' && underlay !== 'nic')
      throw new Error(`--under takes veth and nic, not ${underlay}`);
    const plan = { underlay: underlay as Underlay, systems, tests, rounds, seconds, progress };
    underlays.push(await compareTunnels(plan));
  }
  const figures: TunnelFigures = { date: today(), machine: describeMachine(), underlays };
  const text = tunnelsMarkdown(figures);
  console.log(text);
  save('tunnels.json', `${JSON.stringify(figures, null, 1)}\n`);
  save('tunnels.md', text);
  save('tunnels.svg', tunnelsPlot(figures));
};
